"""Tasks are submitted in the dashboard with keys and shared limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, submit
from tests.support.fake_scheduler import wait_until
from tools.gateway_http import ask_json


@pytest.fixture(scope="module")
def queue(cluster: LocalCluster) -> str:
    """A paused queue, and a shared limit."""
    ask_json(cluster, "v1/queues", {"queue": {"name": "keyed"}})
    ask_json(cluster, "v1/queues/keyed:pause", {})
    ask_json(cluster, "v1/limits", {"limit": {"name": "keyed-seats", "maxRunning": "2"}})
    return "keyed"


def opened(look: Look, name: str) -> Locator:
    """The form, with its part about keys open."""
    look.button("Submit task").first.click()
    form = look.dialog()
    form.get_by_label("Command line").fill("true")
    form.get_by_label("Name (optional)").fill(name)
    form.get_by_text("Keys and limits").click()
    return form


def send(form: Locator) -> None:
    form.get_by_role("button", name="Submit", exact=True).click()


def test_a_task_has_all_kinds_of_keys(
    open_page: Callable[..., Look], cluster: LocalCluster, queue: str
) -> None:
    look = open_page(f"tasks?queue={queue}")
    form = opened(look, "has-keys")
    expect(form.get_by_label("If a task has the key")).to_be_disabled()
    form.get_by_label("Unique key").fill("report-7")
    form.get_by_label("If a task has the key").select_option("Replace that task")
    form.get_by_label("Unique for").fill("1h")
    form.get_by_label("Ordering key").fill("account-7")
    form.get_by_label("Fairness key").fill("acme")
    form.get_by_label("Limit key").fill("customer-7")
    form.get_by_role("button", name="keyed-seats").click()
    expect(form.get_by_label("Shared limits", exact=True)).to_have_value("keyed-seats")
    send(form)
    look.told("has-keys was submitted.")
    (task,) = ask_json(cluster, f"v1/tasks?queue={queue}&text=has-keys")["tasks"]
    spec = task["spec"]
    assert spec["unique"] == {
        "key": "report-7",
        "onConflict": "UNIQUE_CONFLICT_REPLACE",
        "window": "3600s",
    }
    keys = (spec["orderingKey"], spec["fairnessKey"], spec["limitKey"], spec["limits"])
    assert keys == ("account-7", "acme", "customer-7", ["keyed-seats"])
    ask_json(cluster, f"v1/tasks/{task['id']}:cancel", {})


def test_the_queue_that_is_looked_at_is_offered_also_before_it_is_known(
    open_page: Callable[..., Look],
) -> None:
    form = opened(open_page("tasks?queue=not-made-yet"), "early")
    expect(form.get_by_label("Queue")).to_have_value("not-made-yet")
    send(form)
    expect(form.get_by_role("alert")).to_contain_text("not-made-yet")


def test_without_keys_a_task_has_none(
    open_page: Callable[..., Look], cluster: LocalCluster, queue: str
) -> None:
    look = open_page(f"tasks?queue={queue}")
    send(opened(look, "has-none"))
    look.told("has-none was submitted.")
    (task,) = ask_json(cluster, f"v1/tasks?queue={queue}&text=has-none")["tasks"]
    keys = {"unique", "orderingKey", "fairnessKey", "limitKey", "limits"}
    assert not keys & task["spec"].keys()
    ask_json(cluster, f"v1/tasks/{task['id']}:cancel", {})


def test_what_is_wrong_is_said_beside_its_field(
    open_page: Callable[..., Look], cluster: LocalCluster, queue: str
) -> None:
    there = submit(cluster, "true", queue=queue, unique={"key": "taken"})
    look = open_page(f"tasks?queue={queue}")
    form = opened(look, "wrong")

    def refused(label: str, words: str) -> None:
        send(form)
        field = look.field(label)
        expect(field.get_by_role("alert")).to_contain_text(words)
        expect(form.get_by_label(label, exact=True)).to_be_focused()
        expect(form.get_by_role("alert")).to_have_count(1)

    # Before the server is asked.
    form.get_by_label("Unique for").fill("1h")
    refused("Unique key", "needs a key")
    form.get_by_label("Unique key").fill("taken")
    for window, words in (("0.5s", "less than 1 s"), ("32d", "more than 31 d")):
        form.get_by_label("Unique for").fill(window)
        refused("Unique for", words)
    form.get_by_label("Unique for").fill("")
    form.get_by_label("Shared limits", exact=True).fill("Not A Name")
    refused("Shared limits", "is not the name of a limit")
    form.get_by_label("Shared limits", exact=True).fill(", ".join(f"l{n}" for n in range(17)))
    refused("Shared limits", "at most 16")
    for label in ("Unique key", "Ordering key", "Fairness key", "Limit key"):
        expect(form.get_by_label(label, exact=True)).to_have_attribute("maxlength", "256")
    # By the server, in a part of the form that was closed.
    form.get_by_label("Unique key").fill("")
    form.get_by_label("Shared limits", exact=True).fill("nobody-made-it")
    form.get_by_text("Keys and limits").click()
    expect(form.get_by_label("Unique key")).to_be_hidden()
    refused("Shared limits", "nobody-made-it")
    form.get_by_label("Shared limits", exact=True).fill("")
    form.get_by_label("Unique key").fill("taken")
    form.get_by_label("If a task has the key").select_option("Refuse the new one")
    refused("Unique key", "taken")
    # What is typed again is not wrong any more.
    form.get_by_label("Unique key").fill("free")
    expect(form.get_by_role("alert")).to_have_count(0)
    look.page.keyboard.press("Escape")
    ask_json(cluster, f"v1/tasks/{there}:cancel", {})


def test_a_taken_key_answers_with_the_task_that_has_it(
    open_page: Callable[..., Look], cluster: LocalCluster, queue: str
) -> None:
    there = submit(cluster, "true", queue=queue, name="first-one", unique={"key": "only-once"})
    look = open_page(f"tasks?queue={queue}")
    look.settled()
    created = ask_json(cluster, f"v1/tasks/{there}")["task"]["createTime"]
    # The page takes a task for an earlier one by the cluster's clock, to the second.
    wait_until(
        lambda: look.page.evaluate("([at]) => Date.now() > Date.parse(at) + 4000", [created]), 30
    )
    form = opened(look, "second-one")
    form.get_by_label("Unique key").fill("only-once")
    send(form)
    look.told("A task has the unique key “only-once”: nothing was submitted.")
    look.page.locator(".toast").get_by_role("link", name="Open").click()
    expect(look.page.get_by_role("heading", name="first-one")).to_be_visible()
    ask_json(cluster, f"v1/tasks/{there}:cancel", {})


def test_the_form_is_whole_on_a_phone(open_page: Callable[..., Look], queue: str) -> None:
    look = open_page(f"tasks?queue={queue}", viewport={"width": 390, "height": 844})
    form = opened(look, "small")
    form.get_by_text("More options").click()
    expect(form.get_by_role("button", name="Submit", exact=True)).to_be_in_viewport()
    wide = form.evaluate("form => [form.scrollWidth, form.clientWidth]")
    assert wide[0] <= wide[1]
    look.page.keyboard.press("Escape")
