"""Dead letters in the dashboard: groups by error, their tasks, retried and deleted."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, submit
from tools.gateway_http import ask_json


def test_failed_tasks_are_grouped_retried_and_deleted(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    ask_json(cluster, "v1/queues", {"queue": {"name": "dead"}})
    exits = [
        submit(cluster, "sh", "-c", f"exit {code}", queue="dead", name=f"exits-{code}")
        for code in (3, 4)
    ]
    odd = submit(cluster, "/nowhere/at-all", queue="dead", name="odd")
    for task in (*exits, odd):
        ask_json(cluster, f"v1/tasks/{task}:wait")
    look = open_page("overview")
    page = look.page
    look.settled()
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Dead letters", level=1)).to_be_visible()
    page.get_by_label("Queue").select_option("dead")
    rows = page.get_by_role("table", name="Dead letters").locator("tbody")
    expect(rows).to_have_count(2)
    largest = rows.first
    expect(largest.locator('[data-label="Tasks"]')).to_have_text("2")
    expect(largest.locator('[data-label="Error"]')).to_contain_text("EXIT_CODE")

    largest.get_by_role("button", name="Show the tasks").click()
    tasks = page.get_by_role("list", name="Newest tasks of the group").get_by_role("link")
    expect(tasks).to_have_text(["exits-4", "exits-3"])

    # Counted first; at two a second the second one waits for its turn.
    ask_json(cluster, "v1/queues/dead:pause", {})
    largest.get_by_role("button", name="Retry the group").click()
    expect(look.dialog().get_by_test_id("count")).to_contain_text("2 tasks.")
    look.dialog().get_by_label("Tasks a second").fill("0.05")
    look.dialog().get_by_role("button", name="Retry").click()
    look.told("2 tasks will run again.")
    expect(rows).to_have_count(1)
    states = {
        str(ask_json(cluster, f"v1/tasks/{task}")["task"]["state"]).removeprefix("TASK_STATE_")
        for task in exits
    }
    assert states == {"PENDING", "SCHEDULED"}

    rows.first.get_by_role("button", name="Delete the group").click()
    expect(look.dialog().get_by_test_id("count")).to_contain_text("1 task.")
    look.dialog().get_by_role("button", name="Delete").click()
    look.told("1 task deleted.")
    expect(page.get_by_role("heading", name="No failed tasks")).to_be_visible()
    ask_json(cluster, "v1/tasks:cancel", {"queue": "dead"})
