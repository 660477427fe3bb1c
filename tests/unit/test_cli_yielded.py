"""More running tasks than slots are explained where slots are shown."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from quorate.cli.cluster.nodes import running
from quorate.cli.cluster.status import _summary
from quorate.v1 import cluster_pb2, node_pb2


def _node(yielded: int) -> node_pb2.Node:
    stats = node_pb2.NodeStats(yielded=yielded)
    return node_pb2.Node(
        name="n1", state=node_pb2.NODE_STATE_READY, slots=3, running=6, stats=stats
    )


def test_a_node_s_running_tasks() -> None:
    assert running(_node(3)) == "6 (3 waiting)"
    assert running(_node(0)) == "6"


def test_the_cluster_s_busy_slots() -> None:
    text = StringIO()
    Console(file=text, width=120).print(_summary(cluster_pb2.Cluster(), [_node(3)]))
    assert "3 of 3 slots busy; 3 tasks wait for other tasks" in text.getvalue()
