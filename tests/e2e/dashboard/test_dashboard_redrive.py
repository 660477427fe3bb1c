"""A failed task is retried with changes in the dashboard: what it runs, its options, its queue."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, python, submit
from tools.gateway_http import ask_json


def dead(cluster: LocalCluster, task: str) -> str:
    """The id of a task that has failed."""
    ask_json(cluster, f"v1/tasks/{task}:wait")
    return task


def full(cluster: LocalCluster, task: str) -> dict[str, object]:
    """A task with its whole spec."""
    found = ask_json(cluster, f"v1/tasks/{task}?view=TASK_VIEW_FULL")["task"]
    assert isinstance(found, dict)
    return found


def test_a_dead_letter_is_mended_and_runs_in_another_queue(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    for queue in ("mended", "mended-elsewhere"):
        ask_json(cluster, "v1/queues", {"queue": {"name": queue}})
    stdin = base64.b64encode(b"kept\n").decode()
    spec = {
        "command": {"argv": ["sh", "-c", "exit 3"], "env": {"A": "1"}, "stdin": stdin},
        "name": "mended",
        "labels": {"team": "mail"},
        "retry": {"maxAttempts": 1, "crashLimit": 7},
        "resources": {"cpu": 0.5},
    }
    body = {"spec": spec}
    task = str(ask_json(cluster, "v1/queues/mended/tasks", body)["task"]["id"])
    dead(cluster, task)
    look = open_page("dead?queue=mended")
    look.button("Show the tasks").click()
    look.button("Retry mended with changes").click()
    form = look.dialog()
    expect(form.get_by_label("Command line")).to_have_value("sh -c 'exit 3'")
    expect(form.get_by_label("Standard input")).to_have_value("kept\n")
    form.get_by_label("Command line").fill("cat")
    form.get_by_label("Priority").fill("7")
    form.get_by_label("Environment").fill("A=1\nB=2")
    form.get_by_label("Queue").select_option("mended-elsewhere")
    form.get_by_role("button", name="Retry", exact=True).click()
    look.told("mended will run again in mended-elsewhere.")
    expect(look.page.get_by_role("heading", name="No failed tasks")).to_be_visible()
    ended = ask_json(cluster, f"v1/tasks/{task}:wait")["task"]
    assert (ended["state"], ended["queue"]) == ("TASK_STATE_SUCCEEDED", "mended-elsewhere")
    found = full(cluster, task)["spec"]
    assert isinstance(found, dict)
    # What was not changed is as it was, also what no field shows.
    assert found["command"] == {"argv": ["cat"], "env": {"A": "1", "B": "2"}, "stdin": stdin}
    assert (found["priority"], found["labels"]) == (7, spec["labels"])
    assert (found["retry"], found["resources"]) == (spec["retry"], spec["resources"])
    assert "notBefore" not in found


def test_arguments_are_changed_on_the_tasks_page_and_errors_are_beside_their_fields(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    task = dead(cluster, python(cluster, "json:loads", ["{bad"], name="bad-arguments"))
    look = open_page(f"tasks/{task}")
    look.button("Retry with changes").click()
    form = look.dialog()
    arguments = form.get_by_label("Arguments (JSON)")
    expect(arguments).to_have_value('["{bad"]')
    arguments.fill('["{bad')
    form.get_by_role("button", name="Retry", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("It is not JSON")
    expect(arguments).to_be_focused()
    # Of the server, in a closed part of the form.
    arguments.fill('["{}"]')
    form.get_by_text("Keys and limits").click()
    form.get_by_label("Shared limits").fill("no-such-limit")
    form.get_by_text("Keys and limits").click()
    form.get_by_role("button", name="Retry", exact=True).click()
    limits = look.field("Shared limits")
    expect(limits.get_by_role("alert")).to_contain_text("no-such-limit")
    expect(form.get_by_label("Shared limits")).to_be_focused()
    form.get_by_label("Shared limits").fill("")
    form.get_by_role("button", name="Retry", exact=True).click()
    look.told("bad-arguments will run again.")
    expect(look.page.locator(".title .badge")).to_have_text("succeeded")


def test_the_whole_specification_is_edited_and_goes_on_from_the_fields(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    task = dead(cluster, submit(cluster, "sh", "-c", "exit 4", name="whole"))
    look = open_page(f"tasks/{task}")
    look.button("Retry with changes").click()
    form = look.dialog()
    form.get_by_label("Priority").fill("3")
    form.get_by_role("button", name="Whole specification").click()
    text = form.get_by_label("Specification (JSON)")
    edited = json.loads(text.input_value())
    assert edited["priority"] == 3
    text.fill("{")
    form.get_by_role("button", name="Retry", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("It is not JSON")
    edited["command"]["argv"] = ["true"]
    edited["timeout"] = "-1s"
    text.fill(json.dumps(edited))
    form.get_by_role("button", name="Retry", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("-1 s is out of range")
    edited["timeout"] = "60s"
    text.fill(json.dumps(edited))
    form.get_by_role("button", name="Fields").click()
    expect(form.get_by_label("Command line")).to_have_value("true")
    expect(form.get_by_label("Timeout of an attempt")).to_have_value("1 min")
    form.get_by_role("button", name="Retry", exact=True).click()
    look.told("whole will run again.")
    expect(look.page.locator(".title .badge")).to_have_text("succeeded")
    spec = full(cluster, task)["spec"]
    assert isinstance(spec, dict)
    assert (spec["priority"], spec["timeout"]) == (3, "60s")


def test_a_task_that_is_not_moved_does_not_start_and_is_tried_again(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    """The other queue is full: its error is beside the queue."""
    ask_json(cluster, "v1/queues", {"queue": {"name": "kept-back"}})
    ask_json(cluster, "v1/queues", {"queue": {"name": "kept-back-full", "maxLength": "1"}})
    ask_json(cluster, "v1/queues/kept-back-full:pause", {})
    waits = submit(cluster, "true", queue="kept-back-full")
    task = dead(cluster, submit(cluster, "sh", "-c", "exit 5", queue="kept-back", name="held"))
    look = open_page(f"tasks/{task}")
    look.button("Retry with changes").click()
    form = look.dialog()
    form.get_by_label("Command line").fill("true")
    form.get_by_label("Queue").select_option("kept-back-full")
    form.get_by_role("button", name="Retry", exact=True).click()
    queue = look.field("Queue")
    expect(queue.get_by_role("alert")).to_contain_text("kept-back-full")
    expect(form).to_contain_text("because it was not moved")
    assert full(cluster, task)["state"] == "TASK_STATE_SCHEDULED"
    form.get_by_label("Queue").select_option("kept-back")
    form.get_by_role("button", name="Retry", exact=True).click()
    look.told("held will run again.")
    expect(look.page.locator(".title .badge")).to_have_text("succeeded")
    ask_json(cluster, f"v1/tasks/{waits}:cancel", {})
