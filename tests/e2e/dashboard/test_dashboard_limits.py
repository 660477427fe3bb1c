"""Limits in the dashboard: those that queues share, and the settings of a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]


@pytest.fixture
def bounded(cluster: LocalCluster) -> Iterator[str]:
    """A paused queue."""
    name = "bounded"
    ask_json(cluster, "v1/queues", {"queue": {"name": name}})
    ask_json(cluster, f"v1/queues/{name}:pause", {})
    yield name
    ask_json(cluster, f"v1/queues/{name}", method="DELETE")


def cell(look: Look, key: str, title: str):
    return look.card(key).locator(f'[data-label="{title}"]')


def test_a_limit_is_created_used_changed_and_deleted(
    open_page: OpenPage, cluster: LocalCluster, bounded: str
) -> None:
    look = open_page("overview")
    look.settled()
    look.page.keyboard.press("g")
    look.page.keyboard.press("l")
    expect(look.page.get_by_role("heading", name="Limits", level=1)).to_be_visible()
    look.page.locator("[data-create]").get_by_role("button", name="Create limit").click()
    look.dialog().get_by_label("Name").fill("licence")
    look.dialog().get_by_label("Running tasks").fill("0")
    look.dialog().get_by_role("button", name="Create limit").click()
    expect(look.dialog()).to_contain_text("“0” is not a whole number of at least 1")
    look.dialog().get_by_label("Running tasks").fill("2")
    look.dialog().get_by_role("button", name="Create limit").click()
    expect(cell(look, "licence", "Running tasks")).to_contain_text("0 of 2")

    spec = {"command": {"argv": ["true"]}, "limits": ["licence"], "limitKey": "customer-7"}
    task = ask_json(cluster, f"v1/queues/{bounded}/tasks", {"spec": spec})["task"]["id"]
    expect(cell(look, "licence", "Unfinished tasks")).to_have_text("1")
    look.button("Edit licence").click()
    look.dialog().get_by_label("Starts").fill("5/m")
    look.dialog().get_by_role("button", name="Change limit").click()
    expect(cell(look, "licence", "Starts")).to_have_text("5/m")

    look.button("Delete licence").click()
    expect(look.dialog()).to_contain_text("1 unfinished task name")
    look.dialog().get_by_role("button", name="Delete limit").click()
    expect(look.dialog()).to_contain_text("is named by 1 unfinished tasks")
    ask_json(cluster, f"v1/tasks/{task}:cancel", {})
    look.dialog().get_by_role("button", name="Delete limit").click()
    expect(look.card("licence")).to_have_count(0)
    ask_json(cluster, f"v1/tasks/{task}", method="DELETE")


def test_the_settings_of_a_queue_are_changed(
    open_page: OpenPage, cluster: LocalCluster, bounded: str
) -> None:
    look = open_page("queues")
    look.settled()
    look.button(f"Settings of {bounded}").click()
    look.dialog().locator("[name=maxRunning]").fill("3")
    look.dialog().locator("[name=rate]").fill("100/15m burst 7")
    look.dialog().get_by_label("Waiting tasks").fill("50")
    look.dialog().get_by_label("When so many wait").select_option("The oldest task fails")
    look.dialog().get_by_role("button", name="Change settings").click()
    expect(look.card(bounded)).to_contain_text("at most 3 at once, 100/15m burst 7, 50 waiting")
    queue = ask_json(cluster, f"v1/queues/{bounded}")["queue"]
    assert queue["lengthPolicy"] == "LENGTH_POLICY_DROP_OLDEST"
    assert queue["retention"]["age"] == "86400s"

    look.button(f"Settings of {bounded}").click()
    expect(look.dialog().locator("[name=rate]")).to_have_value("100/15m burst 7")
    look.dialog().locator("[name=maxRunning]").fill("")
    look.dialog().locator("[name=rate]").fill("often")
    look.dialog().get_by_role("button", name="Change settings").click()
    expect(look.dialog()).to_contain_text("“often” is not a rate such as 10/s or 100/15m")
    look.dialog().locator("[name=rate]").fill("")
    look.dialog().get_by_label("Waiting tasks").fill("")
    look.dialog().get_by_label("When so many wait").select_option("New tasks are refused")
    look.dialog().get_by_role("button", name="Change settings").click()
    expect(look.card(bounded)).not_to_contain_text("at most")
