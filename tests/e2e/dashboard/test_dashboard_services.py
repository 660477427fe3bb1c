"""Services that are not well look so: instances that fail checks, replicas that do not run."""

import urllib.error
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.support.dashboard import Look
from tests.support.fake_scheduler import wait_until
from tools.gateway_http import ask_json

Create = Callable[..., Locator]


@pytest.fixture
def look(open_page: Callable[..., Look]) -> Look:
    """At the services."""
    return open_page("services")


@pytest.fixture
def create(look: Look) -> Iterator[Create]:
    """Makes a service and finds its panel; it is gone after the test, for the tests beside it."""
    made: list[str] = []

    def one(name: str, **spec: object) -> Locator:
        ask_json(look.cluster, "v1/services", {"service": {"name": name, "spec": spec}})
        made.append(name)
        heading = look.page.get_by_role("heading", name=name)
        return look.page.locator(".service").filter(has=heading)

    yield one
    for name in made:
        ask_json(look.cluster, f"v1/services/{name}", method="DELETE")
        wait_until(lambda name=name: is_gone(look, name), 10)


def is_gone(look: Look, name: str) -> bool:
    try:
        ask_json(look.cluster, f"v1/services/{name}")
    except urllib.error.HTTPError as error:
        return error.code == 404
    return False


def test_an_outside_process_that_fails_its_checks_is_not_shown_as_ready(look, create):
    panel = create("dead", health={"tcp": True, "interval": "0.1s", "unhealthyAfter": 1})
    # Nobody listens there.
    instance = {"instance": {"id": "gone", "address": "127.0.0.1:9", "state": 2}, "ttl": "60s"}
    ask_json(look.cluster, "v1/services/dead/instances", instance)
    expect(look.card("gone")).to_contain_text("fails checks")
    expect(look.card("gone")).not_to_contain_text("healthy")
    expect(panel).to_contain_text("0 of 1 ready")


def test_replicas_that_keep_failing_are_listed_with_their_error(look, create):
    command = {"argv": ["sh", "-c", "exit 7"]}
    panel = create("crashes", command=command, replicas=2)
    expect(panel).to_contain_text("No replica runs now")
    rows = panel.get_by_role("table", name="Replicas of crashes that do not run").locator("tbody")
    expect(rows).to_have_count(2)
    for at in range(2):
        expect(rows.nth(at)).to_contain_text("EXIT_CODE exited with code 7")
        expect(rows.nth(at).locator('[data-label="Attempts"]')).not_to_have_text("0")
    rows.first.get_by_role("link").click()
    expect(look.page.get_by_role("heading", name="crashes")).to_be_visible()
    expect(look.page.locator(".panel.error")).to_contain_text("exited with code 7")


def test_replicas_beyond_the_first_few_are_a_number(look, create):
    # No node has so much of it: they wait for ever.
    panel = create(
        "many", command={"argv": ["true"]}, replicas=7, resources={"counters": {"none-such": 1}}
    )
    rows = panel.get_by_role("table", name="Replicas of many that do not run").locator("tbody")
    expect(rows).to_have_count(5)
    expect(rows.first).to_contain_text("waits for its first start")
    expect(rows.first).to_contain_text("it fits no node")
    panel.get_by_role("link", name="2 more replicas do not run").click()
    expect(look.page.get_by_test_id("total")).to_contain_text("7 found")


def test_replicas_that_fit_no_node_are_warned_of_when_they_are_asked_for(look, create):
    create("huge", command={"argv": ["true"]}, replicas=0, resources={"memory": str(900 << 30)})
    look.button("Scale").click()
    look.dialog().get_by_label("Replicas").fill("1")
    look.dialog().get_by_role("button", name="Scale").click()
    look.told("huge is being scaled to 1 replica.")
    look.told("No node has 900 GiB of memory")
