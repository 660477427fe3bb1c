"""`quorate nodes --idle`: which nodes may go, the one that is idle longest first."""

from __future__ import annotations

from quorate.cli.cluster.nodes import idle_for
from quorate.v1 import node_pb2
from scheduler.api.nodes import views
from scheduler.api.views import instant
from tests.support.core import Cluster
from tests.support.core_specs import START


def node(name: str, since: float | None) -> node_pb2.Node:
    return node_pb2.Node(name=name, idle_since=instant(since) if since else None)


def test_the_longest_idle_come_first_and_those_at_work_not_at_all() -> None:
    found = [node("busy", None), node("new", 95.0), node("old", 10.0), node("older", 5.0)]
    names = [each.name for each in idle_for(found, 30.0, now=100.0)]
    assert names == ["older", "old"]
    assert [each.name for each in idle_for(found, 5.0, now=100.0)] == ["older", "old", "new"]
    assert idle_for(found, 96.0, now=100.0) == []


def test_the_leader_tells_since_when_a_node_holds_nothing() -> None:
    c = Cluster()
    n = c.node("n1")

    def seen() -> node_pb2.Node:
        row = c.state.nodes[n.name]
        return views.node(row, c.state.control(n.name))

    assert seen().idle_since == instant(START)
    c.advance(3.0)
    task = c.submit()
    assert not seen().HasField("idle_since")
    c.advance(3.0)
    n.succeed(task)
    assert seen().idle_since == instant(START + 6.0)
