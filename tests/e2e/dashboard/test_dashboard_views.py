"""Every view and action of the dashboard, by hand of a browser, against a real cluster."""

import json
import re
import sys

from playwright.sync_api import expect

from tests.support.dashboard import python, submit
from tools.gateway_http import ask_json

SERVER = (
    "import http.server, os; http.server.ThreadingHTTPServer(('127.0.0.1', "
    "int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


def test_overview_shows_leader_charts_and_new_failures(look):
    page = look.page
    look.settled()
    cluster = ask_json(look.cluster, "v1/cluster")["cluster"]
    leader = next(one["name"] for one in cluster["schedulers"] if one.get("leader"))
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Cluster"))
    expect(panel).to_contain_text(f"{leader} leads")
    expect(panel).to_contain_text(f"Epoch{cluster['epoch']}")
    expect(panel).to_contain_text(cluster["etcd"]["version"])
    expect(panel).to_contain_text("1 member")
    assert page.locator(".chart canvas").count() == 5
    nodes = page.locator(".tile").filter(has_text="Nodes ready")
    expect(nodes.locator(".value")).to_have_text("2")
    task = python(look.cluster, "json:loads", ["{bad"], name="reads-badly")
    failure = look.card(task)
    expect(failure).to_contain_text("JSONDecodeError")
    failure.get_by_role("link", name="reads-badly").click()
    expect(page.get_by_role("heading", name="reads-badly")).to_be_visible()


def test_a_queue_is_created_paused_resumed_and_deleted(open_page):
    look = open_page("queues")
    page = look.page
    look.button("Create queue").click()
    look.dialog().get_by_label("Name").fill("bulk")
    look.dialog().get_by_label("Placement").select_option(label="Each node in turn")
    look.dialog().get_by_label("Keep finished tasks for").fill("2h")
    look.dialog().get_by_role("button", name="Create queue").click()
    expect(look.dialog()).to_be_hidden()
    look.told("The queue bulk was created.")
    queue = look.card("bulk")
    expect(queue).to_contain_text("round robin")
    kept = ask_json(look.cluster, "v1/queues/bulk")["queue"]
    assert kept["retention"]["age"] == "7200s"

    look.button("Pause bulk").click()
    look.dialog().get_by_label("Reason").fill("deploy")
    look.dialog().get_by_role("button", name="Pause", exact=True).click()
    expect(queue).to_contain_text("paused")
    task = submit(look.cluster, "true", queue="bulk")
    expect(queue.locator('[data-label="Pending"]')).to_have_text("1")
    expect(queue.locator('[data-label="Oldest waits"]')).to_contain_text("now")
    look.button("Resume bulk").click()
    expect(queue.locator('[data-label="Succeeded"]')).to_have_text("1")
    expect(queue).not_to_contain_text("paused")

    # What would be refused is not offered.
    held = "bulk cannot be deleted: it has 1 task, finished ones included"
    expect(look.button(held)).to_be_disabled()
    ask_json(look.cluster, f"v1/tasks/{task}", method="DELETE")
    look.button("Delete bulk").click()
    look.dialog().get_by_role("button", name="Delete queue").click()
    look.told("The queue bulk was deleted.")
    expect(queue).to_have_count(0)
    # A name that is taken is a sentence in the form, which stays as it was typed.
    look.button("Create queue").click()
    look.dialog().get_by_label("Name").fill("default")
    look.dialog().get_by_role("button", name="Create queue").click()
    expect(look.dialog().get_by_role("alert")).to_contain_text("default")
    page.keyboard.press("Escape")
    expect(look.dialog()).to_be_hidden()


def test_a_command_is_submitted_and_its_log_is_read_while_it_runs(open_page):
    look = open_page("tasks")
    page = look.page
    look.button("Submit task").first.click()
    form = look.dialog()
    form.get_by_label("Command line").fill("sh -c 'oops")
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_role("alert")).to_contain_text("not closed")
    gate = f"{look.cluster.data_dir}/gate"
    script = f'echo "first $NAME"; echo on stderr >&2; until [ -e {gate} ]; do sleep 0.02; done'
    form.get_by_label("Command line").fill(f"sh -c '{script}; cat; echo last'")
    form.get_by_label("Name (optional)").fill("by-hand")
    form.get_by_text("More options").click()
    form.get_by_label("Labels").fill("team=ui")
    form.get_by_label("Environment").fill("NAME=line")
    form.get_by_label("Standard input").fill("from stdin\n")
    form.get_by_label("Attempts").fill("3")
    form.get_by_label("Timeout of an attempt").fill("1m")
    form.get_by_role("button", name="Submit").click()
    look.told("by-hand was submitted.")
    expect(look.row("by-hand")).to_contain_text("running")
    page.get_by_role("link", name="by-hand", exact=True).click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("first line")
    expect(log.locator(".stderr")).to_have_text("on stderr")
    expect(log).not_to_contain_text("last")
    expect(page.locator(".title .badge")).to_have_text("running")
    spec = page.locator(".panel").filter(has=page.get_by_role("heading", name="Specification"))
    expect(spec).to_contain_text("teamui")
    expect(spec).to_contain_text("1 min")
    with open(gate, "w"):
        pass
    expect(log).to_contain_text("from stdin\nlast", use_inner_text=True)
    expect(page.locator(".title .badge")).to_have_text("succeeded")
    expect(page.get_by_text("Exit code 0")).to_be_visible()
    expect(page.get_by_text("1 of 3")).to_be_visible()


def test_a_function_is_submitted_and_its_result_is_shown(open_page):
    look = open_page("tasks")
    page = look.page
    page.keyboard.press("c")
    form = look.dialog()
    form.get_by_role("button", name="Python function").click()
    form.get_by_label("Function").fill("math:hypot")
    form.get_by_label("Arguments (JSON)").fill("[3, 4")
    form.get_by_role("button", name="Submit").click()
    expect(form.get_by_role("alert")).to_contain_text("not JSON")
    form.get_by_label("Arguments (JSON)").fill("[3, 4]")
    form.get_by_role("button", name="Submit").click()
    page.locator(".toast").get_by_role("link", name="Open").click()
    result = page.locator(".panel").filter(has=page.get_by_role("heading", name="Result"))
    expect(result.locator("pre")).to_have_text("5.0")


def test_a_failed_task_shows_its_attempts_and_traceback_and_is_retried(open_page):
    look = open_page()
    page = look.page
    retry = {"maxAttempts": 2, "initialBackoff": "0.05s"}
    task = python(look.cluster, "json:loads", ["<oops>"], name="fails-twice", retry=retry)
    look.go(f"tasks/{task}")
    expect(page.locator(".title .badge")).to_have_text("failed")
    error = page.locator(".panel.error")
    expect(error).to_contain_text("JSONDecodeError")
    expect(error.locator("pre")).to_contain_text("Traceback (most recent call last)")
    bars = page.locator(".stretch")
    expect(bars).to_have_count(3)
    expect(bars.nth(2)).to_contain_text("#2")
    bars.nth(1).click()
    expect(page.get_by_role("log", name="Log of attempt 1")).to_be_visible()
    look.button("Retry").click()
    look.told("fails-twice is tried again.")
    expect(bars.filter(has_text="#4")).to_be_visible()
    expect(page.locator(".title .badge")).to_have_text("failed")
    # Tries are counted anew since the retry; the numbers of attempts go on.
    expect(page.get_by_text("4 (try 2 of 2)")).to_be_visible()
    look.button("Delete").click()
    look.dialog().get_by_role("button", name="Delete").click()
    look.told("fails-twice was deleted.")
    expect(page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()
    look.go(f"tasks/{task}")
    expect(page.get_by_text("There is no such task")).to_be_visible()


def test_a_running_task_is_cancelled(open_page):
    look = open_page()
    task = submit(look.cluster, "sleep", "300", name="endless")
    look.go(f"tasks/{task}")
    expect(look.page.locator(".title .badge")).to_have_text("running")
    look.button("Cancel").click()
    expect(look.page.locator(".title .badge")).to_have_text("cancelled")
    expect(look.button("Retry")).to_be_visible()


def test_tasks_are_filtered_searched_and_acted_on_together(open_page):
    look = open_page("tasks")
    page = look.page
    ask_json(look.cluster, "v1/queues", {"queue": {"name": "held"}})
    ask_json(look.cluster, "v1/queues/held:pause", {})
    specs = [{"command": {"argv": ["true"]}, "name": f"held-{n}"} for n in range(30)]
    ask_json(look.cluster, "v1/queues/held/tasks:batchCreate", {"specs": specs})
    page.get_by_label("Queue").select_option("held")
    rows = page.locator(".task-row[data-id]")
    expect(rows.first).to_contain_text("held-29")
    expect(page.get_by_test_id("total")).to_have_text("30 on record")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("held-1")
    expect(page.get_by_test_id("total")).to_have_text("11 found in 30")
    expect(rows).to_have_count(11)
    assert re.search(r"queue=held&q=held-1$", page.url)

    # Both that are chosen, then all that match.
    look.row("held-17").get_by_role("checkbox").check()
    look.row("held-12").get_by_role("checkbox").check()
    bulk = page.get_by_role("region", name="Selected tasks")
    expect(bulk).to_contain_text("2 selected")
    bulk.get_by_role("button", name="Cancel").click()
    look.dialog().get_by_role("button", name="Cancel 2 tasks").click()
    look.told("2 tasks cancelled.")
    expect(look.row("held-17")).to_contain_text("cancelled")
    look.row("held-1").get_by_role("checkbox").check()
    bulk.get_by_role("button", name="Select all that match the filter").click()
    bulk.get_by_role("button", name="Cancel").click()
    # How many there are is counted before the question is asked.
    expect(look.dialog()).to_contain_text("9 waiting, 0 assigned or running.")
    look.dialog().get_by_role("button", name="Cancel 9 tasks").click()
    look.told("9 tasks cancelled.")

    page.get_by_label("Search tasks").fill("")
    page.locator(".chip", has_text="cancelled").click()
    expect(rows).to_have_count(11)
    page.get_by_label("Select 11 tasks").check()
    bulk.get_by_role("button", name="Retry").click()
    look.told("11 tasks to be tried again.")
    # They are pending again, and no longer belong to the list.
    expect(page.get_by_text("No task matches")).to_be_visible()
    look.button("Clear the filter").click()
    expect(look.row("held-29")).to_be_visible()

    # An id finds its task wherever it is.
    task = rows.nth(3).get_attribute("data-id")
    page.get_by_label("Search tasks").fill(task)
    expect(rows).to_have_count(1)
    page.get_by_label("Search tasks").fill("f" * 32)
    expect(page.get_by_text("No task matches")).to_be_visible()
    ask_json(look.cluster, "v1/queues/held:resume", {})


def test_the_list_obeys_the_keyboard(open_page):
    look = open_page("tasks?queue=default")
    page = look.page
    first = submit(look.cluster, "true", name="older")
    second = submit(look.cluster, "true", name="newer")
    expect(look.row("newer")).to_be_visible()
    page.keyboard.press("j")
    active = page.locator(".task-row.active")
    expect(active).to_have_attribute("data-id", second)
    page.keyboard.press("j")
    expect(active).to_have_attribute("data-id", first)
    page.keyboard.press("x")
    expect(active).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(active).to_have_attribute("aria-selected", "false")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="older")).to_be_visible()
    for key, heading in (("n", "Nodes"), ("s", "Services"), ("q", "Queues"), ("o", "Overview")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
    page.keyboard.press("?")
    expect(look.dialog()).to_contain_text("Keyboard shortcuts")
    page.keyboard.press("Escape")
    expect(look.dialog()).to_be_hidden()


def test_a_node_is_cordoned_drained_and_back(open_page):
    look = open_page("nodes")
    page = look.page
    node = look.card("n2")
    expect(node.locator('[data-label="Slots"]')).to_contain_text("of 4")
    expect(node.locator('[data-label="Memory"]')).to_contain_text("GiB")
    look.button("Cordon n2: no new work").click()
    expect(node).to_contain_text("cordoned")
    look.button("Uncordon n2: takes work again").click()
    expect(node).to_contain_text("ready")

    look.button("Cordon n1: no new work").click()
    expect(look.card("n1")).to_contain_text("cordoned")
    submit(look.cluster, "sleep", "300", name="stays-on-n2")
    node.get_by_role("button", name="n2", exact=True).click()
    expect(page).to_have_title("Nodes · Quorate")
    expect(node).to_contain_text("stays-on-n2")
    expect(node).to_contain_text("cores")
    look.button("Uncordon n1: takes work again").click()

    look.button("Drain n2: empty it").click()
    look.dialog().get_by_label("Grace").fill("nonsense")
    look.dialog().get_by_role("button", name="Drain").click()
    expect(look.dialog().get_by_role("alert")).to_contain_text("not a duration")
    look.dialog().get_by_label("Grace").fill("0.1s")
    look.dialog().get_by_role("button", name="Drain").click()
    expect(node).to_contain_text("drained")
    look.card("n1").get_by_role("button", name="n1", exact=True).click()
    expect(look.card("n1")).to_contain_text("stays-on-n2")
    page.get_by_role("link", name="stays-on-n2").click()
    look.button("Cancel").click()
    expect(page.locator(".title .badge")).to_have_text("cancelled")
    look.go("nodes")
    look.button("Uncordon n2: takes work again").click()
    expect(node).to_contain_text("ready")


def test_a_service_is_created_scaled_visited_and_deleted(open_page):
    look = open_page("services")
    page = look.page
    expect(page.get_by_role("heading", name="No services")).to_be_visible()
    look.button("Create service").first.click()
    form = look.dialog()
    form.get_by_label("Name", exact=True).fill("web")
    form.get_by_label("Replicas").fill("1")
    form.get_by_label("Command line").fill(
        f"{sys.executable} -c '{SERVER.replace(chr(39), chr(34))}'"
    )
    form.get_by_label("Health check").fill("/")
    form.get_by_label("Grace for requests").fill("0.1s")
    form.get_by_text("Placement", exact=True).click()
    form.get_by_label("Only on nodes with").fill("node != n99")
    form.get_by_role("button", name="Create service").click()
    look.told("The service web was created.")
    panel = page.locator(".service")
    expect(panel).to_contain_text("1 of 1 ready", timeout=60_000)
    expect(panel.locator("tbody")).to_have_count(1)
    expect(panel).to_contain_text("Nodes withnode != n99")
    look.button("Scale").click()
    look.dialog().get_by_label("Replicas").fill("2")
    look.dialog().get_by_role("button", name="Scale").click()
    expect(panel).to_contain_text("2 of 2 ready", timeout=60_000)
    assert (
        json.dumps(ask_json(look.cluster, "v1/services/web")).count("INSTANCE_STATE_HEALTHY") == 2
    )
    with page.context.expect_page() as opened:
        panel.get_by_role("link", name="Open").click()
    # At an origin of its own, which the browser resolves to loopback by itself.
    expect(opened.value).to_have_url(re.compile(r"^https?://web\.localhost:\d+/$"))
    expect(opened.value.get_by_role("heading", name="Directory listing for /")).to_be_visible()
    opened.value.close()
    look.button("Delete web").click()
    look.dialog().get_by_role("button", name="Delete service").click()
    look.told("The service web was deleted.")
    expect(panel).to_have_count(0)


def test_a_service_of_outside_processes_shows_who_registered(open_page):
    look = open_page("services")
    look.button("Create service").first.click()
    look.dialog().get_by_label("Name", exact=True).fill("outside")
    look.dialog().get_by_label("Balancing").select_option(label="Round robin")
    look.dialog().get_by_role("button", name="Create service").click()
    panel = look.page.locator(".service").filter(has_text="outside")
    expect(panel).to_contain_text("No process has registered")
    expect(panel).to_contain_text("round robin")
    instance = {"instance": {"id": "mine", "address": "127.0.0.1:9", "state": 2}, "ttl": "30s"}
    ask_json(look.cluster, "v1/services/outside/instances", instance)
    expect(panel).to_contain_text("1 of 1 ready")
    expect(look.card("mine")).to_contain_text("127.0.0.1:9")
    look.button("Delete outside").click()
    look.dialog().get_by_role("button", name="Delete service").click()
    expect(panel).to_have_count(0)
