"""A node whose agent is at fault looks so, in the list and beside what it says of itself.

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
