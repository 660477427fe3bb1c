"""Arrays in the dashboard: created, appended to, closed, changed, and their results page by page;
many tasks changed at once."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Route, expect

from quorate.client.transport.discovery import LocalCluster
from quorate.v1 import job_pb2, scheduler_pb2, scheduler_pb2_grpc
from tests.support.auth import Locked, open_channel
from tests.support.dashboard import Look, submit
from tools.dashboard.build_ui import SOURCE
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]
AXE = SOURCE / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """
async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]})).violations
  .flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`))
"""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def checked(look: Look) -> None:
    """Readable for everybody."""
    look.page.evaluate(AXE.read_text())
    assert look.page.evaluate(RUN_AXE) == []


def fits(look: Look, width: int = 390) -> None:
    """Nothing is cut off."""
    assert look.page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_open_array_is_created_grows_and_shows_its_results(
    open_page: OpenPage, cluster: LocalCluster
) -> None:
    look = open_page("jobs")
    look.settled()
    look.page.locator("[data-create]").get_by_role("button", name="Create job").click()
    dialog = look.dialog()
    dialog.get_by_role("button", name="Python function").click()
    dialog.locator("[name=entrypoint]").fill("math:sqrt")
    dialog.locator("[name=items]").fill("4\n-1\nmany")
    dialog.locator("[name=json]").check()
    dialog.locator("[name=open]").check()
    dialog.locator("[name=name]").fill("roots")
    dialog.locator("[name=parallel]").fill("3")
    dialog.locator("[name=failures]").fill("7")
    dialog.get_by_text("More options").click()
    dialog.locator("[name=fairnessKey]").fill("acme")
    checked(look)
    dialog.get_by_role("button", name="Create job").click()
    wrong = look.field("Items").get_by_role("alert")
    expect(wrong).to_have_text("Line 3, “many”, is not JSON.")
    dialog.locator("[name=items]").fill("4\n-1")
    dialog.get_by_role("button", name="Create job").click()
    look.told("roots was created.")
    expect(look.page.get_by_role("heading", name="roots", level=1)).to_be_visible()
    job = look.page.url.rpartition("/")[2]
    found = ask_json(cluster, f"v1/jobs/{job}")["job"]
    assert (found["spec"]["maxParallel"], found["spec"]["maxFailures"]) == ("3", "7")
    assert found["spec"]["template"]["fairnessKey"] == "acme"

    results = look.page.get_by_role("table", name="Results")
    expect(results.locator('tbody[data-name="0"]')).to_contain_text("2.0")
    expect(results.locator('tbody[data-name="1"]')).to_contain_text("ValueError")

    look.button("Append").click()
    dialog.locator("[name=items]").fill("9\n16")
    dialog.locator("[name=json]").check()

    def another_is_faster(route: Route) -> None:
        # The same as the first of these, in base64.
        theirs = {"firstPosition": "2", "items": ["OQ=="], "appender": "another"}
        ask_json(cluster, f"v1/jobs/{job}:appendItems", theirs)
        route.continue_()

    look.page.route("**/*:appendItems", another_is_faster, times=1)
    dialog.get_by_role("button", name="Append").click()
    look.told("2 items appended to roots.")
    expect(results.locator('tbody[data-name="4"]')).to_contain_text("4.0")

    look.button("Change").click()
    expect(dialog.locator("[name=idle]")).to_have_value("")
    dialog.locator("[name=idle]").fill("2h")
    dialog.locator("[name=share]").fill("75")
    dialog.get_by_role("button", name="Change").click()
    look.told("roots was changed.")
    spec = ask_json(cluster, f"v1/jobs/{job}")["job"]["spec"]
    assert (spec["closeAfterIdle"], spec["maxFailureShare"]) == ("7200s", 0.75)

    look.button("Close").click()
    expect(dialog).to_contain_text("It has 5 items and accepts no more.")
    dialog.get_by_role("button", name="Close job").click()
    look.told("roots is closed.")
    expect(look.page.locator(".title .badge")).to_have_text("failed")
    expect(look.button("Append")).to_have_count(0)
    ask_json(cluster, f"v1/jobs/{job}", method="DELETE")


def test_results_are_turned_over_page_by_page(open_page: OpenPage, cluster: LocalCluster) -> None:
    script = "test {index} != 30; exit $(({index} == 31))"
    body = {"spec": {"template": {"command": {"argv": ["sh", "-c", script]}}, "count": "45"}}
    body["spec"]["firstIndex"] = "10"
    job = ask_json(cluster, "v1/queues/default/jobs", body)["job"]["id"]
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    look = open_page(f"jobs/{job}")
    results = look.page.get_by_role("table", name="Results")
    panel = look.page.locator(".results")
    expect(panel).to_contain_text("Indexes 10 to 29")
    expect(look.button("Previous")).to_be_disabled()
    look.button("Next").click()
    expect(panel).to_contain_text("Indexes 30 to 49")
    look.button("Next").click()
    expect(panel).to_contain_text("Indexes 50 to 54")
    expect(look.button("Next")).to_be_disabled()
    look.button("Previous").click()
    expect(panel).to_contain_text("Indexes 30 to 49")
    panel.get_by_label("From index").fill("53")
    look.button("Go").click()
    expect(panel).to_contain_text("Indexes 53 to 54")
    panel.get_by_role("button", name="Failed").click()
    expect(results.get_by_role("link")).to_have_text(["31"])
    expect(results).to_contain_text("EXIT_CODE")
    checked(look)
    results.get_by_role("link", name="31").click()
    expect(look.page.locator(".title .badge")).to_have_text("failed")
    ask_json(cluster, f"v1/jobs/{job}", method="DELETE")


def test_many_tasks_are_changed_and_moved_at_once(
    open_page: OpenPage, cluster: LocalCluster
) -> None:
    for queue in ("many-from", "many-to"):
        ask_json(cluster, "v1/queues", {"queue": {"name": queue}})
        ask_json(cluster, f"v1/queues/{queue}:pause", {})
    tasks = [submit(cluster, "true", queue="many-from", name=f"move-{n}") for n in range(3)]
    ask_json(cluster, f"v1/tasks/{tasks[2]}:cancel", {})
    look = open_page("tasks?queue=many-from")
    look.settled()
    for number in range(3):
        look.row(f"move-{number}").get_by_role("checkbox").check()
    bar = look.page.get_by_role("region", name="Selected tasks")
    bar.get_by_role("button", name="Change").click()
    dialog = look.dialog()
    dialog.get_by_role("button", name="Count and change").click()
    expect(dialog).to_contain_text("Nothing is to be changed: fill in a field.")
    dialog.get_by_label("Priority").fill("9")
    dialog.get_by_label("Labels", exact=False).first.fill("team=web")
    checked(look)
    dialog.get_by_role("button", name="Count and change").click()
    question = look.page.get_by_role("dialog", name="Change 2 tasks?")
    expect(question).to_contain_text("2 tasks will be changed. 1 does not wait: it stays as it is.")
    question.get_by_role("button", name="Change 2 tasks").click()
    look.told("2 tasks changed, 1 not applicable.")
    spec = ask_json(cluster, f"v1/tasks/{tasks[0]}")["task"]["spec"]
    assert (spec["priority"], spec["labels"]) == (9, {"team": "web"})

    look.row("move-0").get_by_role("checkbox").check()
    bar.get_by_role("button", name="Select all that match the filter").click()
    bar.get_by_role("button", name="Change").click()
    dialog.get_by_label("Move to queue").select_option("many-to")
    dialog.get_by_role("button", name="Count and change").click()
    question.get_by_role("button", name="Change 2 tasks").click()
    look.told("2 tasks changed.")
    assert ask_json(cluster, f"v1/tasks/{tasks[1]}")["task"]["queue"] == "many-to"
    for task in tasks[:2]:
        ask_json(cluster, f"v1/tasks/{task}:cancel", {})


def test_on_a_phone_nothing_is_cut_off(open_page: OpenPage, cluster: LocalCluster) -> None:
    template = {"command": {"argv": ["echo", "{}"]}}
    body = {"spec": {"template": template, "open": True, "name": "narrow", "items": ["cmVk"]}}
    job = ask_json(cluster, "v1/queues/default/jobs", body)["job"]["id"]
    look = open_page(f"jobs/{job}", **PHONE)
    expect(look.page.get_by_role("table", name="Results")).to_contain_text("succeeded")
    fits(look)
    for name in ("Append", "Change"):
        look.button(name).click()
        expect(look.dialog()).to_be_visible()
        fits(look)
        look.page.keyboard.press("Escape")
    look.go("jobs")
    look.page.locator("[data-create]").get_by_role("button").click()
    expect(look.dialog()).to_be_visible()
    fits(look)
    ask_json(cluster, f"v1/jobs/{job}:cancel", {})
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    ask_json(cluster, f"v1/jobs/{job}", method="DELETE")


def test_what_a_role_lacks_is_not_offered(open_page: OpenPage, guarded: Locked) -> None:
    def offered(role: str, view: str, *names: str) -> None:
        address, token = f"https://{guarded.gateway}/", guarded.make_token(role)
        look = open_page(view, address=address, token=token, ignore_https_errors=True)
        expect(look.page.locator(".view h1")).to_be_visible()
        expect(look.page.locator(".view .title").get_by_role("button")).to_have_text(list(names))

    with open_channel(guarded, guarded.schedulers[0], "admin:alice") as channel:
        spec = job_pb2.JobSpec(open=True)
        spec.template.command.argv.extend(("echo", "{}"))
        request = scheduler_pb2.CreateJobRequest(queue="mail", spec=spec)
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        job = stub.CreateJob(request, timeout=60).job.id
        offered("viewer", "jobs")
        offered("operator", "tasks")
        offered("submitter", "jobs", "Create job")
        offered("viewer", f"jobs/{job}")
        offered("operator", f"jobs/{job}", "Change", "Pause", "Cancel")
        offered("submitter", f"jobs/{job}", "Append", "Close", "Change", "Pause", "Cancel")
        stub.CancelJob(scheduler_pb2.CancelJobRequest(id=job), timeout=20)
        stub.WaitJob(scheduler_pb2.WaitJobRequest(id=job), timeout=20)
        stub.DeleteJob(scheduler_pb2.DeleteJobRequest(id=job), timeout=20)
