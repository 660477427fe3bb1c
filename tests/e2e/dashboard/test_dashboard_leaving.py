"""A node that a scale-down may end is shown as such, until it is taken back."""

from __future__ import annotations

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from quorate.externalscaler import externalscaler_pb2 as pb
from tests.support.local import open_scheduler


def ask(cluster: LocalCluster, **metadata: str) -> float:
    """How many nodes are wanted, as KEDA asks it."""
    with open_scheduler(cluster) as channel:
        call = channel.unary_unary(
            "/externalscaler.ExternalScaler/GetMetrics",
            request_serializer=pb.GetMetricsRequest.SerializeToString,
            response_deserializer=pb.GetMetricsResponse.FromString,
        )
        wish = pb.ScaledObjectRef(name="agent", scalerMetadata=metadata)
        request = pb.GetMetricsRequest(scaledObjectRef=wish, metricName="quorate-nodes")
        return float(call(request, timeout=60).metricValues[0].metricValueFloat)


def test_a_node_that_is_leaving_says_so_and_why(open_page, cluster: LocalCluster) -> None:
    look = open_page("nodes")
    expect(look.card("n1")).to_contain_text("ready")
    # One of the two may go: that which is idle longest.
    assert ask(cluster, minNodes="1", idleSeconds="0") == 2.0
    leaving = look.page.locator("tbody").filter(has_text="leaving")
    expect(leaving).to_have_count(1)
    (name,) = leaving.evaluate_all("all => all.map(each => each.dataset.name)")
    expect(look.page.get_by_title("fewer nodes are wanted")).to_have_count(1)
    leaving.get_by_role("button", name=name, exact=True).click()
    expect(look.card(name)).to_contain_text("a scale-down may end it")
    # It takes work like any other: an operator may close it, there is nothing to open.
    expect(look.button(f"Cordon {name}: no new work")).to_be_visible()
    # A trigger that wants no marks takes it back, for the tests that follow, too.
    assert ask(cluster, leavingSeconds="0", minNodes="2") == 2.0
    expect(look.card(name)).to_contain_text("ready")
    expect(look.card(name)).not_to_contain_text("scale-down")
