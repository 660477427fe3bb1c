"""The audit log in the dashboard: who changed what, by type, page by page."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json


def turn(cluster: LocalCluster, times: int = 1) -> None:
    """Two changes of the queue `watched` each time."""
    for _ in range(times):
        for verb in ("pause", "resume"):
            ask_json(cluster, f"v1/queues/watched:{verb}", {})


def test_who_changed_what_is_listed_by_type_and_page_by_page(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    ask_json(cluster, "v1/queues", {"queue": {"name": "watched"}})
    turn(cluster)
    ask_json(cluster, "v1/nodes/n2:cordon", {})
    ask_json(cluster, "v1/nodes/n2:uncordon", {})
    look = open_page("overview")
    page = look.page
    look.settled()
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Audit log", level=1)).to_be_visible()
    rows = page.locator("tbody")
    newest = rows.first
    expect(newest.locator('[data-label="Did"]')).to_have_text("UncordonNode")
    expect(newest.locator('[data-label="To"]')).to_have_text("node n2")
    expect(newest.locator('[data-label="Changed"]')).to_have_text("cordoned true → false")

    look.button("Queues").click()
    expect(newest.locator('[data-label="Did"]')).to_have_text("ResumeQueue")
    assert "type=queue" in page.url
    expect(rows.filter(has_text="node")).to_have_count(0)
    look.button("Services").click()
    expect(rows.filter(has_text="watched")).to_have_count(0)

    look.button("Queues").click()
    turn(cluster, 51)
    look.button("Refresh").click()
    expect(rows).to_have_count(100)
    look.button("Show older").click()
    expect(page.get_by_role("button", name="Show older")).to_have_count(0)
    created = rows.filter(has_text="CreateQueue").filter(has_text="watched")
    expect(created).to_contain_text("placement LEAST_LOADED")
    created.get_by_role("link", name="watched").click()
    expect(page.get_by_role("heading", name="Tasks", level=1)).to_be_visible()


def test_a_rejection_is_a_sentence(open_page: Callable[..., Look]) -> None:
    look = open_page("audit?type=nonsense")
    expect(look.page.get_by_role("alert")).to_contain_text("'nonsense' must be one of queue, node")
