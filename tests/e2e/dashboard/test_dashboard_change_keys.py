"""Keys and shared limits of tasks that wait are changed in the dashboard: of one, and of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, submit
from tools.gateway_http import ask_json

QUEUE = "rekeyed"


@pytest.fixture(scope="module")
def queue(cluster: LocalCluster) -> Iterator[str]:
    """A paused queue, and a shared limit."""
    ask_json(cluster, "v1/queues", {"queue": {"name": QUEUE}})
    ask_json(cluster, f"v1/queues/{QUEUE}:pause", {})
    ask_json(cluster, "v1/limits", {"limit": {"name": "rekeyed-seats", "maxRunning": "2"}})
    yield QUEUE
    ask_json(cluster, "v1/tasks:cancel", {"queue": QUEUE})
    ask_json(cluster, "v1/limits/rekeyed-seats", method="DELETE")


def keys(cluster: LocalCluster, task: str) -> tuple[list[str], str, str, str]:
    spec = ask_json(cluster, f"v1/tasks/{task}")["task"]["spec"]
    names = ("limitKey", "fairnessKey", "orderingKey")
    first, second, third = (spec.get(name, "") for name in names)
    return spec.get("limits", []), first, second, third


def test_keys_and_limits_of_a_task_are_changed(
    open_page: Callable[..., Look], cluster: LocalCluster, queue: str
) -> None:
    task = submit(cluster, "true", queue=queue, name="rekeyed", limitKey="site-1", orderingKey="o")
    look = open_page(f"tasks/{task}")
    look.settled()
    look.button("Change").click()
    form = look.dialog()
    form.get_by_text("Keys and limits").click()
    expect(form.get_by_role("textbox", name="Limit key")).to_have_value("site-1")
    form.get_by_role("textbox", name="Fairness key").fill("acme")
    form.get_by_role("textbox", name="Ordering key").fill("")
    form.get_by_role("textbox", name="Shared limits").fill("rekeyed-none")
    form.get_by_role("button", name="Change", exact=True).click()
    # There is no such limit: the dialog says so, and nothing has changed.
    expect(form).to_contain_text("Limit 'rekeyed-none' does not exist")
    assert keys(cluster, task) == ([], "site-1", "", "o")
    form.get_by_role("textbox", name="Shared limits").fill("rekeyed-seats")
    form.get_by_role("button", name="Change", exact=True).click()
    look.told("rekeyed was changed.")
    expect(look.page.locator("dd").filter(has_text="rekeyed-seats")).to_be_visible()
    assert keys(cluster, task) == (["rekeyed-seats"], "site-1", "acme", "")


def test_keys_and_limits_of_many_tasks_are_changed_and_removed(
    open_page: Callable[..., Look], cluster: LocalCluster, queue: str
) -> None:
    tasks = [
        submit(
            *(cluster, "true"),
            queue=queue,
            name=f"many-rekeyed-{number}",
            limits=["rekeyed-seats"],
            orderingKey="o",
        )
        for number in range(2)
    ]
    look = open_page(f"tasks?queue={queue}&text=many-rekeyed")
    look.settled()
    for number in range(2):
        look.row(f"many-rekeyed-{number}").get_by_role("checkbox").check()
    bar = look.page.get_by_role("region", name="Selected tasks")
    bar.get_by_role("button", name="Change").click()
    form = look.dialog()
    form.get_by_text("Keys and limits").click()
    form.get_by_role("textbox", name="Limit key").fill("site-2")
    form.get_by_label("Remove shared limits").check()
    form.get_by_label("Remove ordering key").check()
    form.get_by_role("button", name="Count and change").click()
    question = look.page.get_by_role("dialog", name="Change 2 tasks?")
    question.get_by_role("button", name="Change 2 tasks").click()
    look.told("2 tasks changed.")
    for task in tasks:
        assert keys(cluster, task) == ([], "site-2", "", "")
