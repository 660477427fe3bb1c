"""Numbers that cannot be, reported by a node: placement, the scaler and the views go on."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, nan
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_pb2, task_pb2
from scheduler.agents.reports import events_of
from scheduler.api.nodes import views
from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.look import look
from scheduler.autoscaling.plan import Demand, plan
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control, ScalingDown
from scheduler.core.model.state import State
from scheduler.core.placement.strategies.least_loaded import load
from scheduler.core.values import Needs
from scheduler.storage import records
from scheduler.telemetry.metrics import _nodes
from tests.support.core import Cluster
from tests.support.core_node import FakeNode

FLOATS = [nan, inf, -inf, -1.0, -0.0, 1.5, 1e308, -1e308]
INT64 = st.integers(-(2**63), 2**63 - 1)


def report(node: FakeNode, **said: Any) -> None:
    """A report as it comes over the wire."""
    stats = node_pb2.NodeStats.FromString(node_pb2.NodeStats(**said).SerializeToString())
    message = pb.SessionResponse(stats=stats)
    for event in events_of(node.name, node.instance, message):
        node.cluster.step(event)


@pytest.mark.parametrize("cpu", FLOATS)
def test_a_cpu_share_that_cannot_be_neither_stops_nor_draws_placement(cpu: float) -> None:
    c = Cluster()
    odd, good = c.node("odd", credit=50), c.node("good", credit=50)
    report(odd, cpu=cpu)
    report(good, cpu=0.5)
    tasks = [c.submit() for _ in range(40)]
    assert all(c.row(task).node for task in tasks)
    # A slot less for half the share of a processor, and no more than that: four slots each.
    assert abs(len(odd.has) - len(good.has)) <= 4


@pytest.mark.parametrize("cpu", FLOATS)
def test_the_only_node_gets_the_work_whatever_it_reports(cpu: float) -> None:
    c = Cluster()
    odd = c.node("odd", credit=3)
    report(odd, cpu=cpu)
    for _ in range(5):
        c.submit()
    assert len(odd.has) == 3


@pytest.mark.parametrize("cpu", [nan, inf, 7.0])
def test_a_node_that_cannot_tell_how_busy_it_is_counts_as_busy(cpu: float) -> None:
    c = Cluster()
    odd, good = c.node("a-odd"), c.node("good")
    report(odd, cpu=cpu)
    report(good, cpu=0.9)
    c.submit()
    assert (len(odd.has), len(good.has)) == (0, 1)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"memory_used": -5, "memory_total": 10}, (0, 10)),
        ({"memory_used": 11, "memory_total": 10}, (10, 10)),
        ({"memory_used": 4, "memory_total": -10}, (0, 0)),
        ({"memory_used": -4, "memory_total": -10}, (0, 0)),
        ({"memory_used": 2**63 - 1, "memory_total": 1}, (1, 1)),
        ({"memory_used": 4, "memory_total": 10}, (4, 10)),
    ],
)
def test_what_is_used_is_a_part_of_what_there_is(said: dict[str, int], kept: object) -> None:
    c = Cluster()
    node = c.node("n1")
    report(node, **said)
    stats = c.state.nodes[node.name].stats
    assert (stats.memory_used, stats.memory_total) == kept
    report(node, **{name.replace("memory", "disk"): value for name, value in said.items()})
    stats = c.state.nodes[node.name].stats
    assert (stats.disk_used, stats.disk_total) == kept


@given(st.floats(), st.floats(), INT64, INT64, INT64, INT64)
def test_whatever_is_reported_the_load_is_a_number_and_can_be_shown(
    cpu: float, load1: float, used: int, total: int, disk_used: int, disk_total: int
) -> None:
    c = Cluster()
    node = c.node("n1")
    report(
        node,
        cpu=cpu,
        load1=load1,
        memory_used=used,
        memory_total=total,
        disk_used=disk_used,
        disk_total=disk_total,
    )
    row = c.state.nodes[node.name]
    assert 0.0 <= load(row) <= 2.0
    shown = views.node(row, Control(), None)
    assert isfinite(shown.stats.load1)
    assert shown.stats.load1 >= 0
    assert "NaN" not in json_format.MessageToJson(shown)


def test_what_a_node_measures_is_taken_as_it_is() -> None:
    c = Cluster()
    node = c.node("n1")
    said: dict[str, Any] = {
        "cpu": 0.25,
        "memory_used": 1,
        "memory_total": 4,
        "disk_used": 2,
        "disk_total": 3,
        "disk_error": "No space left on device",
    }
    report(node, **said, load1=7.5)
    shown = views.node(c.state.nodes[node.name], Control(), None).stats
    assert shown == node_pb2.NodeStats(**said, load1=7.5)


def test_a_sentence_of_a_node_is_cut() -> None:
    c = Cluster()
    node = c.node("n1")
    report(node, disk_error="x" * 100_000)
    assert c.state.nodes[node.name].stats.disk_error == "x" * 200


def test_a_node_that_cannot_write_is_shown_as_such_and_is_no_capacity() -> None:
    c = Cluster()
    node = c.node("n1")

    def shown(control: Control = Control(), mark: ScalingDown | None = None) -> int:  # noqa: B008
        return views.node(c.state.nodes[node.name], control, mark).state

    def tally() -> dict[str, float]:
        (family,) = (each for each in _nodes(c.state) if each.name == "quorate_nodes")
        return {one.labels["state"]: one.value for one in family.samples if one.value}

    def capacity() -> list[bool]:
        return [each.open for each in look(c.state, Ask(), 0.0).nodes]

    assert (shown(), tally(), capacity()) == (node_pb2.NODE_STATE_READY, {"ready": 1}, [True])
    report(node, disk_error="No space left on device")
    assert shown() == node_pb2.NODE_STATE_UNWRITABLE
    assert shown(mark=ScalingDown(node.instance, 1.0)) == node_pb2.NODE_STATE_UNWRITABLE
    # What an operator did says more.
    assert shown(Control(cordoned=True)) == node_pb2.NODE_STATE_CORDONED
    assert (tally(), capacity()) == ({"unwritable": 1}, [False])
    report(node)
    assert (shown(), tally(), capacity()) == (node_pb2.NODE_STATE_READY, {"ready": 1}, [True])


def test_what_is_handed_back_is_stepped_behind_the_credit_of_its_message() -> None:
    """Else a node that asks for nothing more would get the same again."""
    refs = [pb.AttemptRef(task_id="t", attempt=1)]
    message = pb.SessionResponse(credit=0, returned=refs, stats=node_pb2.NodeStats())
    kinds = [type(event) for event in events_of(NodeName("n1"), InstanceId("i1"), message)]
    assert kinds == [e.StatsReported, e.CreditReported, e.AttemptReturned]


def test_negative_credit_is_none() -> None:
    message = pb.SessionResponse(credit=-3)
    (event,) = events_of(NodeName("n1"), InstanceId("i1"), message)
    assert event == e.CreditReported(NodeName("n1"), InstanceId("i1"), 0)


@pytest.mark.parametrize("cpu", [nan, inf, -inf, -2.0])
@pytest.mark.parametrize("register_time", [nan, inf, -1.0, 1e300])
def test_a_node_that_offers_what_cannot_be_offers_none(cpu: float, register_time: float) -> None:
    record = r.NodeRecord(
        name="n1",
        instance="i1",
        address="h:1",
        slots=-4,
        capacity=task_pb2.Resources(cpu=cpu, memory=-1, counters={"gpu": -1}),
        register_time=register_time,
    )
    state = State()
    row = records.node_row(NodeName("n1"), record.SerializeToString(), 7, state)
    assert row is not None
    assert (row.slots, row.cpu, row.memory, row.counters) == (0, 0.0, 0, {"gpu": 0})
    state.nodes[row.name] = row
    # The scaler counts with it, and people see it.
    seen = replace(look(state, Ask(), 1.0), demands=[Demand(Needs(cpu=1.0), 1)])
    assert plan(Ask(), seen).nodes == 2
    assert "NaN" not in json_format.MessageToJson(views.node(row, Control(), None))
