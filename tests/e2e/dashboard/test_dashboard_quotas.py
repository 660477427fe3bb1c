"""Quotas in the dashboard: what is used of what may be, and setting it, for whom may."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.auth import Locked
from tests.support.dashboard import Look, submit
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]


@pytest.fixture
def metered(cluster: LocalCluster) -> Iterator[str]:
    """A paused queue with a task in it; no quota is left behind."""
    name = "metered"
    ask_json(cluster, "v1/queues", {"queue": {"name": name}})
    ask_json(cluster, f"v1/queues/{name}:pause", {})
    task = submit(cluster, "true", queue=name)
    yield name
    for quota in ({"queue": name}, {"caller": "submitter:new"}):
        ask_json(cluster, "v1/quotas", {"quota": quota})
    ask_json(cluster, f"v1/tasks/{task}:cancel", {})
    ask_json(cluster, f"v1/tasks/{task}", method="DELETE")
    ask_json(cluster, f"v1/queues/{name}", method="DELETE")


def cell(look: Look, key: str, title: str):
    return look.card(key).locator(f'[data-label="{title}"]')


def test_a_quota_is_seen_set_met_edited_and_set_back(
    open_page: OpenPage, cluster: LocalCluster, metered: str
) -> None:
    look = open_page("overview")
    look.settled()
    look.page.keyboard.press("g")
    look.page.keyboard.press("u")
    expect(look.page.get_by_role("heading", name="Quotas", level=1)).to_be_visible()
    key = f"queue/{metered}"
    live = cell(look, key, "Live tasks")
    expect(live).to_have_text("1 of unlimited")
    expect(cell(look, key, "Watches")).to_have_text("–")
    me = ask_json(cluster, "v1/cluster")["caller"]["name"]
    expect(look.card(f"caller/{me}")).to_contain_text("you")
    expect(look.card("caller/*")).to_contain_text("Every other caller")

    look.button(f"Edit the quota of the queue {metered}").click()
    expect(look.dialog().get_by_label("Open watches")).to_have_count(0)
    look.dialog().get_by_label("Tasks that are not finished").fill("many")
    look.dialog().get_by_role("button", name="Set quota").click()
    expect(look.dialog()).to_contain_text("“many” is neither a whole number nor “unlimited”")
    look.dialog().get_by_label("Tasks that are not finished").fill("1")
    look.dialog().get_by_label("Bytes on record").fill("2M")
    look.dialog().get_by_role("button", name="Set quota").click()
    look.told(f"The quota of the queue {metered} was set.")
    expect(live).to_have_text("1 of 1")
    meter = live.get_by_role("meter", name="Tasks that are not finished: 1 of 1")
    expect(meter).to_have_attribute("aria-valuenow", "100")
    with pytest.raises(urllib.error.HTTPError) as refused:
        submit(cluster, "true", queue=metered)
    assert refused.value.code == 429

    # What is there is shown in the form, as it can be typed.
    look.button(f"Edit the quota of the queue {metered}").click()
    expect(look.dialog().get_by_label("Bytes on record")).to_have_value("2M")
    look.dialog().get_by_label("Tasks that are not finished").fill("5")
    look.dialog().get_by_role("button", name="Set quota").click()
    expect(live).to_have_text("1 of 5")
    expect(cell(look, key, "Stored")).to_contain_text("of 2 MiB")

    look.button(f"Set the queue {metered} back to the defaults").click()
    look.dialog().get_by_role("button", name="Set back").click()
    look.told(f"The defaults hold for the queue {metered}.")
    expect(live).to_have_text("1 of unlimited")
    expect(look.button(f"Set the queue {metered} back to the defaults")).to_have_count(0)


def test_a_new_quota_is_made_for_whom_nothing_is_known_of_yet(
    open_page: OpenPage, metered: str
) -> None:
    look = open_page("quotas?of=caller")
    expect(look.card("caller/*")).to_be_visible()
    expect(look.card(f"queue/{metered}")).to_have_count(0)

    def fill(**limits: str) -> None:
        # No key opens a second one, and one that is closing is still there for a moment.
        expect(look.page.locator("dialog")).to_have_count(0)
        look.page.keyboard.press("c")
        look.dialog().get_by_label("Name").fill("submitter:new")
        for label, text in limits.items():
            look.dialog().get_by_label(label.replace("_", " ")).fill(text)
        look.dialog().get_by_role("button", name="Set quota").click()

    fill()
    expect(look.dialog()).to_contain_text("Type at least one limit.")
    look.dialog().get_by_role("button", name="Cancel").click()
    fill(Open_watches="3", Calls_per_second="unlimited")
    expect(cell(look, "caller/submitter:new", "Watches")).to_have_text("0 of 3")
    expect(cell(look, "caller/submitter:new", "Calls/s")).to_have_text("0 of unlimited")
    # A second one of the same name would put the first out of force without a word.
    fill(Open_watches="4")
    expect(look.dialog()).to_contain_text(
        "There is a quota for the caller submitter:new: edit that one."
    )
    look.dialog().get_by_role("button", name="Cancel").click()
    # The audit log tells of it.
    look.go("audit?type=quota")
    made = look.page.locator("tbody").filter(has_text="caller/submitter:new").first
    expect(made).to_contain_text("open_watches 3")
    made.get_by_role("link").click()
    expect(look.page.get_by_role("heading", name="Quotas", level=1)).to_be_visible()


def test_a_rejection_keeps_what_was_typed(open_page: OpenPage, metered: str) -> None:
    look = open_page("quotas")
    look.button("Set quota").click()
    look.dialog().get_by_role("combobox").select_option("queue")
    look.dialog().get_by_label("Name").fill("no-such")
    look.dialog().get_by_label("Tasks that are not finished").fill("5")
    look.dialog().get_by_role("button", name="Set quota").click()
    expect(look.dialog().get_by_role("alert")).to_contain_text("no-such")
    expect(look.dialog().get_by_label("Name")).to_have_value("no-such")


@pytest.fixture
def as_role(open_page: OpenPage, guarded: Locked) -> Callable[[str], Look]:
    def open_as(token: str, view: str = "quotas") -> Look:
        address = f"https://{guarded.gateway}/"
        look = open_page(view, address=address, token=token, ignore_https_errors=True)
        return look

    return open_as


def test_who_may_only_read_sees_no_controls(as_role, guarded: Locked) -> None:
    look = as_role(guarded.make_token("viewer"))
    expect(look.card("queue/other")).to_contain_text("1 of unlimited")
    expect(look.page.locator(".view")).to_contain_text(
        "viewer:viewer-test may read quotas. Ask an admin to change them."
    )
    expect(look.button("Set quota")).to_have_count(0)
    expect(look.page.locator(".actions")).to_have_count(0)
    # The same view for somebody who may.
    look = as_role(guarded.make_token("admin"))
    expect(look.button("Set quota")).to_be_visible()
    expect(look.button("Edit the quota of the queue other")).to_be_visible()
    expect(look.page.locator(".view")).to_contain_text("No quota was set: the defaults hold.")


def test_a_bound_caller_sees_its_own_and_an_empty_list_says_what_it_is_for(
    as_role, guarded: Locked
) -> None:
    look = as_role(guarded.make_token("admin", "mail*"))
    expect(look.card("caller/admin:admin-test")).to_contain_text("you")
    expect(look.card("queue/other")).to_have_count(0)
    expect(look.button("Set quota")).to_have_count(0)
    look.button("Queues").click()
    empty = look.page.locator(".empty")
    expect(empty).to_contain_text("No queue uses anything")
    expect(empty).to_contain_text("listed here once you have tasks on record")


def test_who_may_not_read_quotas_is_told_so(as_role, guarded: Locked) -> None:
    look = as_role(guarded.make_token("scaler"))
    expect(look.page.locator(".view").get_by_role("alert")).to_contain_text(
        "The role scaler may not quotas.read."
    )
