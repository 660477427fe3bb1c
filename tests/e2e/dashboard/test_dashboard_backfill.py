"""Ticks of the past are run in the dashboard: which ones is shown before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json

# Browsers may be in any time zone.
UTC_PAGE = {"timezone_id": "UTC"}


@pytest.fixture(scope="module")
def paused(cluster: LocalCluster) -> str:
    """A queue in which nothing starts."""
    ask_json(cluster, "v1/queues", {"queue": {"name": "filled"}})
    ask_json(cluster, "v1/queues/filled:pause", {})
    return "filled"


@pytest.fixture
def hourly(cluster: LocalCluster, paused: str) -> Iterator[str]:
    """A schedule of every hour."""
    task = {"command": {"argv": ["echo", "hour"]}}
    spec = {"cron": "0 * * * *", "queue": paused, "task": task}
    ask_json(cluster, "v1/schedules", {"schedule": {"name": "filled", "spec": spec}})
    yield "filled"
    ask_json(cluster, "v1/schedules/filled", method="DELETE")
    ask_json(cluster, "v1/tasks:cancel", {"queue": "filled"})


def at(hours: float) -> str:
    """So many hours ago, to the minute, as a field for times has it."""
    past = datetime.now(UTC).replace(minute=30) - timedelta(hours=hours)
    return past.strftime("%Y-%m-%dT%H:%M")


def test_the_ticks_are_shown_before_they_run(
    open_page: Callable[..., Look], cluster: LocalCluster, hourly: str
) -> None:
    look = open_page("schedules", **UTC_PAGE)
    look.button("Run past ticks of filled").click()
    form = look.dialog()
    preview = form.get_by_test_id("preview")
    ticks = form.get_by_role("list", name="Ticks").get_by_role("listitem")
    # The last few ones are offered.
    expect(ticks).to_have_count(3)
    expect(preview).to_contain_text("echo hour in the queue filled")
    form.get_by_label("From").fill(at(6))
    form.get_by_label("To").fill(at(2))
    expect(preview).to_contain_text("4 ticks of the past would run, one after the other")
    expect(ticks).to_have_count(4)
    first = datetime.now(UTC).replace(minute=0, second=0) - timedelta(hours=5)
    expect(ticks.first).to_have_text(first.strftime("%Y-%m-%d %H:%M"))
    # Nothing runs yet.
    schedule = ask_json(cluster, "v1/schedules/filled")["schedule"]
    assert "backfill" not in schedule
    form.get_by_label("Runs").select_option("All at once")
    expect(preview).to_contain_text("all at once")
    form.get_by_role("button", name="Run 4 ticks").click()
    look.told("4 ticks of filled will run.")
    row = look.card("filled")
    row.get_by_role("button", name="filled", exact=True).click()
    runs = row.locator("section", has_text="Last runs").get_by_role("listitem")
    expect(runs).to_contain_text(["backfill"] * 4)
    found = ask_json(cluster, "v1/schedules/filled")["schedule"]["lastRuns"]
    assert {run["cause"] for run in found} == {"SCHEDULE_CAUSE_BACKFILL"}
    assert len(found) == 4


def test_what_cannot_run_is_said_beside_its_field(
    open_page: Callable[..., Look], hourly: str
) -> None:
    look = open_page("schedules", **UTC_PAGE)
    look.button("Run past ticks of filled").click()
    form = look.dialog()
    run = form.locator("footer").get_by_role("button", name="Run")
    expect(run).to_be_enabled()
    for label, value, words in (
        ("From", at(-2), "The schedule has no tick in this range."),
        ("To", at(-2), "Lies in the future; those ticks will run anyway."),
        ("From", at(1_100), "More than 1000 ticks lie in this range"),
    ):
        form.get_by_label("To").fill("")
        form.get_by_label("From").fill(at(3))
        expect(run).to_be_enabled()
        form.get_by_label(label).fill(value)
        expect(form.get_by_role("alert")).to_contain_text(words)
        expect(run).to_be_disabled()
        # The bound on ticks is about the range, and said at its end.
        named = "To" if words.startswith("More") else label
        field = look.field(named)
        expect(field.get_by_role("alert")).to_be_visible()
        expect(form.get_by_label(named, exact=True)).to_have_attribute("aria-invalid", "true")


def test_a_backfill_is_shown_until_it_is_done_and_another_one_waits_for_it(
    open_page: Callable[..., Look], hourly: str
) -> None:
    look = open_page("schedules", **UTC_PAGE)
    look.button("Run past ticks of filled").click()
    form = look.dialog()
    form.get_by_label("From").fill(at(9))
    form.get_by_role("button", name="Run 9 ticks").click()
    look.told("9 ticks of filled will run.")
    row = look.card("filled")
    row.get_by_role("button", name="filled", exact=True).click()
    expect(row.locator("dl")).to_contain_text("is left")
    look.button("Run past ticks of filled").click()
    expect(form.get_by_role("alert")).to_contain_text("has a backfill that is not finished")
