"""Hooks, tasks that put themselves off, and start deadlines in the dashboard."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

import quorate
from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, submit
from tools.gateway_http import ask_json


def test_a_task_is_submitted_with_hooks_and_says_how_they_ended(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    look = open_page("tasks")
    look.settled()
    look.button("Submit task").first.click()
    dialog = look.dialog()
    dialog.get_by_label("Command line").fill("cat numbers")
    dialog.get_by_label("Name (optional)").fill("around")
    dialog.get_by_text("More options").click()
    dialog.get_by_label("Set-up").fill("sh -c 'echo 3 5 8 > numbers'")
    dialog.get_by_label("Clean-up").fill("sh -c 'echo swept; exit 9'")
    dialog.get_by_role("button", name="Submit").click()
    look.told("around was submitted.")
    look.page.get_by_role("link", name="Open", exact=True).click()
    page = look.page
    expect(page.locator(".title .badge")).to_contain_text("succeeded")
    expect(page.locator("dd").filter(has_text="echo 3 5 8 > numbers")).to_be_visible()
    facts = page.locator("dd").filter(has_text="set-up ok in")
    expect(facts).to_contain_text("clean-up failed: the clean-up exited with code 9")
    expect(page.locator(".stretch .why")).to_contain_text("exited with code 9")
    facts.get_by_role("button", name="Log of attempt 1").click()
    expect(page.get_by_role("log", name="Log of attempt 1")).to_contain_text("swept")


def test_a_task_that_put_itself_off_says_how_often_until_when_and_why(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    def not_yet() -> None:
        raise quorate.Snooze(600, "the order is not packed yet")

    with quorate.Client(data_dir=cluster.data_dir) as client:
        handle = client.options(name="packs").submit(not_yet)
    look = open_page(f"tasks/{handle.id}")
    look.settled()
    expect(look.page.locator(".title .badge")).to_contain_text("snoozed")
    snoozed = look.page.locator("dd").filter(has_text="the order is not packed yet")
    expect(snoozed).to_contain_text("1 time; the order is not packed yet")
    expect(look.page.locator(".facts").filter(has_text="Starts")).to_contain_text("in 9 min")
    look.go("tasks")
    row = look.row("packs")
    expect(row.locator(".badge")).to_contain_text("snoozed")
    expect(row.locator("small")).to_contain_text("1 time; the order is not packed yet")
    ask_json(cluster, f"v1/tasks/{handle.id}:cancel", {})


def test_a_start_deadline_is_shown_until_the_task_expires(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    ask_json(cluster, "v1/queues", {"queue": {"name": "late"}})
    ask_json(cluster, "v1/queues/late:pause", {})
    waits = submit(cluster, "true", queue="late", name="soon", startDeadline="200s")
    look = open_page(f"tasks/{waits}")
    look.settled()
    expires = look.page.locator("dd").filter(has_text="unless it starts")
    expect(expires).to_contain_text("in 3 min")
    expect(look.page.locator(".facts").filter(has_text="Start deadline")).to_be_visible()
    look.go("tasks?queue=late")
    expect(look.row("soon").locator("small")).to_contain_text("expires in 3 min")
    ask_json(cluster, f"v1/tasks/{waits}:cancel", {})
    expect(look.row("soon").locator("small")).to_have_count(0)
