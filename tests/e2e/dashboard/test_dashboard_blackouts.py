"""Blackouts of a schedule, and what becomes of its ticks when clocks change, in the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json

BERLIN = {"timezone_id": "Europe/Berlin"}


@pytest.fixture
def gone(cluster: LocalCluster) -> Iterator[None]:
    """The schedule of a test is deleted."""
    yield
    ask_json(cluster, "v1/schedules/quiet", method="DELETE")


def test_blackouts_and_clock_changes_are_set_and_cleared(
    open_page: Callable[..., Look], cluster: LocalCluster, gone: None
) -> None:
    look = open_page("schedules", **BERLIN)
    look.button("Create schedule").first.click()
    form = look.dialog()
    form.get_by_label("Name").fill("quiet")
    form.get_by_label("Command").fill("true")
    form.get_by_label("Every").fill("1h")
    form.get_by_text("Blackouts and clock changes").click()
    ranges = form.get_by_label("No ticks during")
    create = form.get_by_role("button", name="Create schedule")
    for text, words in (
        ("at noon", "is neither two dates"),
        ("2026-02-31/2026-03-02", "is not a date"),
        ("2026-12-27 to 2026-12-24", "ends before it begins"),
        ("0 9 * * 1-5/32d", "more than 31 d"),
        ("\n".join(["0 9 * * 1-5/8h"] * 17), "at most 16"),
        # By the server, of the second line.
        ("0 9 * * 1-5/8h\n0 99 * * */1h", "Line 2: bad hour '99'"),
    ):
        ranges.fill(text)
        create.click()
        field = look.field("No ticks during")
        expect(field.get_by_role("alert")).to_contain_text(words)
        expect(ranges).to_be_focused()
    ranges.fill("2026-12-24 18:00 to 2026-12-27\n0 9 * * 1-5/8h")
    form.get_by_label("A tick in the hour that is skipped").select_option("Does not run")
    form.get_by_label("A tick in the hour that comes twice").select_option("Runs both times")
    create.click()
    look.told("The schedule quiet was created.")
    spec = ask_json(cluster, "v1/schedules/quiet")["schedule"]["spec"]
    # Dates are of the browser's time zone.
    assert spec["blackouts"] == [
        {"startTime": "2026-12-24T17:00:00Z", "endTime": "2026-12-26T23:00:00Z"},
        {"cron": "0 9 * * 1-5", "duration": "28800s"},
    ]
    assert spec["dstGap"] == "DST_GAP_POLICY_SKIP"
    assert spec["dstFold"] == "DST_FOLD_POLICY_BOTH"
    anchor = spec["interval"]["anchor"]
    row = look.card("quiet")
    row.get_by_role("button", name="quiet", exact=True).click()
    expect(row.locator("dl")).to_contain_text("skipped ticks do not run")

    look.button("Change when quiet fires").click()
    expect(ranges).to_have_value("2026-12-24 18:00 to 2026-12-27\n0 9 * * 1-5/8h")
    skipped = form.get_by_label("A tick in the hour that is skipped")
    expect(skipped).to_have_value("DST_GAP_POLICY_SKIP")
    form.get_by_role("button", name="Change", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("Nothing is changed.")
    ranges.fill("")
    form.get_by_label("A tick in the hour that comes twice").select_option("Runs the first time")
    form.get_by_role("button", name="Change", exact=True).click()
    look.told("The schedule quiet was changed.")
    spec = ask_json(cluster, "v1/schedules/quiet")["schedule"]["spec"]
    assert "blackouts" not in spec
    assert spec["dstFold"] == "DST_FOLD_POLICY_FIRST"
    # What was not changed is as it was: the interval counts from the same instant.
    assert (spec["dstGap"], spec["interval"]["anchor"]) == ("DST_GAP_POLICY_SKIP", anchor)
    expect(row.locator("dl")).not_to_contain_text("No ticks")


def test_errors_of_the_server_are_beside_their_fields(open_page: Callable[..., Look]) -> None:
    look = open_page("schedules")
    look.button("Create schedule").first.click()
    form = look.dialog()
    form.get_by_label("Name").fill("wrong")
    form.get_by_label("Command").fill("true")
    for label, value, words in (
        ("Cron", "61 * * * *", "Bad minute '61'"),
        ("Time zone", "Europe/Atlantis", "is not a known time zone"),
        ("Jitter", "2d", "more than 1 d"),
        ("Every", "0.5s", "less than 1 s"),
    ):
        form.get_by_label("Cron").fill("@daily")
        form.get_by_label("Time zone").fill("UTC")
        form.get_by_label(label).fill(value)
        form.get_by_role("button", name="Create schedule").click()
        field = look.field(label)
        expect(field.get_by_role("alert")).to_contain_text(words)
        form.get_by_label(label).fill("")
    look.page.keyboard.press("Escape")
