"""The first line of the overview: all is well, or what is not, each with where to look.

The cluster is a fake one: what is wrong with it is up to the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.v1 import cluster_pb2
from tests.support.dashboard import Look
from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.gateway import run_gateway
from tests.support.tls import ON


@pytest.fixture
def ill() -> Iterator[tuple[str, FakeCluster]]:
    """The address of a gateway, and its cluster."""
    if ON:
        pytest.skip("the fake cluster speaks plaintext")
    cluster = FakeCluster()
    server = FakeServer(cluster)
    try:
        with run_gateway([server.address]) as gateway:
            yield f"{gateway.url}/", cluster
    finally:
        cluster.close()


def problem(code: str, severity: int, sentence: str, kind: str, name: str) -> cluster_pb2.Problem:
    made = cluster_pb2.Problem(code=code, sentence=sentence, kind=kind, name=name)
    made.severity = severity  # type: ignore[assignment]
    made.since.GetCurrentTime()
    return made


def test_problems_come_with_links_and_go_when_they_are_mended(
    ill: tuple[str, FakeCluster], open_page: Callable[..., Look]
) -> None:
    address, cluster = ill
    look = open_page("overview", address=address)
    verdict = look.page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text("All is well")
    lost = "Node n1 is lost: its process is gone."
    cluster.problems = [
        problem("NODE_LOST", 2, lost, "node", "n1"),
        problem("DEAD_LETTERS_RISING", 2, "Queue default: 5 tasks failed.", "dead", "default"),
        problem("BACKUP_OLD", 1, "The cluster was never backed up.", "cluster", ""),
    ]
    expect(verdict).to_contain_text("2 problems")
    expect(verdict.locator("li")).to_have_count(3)
    expect(verdict).to_contain_text("never backed up")
    dead = verdict.get_by_role("link", name="Queue default: 5 tasks failed.")
    expect(dead).to_have_attribute("href", "#/dead?queue=default")
    cluster.problems = cluster.problems[2:]
    # A note alone leaves it well.
    expect(verdict).to_contain_text("All is well")
    expect(verdict.locator("li")).to_have_count(1)
    cluster.problems = [problem("NODE_LOST", 2, lost, "node", "n1")]
    verdict.get_by_role("link", name=lost).click()
    expect(look.page).to_have_url(f"{address}#/nodes/n1")


def test_many_problems_are_shown_when_asked_for(
    ill: tuple[str, FakeCluster], open_page: Callable[..., Look]
) -> None:
    address, cluster = ill
    cluster.problems = [
        problem("QUEUE_PAUSED", 2, f"Queue q{n} is paused.", "queue", f"q{n}") for n in range(9)
    ]
    look = open_page("overview", address=address, viewport={"width": 390, "height": 800})
    verdict = look.page.get_by_role("region", name="Verdict")
    expect(verdict.locator("li")).to_have_count(6)
    verdict.get_by_role("button", name="Show all 9").click()
    expect(verdict.locator("li")).to_have_count(9)
    wide = look.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
