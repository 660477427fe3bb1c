"""Schedules in the dashboard: created, looked at, run, paused, resumed, changed and deleted."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json


def test_a_schedule_is_created_run_paused_changed_and_deleted(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    look = open_page("overview")
    page = look.page
    look.settled()
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Schedules", level=1)).to_be_visible()

    look.button("Create schedule").first.click()
    form = look.dialog()
    form.get_by_label("Name").fill("seen")
    form.get_by_label("Command").fill("echo 'hello world'")
    form.get_by_label("Cron").fill("61 * * * *")
    form.get_by_label("Time zone").fill("Europe/Berlin")
    form.get_by_label("While a run is not finished").select_option("One tick waits")
    form.get_by_role("button", name="Create schedule").click()
    wrong = look.field("Cron").get_by_role("alert")
    expect(wrong).to_have_text("Bad minute '61'; values are 0-59.")
    form.get_by_label("Cron").fill("30 2 * * *")
    form.get_by_role("button", name="Create schedule").click()
    look.told("The schedule seen was created.")
    row = look.card("seen")
    expect(row.locator('[data-label="When"]')).to_have_text("30 2 * * * Europe/Berlin")
    expect(row.locator('[data-label="State"]')).to_have_text("active")

    row.get_by_role("button", name="seen", exact=True).click()
    expect(row).to_contain_text("echo 'hello world'")
    expect(row).to_contain_text("queue one")
    expect(row).to_contain_text("up to 100 ticks of the last 1 h")
    ticks = row.locator("section", has_text="Next ticks").get_by_role("listitem")
    expect(ticks).to_have_count(10)

    look.button("Run seen now").click()
    look.told("seen runs now.")
    runs = row.locator("section", has_text="Last runs").get_by_role("listitem")
    expect(runs).to_contain_text(["by hand"])

    look.button("Pause seen").click()
    look.dialog().get_by_label("Reason").fill("moving house")
    look.dialog().get_by_label("For").fill("2h")
    look.dialog().get_by_role("button", name="Pause").click()
    look.told("The schedule seen is paused.")
    expect(row.locator('[data-label="State"]')).to_have_text("paused")
    expect(row).to_contain_text("moving house")
    look.button("Resume seen").click()
    look.told("The schedule seen goes on.")
    expect(row.locator('[data-label="State"]')).to_have_text("active")

    look.button("Change when seen fires").click()
    look.dialog().get_by_label("Cron").fill("")
    look.dialog().get_by_label("Every").fill("5m")
    look.dialog().get_by_role("button", name="Change").click()
    look.told("The schedule seen was changed.")
    expect(row.locator('[data-label="When"]')).to_have_text("every 5 min")
    spec = ask_json(cluster, "v1/schedules/seen")["schedule"]["spec"]
    assert spec["overlap"] == "OVERLAP_POLICY_QUEUE_ONE"

    look.button("Delete seen").click()
    look.dialog().get_by_role("button", name="Delete").click()
    look.told("The schedule seen was deleted.")
    expect(look.card("seen")).to_have_count(0)
