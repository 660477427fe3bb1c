"""Nodes whose agents are at fault, and lost nodes, look so: in the list and beside what is known.

The cluster is a fake one: no agent of ours is at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.v1 import node_pb2
from tests.support.dashboard import Look
from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.gateway import run_gateway
from tests.support.tls import ON

WHY = "it reported in the name of another process"


@pytest.fixture
def losing() -> Iterator[tuple[str, FakeCluster]]:
    """The address of a gateway of a cluster that a test takes nodes from."""
    if ON:
        pytest.skip("the fake cluster speaks plaintext")
    cluster = FakeCluster()
    server = FakeServer(cluster)
    cluster.nodes["n2"] = node_pb2.Node()
    cluster.nodes["n2"].CopyFrom(cluster.nodes["n1"])
    cluster.nodes["n2"].name = "n2"
    try:
        with run_gateway([server.address]) as gateway:
            yield f"{gateway.url}/", cluster
    finally:
        cluster.close()


@pytest.fixture
def misbehaved() -> Iterator[str]:
    """The address of a gateway of such a cluster: `n1` is at fault, `n2` is not.

    Asked for before `open_page`: the pages are closed first, and none sees the gateway go.
    """
    if ON:
        pytest.skip("the fake cluster speaks plaintext")
    cluster = FakeCluster()
    server = FakeServer(cluster)
    cluster.nodes["n2"] = node_pb2.Node()
    cluster.nodes["n2"].CopyFrom(cluster.nodes["n1"])
    cluster.nodes["n2"].name = "n2"
    cluster.nodes["n1"].fault = WHY
    try:
        with run_gateway([server.address]) as gateway:
            yield f"{gateway.url}/"
    finally:
        cluster.close()


def test_a_node_at_fault_says_what_its_agent_did(
    misbehaved: str, open_page: Callable[..., Look]
) -> None:
    look = open_page("nodes", address=misbehaved)
    node, other = look.card("n1"), look.card("n2")
    expect(node.locator('[data-label="State"]')).to_contain_text("at fault")
    expect(node.get_by_title(f"Its agent is at fault: {WHY}")).to_be_visible()
    expect(other).to_be_visible()
    expect(other).not_to_contain_text("at fault")
    look.page.get_by_role("button", name="n1", exact=True).click()
    detail = node.locator(".detail")
    expect(detail).to_contain_text(WHY)
    look.page.get_by_role("button", name="n2", exact=True).click()
    expect(other.locator(".detail")).not_to_contain_text("ErrorKind")


def lose(cluster: FakeCluster, name: str) -> None:
    gone = node_pb2.Node(name=name, state=node_pb2.NODE_STATE_LOST, slots=4)
    gone.loss.time.GetCurrentTime()
    gone.loss.why = "its lease ended and it does not answer"
    gone.loss.attempts = 22
    for number in range(2):
        gone.loss.some_attempts.add(task=f"{number:032x}", queue="default", attempt=1)
    cluster.nodes[name].CopyFrom(gone)


def test_a_lost_node_is_told_stays_listed_and_is_dismissed(
    losing: tuple[str, FakeCluster], open_page: Callable[..., Look]
) -> None:
    address, cluster = losing
    look = open_page("nodes", address=address)
    card = look.card("n2")
    expect(card.locator('[data-label="State"]')).to_contain_text("ready")
    lose(cluster, "n2")
    toast = look.page.locator(".toast.failed")
    expect(toast).to_contain_text("n2 is lost: its lease ended and it does not answer")
    expect(card.locator('[data-label="State"]')).to_contain_text("lost")
    expect(look.page.locator(".title")).to_contain_text("1 lost")
    toast.get_by_role("link", name="Show").click()
    detail = card.locator(".detail")
    expect(detail).to_contain_text("its lease ended and it does not answer")
    expect(detail.locator(".runs li")).to_have_count(2)
    expect(detail).to_contain_text("and 20 more")
    card.get_by_role("button", name="Dismiss n2: list it no longer").click()
    expect(look.page.locator(".toast", has_text="n2 is dismissed.")).to_be_visible()
    expect(card).to_have_count(0)
    assert "n2" not in cluster.nodes
