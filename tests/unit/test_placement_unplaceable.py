"""Why a task fits on no registered node."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import NodeName
from scheduler.core.model.rows import NodeRow, NodeStats
from scheduler.core.model.state import State
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import NO_NEEDS, Needs
from tests.support.core_specs import node_row

GIB = 1 << 30


def nodes():
    rows = [
        node_row(NodeName("a"), "i1", cpu=4.0, memory=16 * GIB, counters={"gpu": 1}),
        node_row(NodeName("b"), "i2", cpu=16.0, memory=8 * GIB),
    ]
    return {row.name: row for row in rows}


def state(found: dict[NodeName, NodeRow]) -> State:
    made = State()
    made.nodes.update(found)
    return made


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        (Needs(), ""),
        (Needs(memory=16 * GIB), ""),
        (Needs(memory=900 * GIB), "no node has 900 GiB of memory (the most is 16 GiB)"),
        (Needs(cpu=17), "no node has 17 cores (the most is 16)"),
        (Needs(counters=(("gpu", 2),)), "no node has 2 gpu (the most is 1)"),
        (Needs(cpu=8, memory=12 * GIB), "no node has all that the task needs together"),
        (Needs(counters=(("fpga", 1),)), "no node has 1 fpga (the most is 0)"),
    ],
)
def test_the_reason_names_what_is_asked_for_and_the_most_there_is(needs: Needs, why: str):
    found = why_unplaceable(state(nodes()), needs)
    assert found.partition(":")[0] == why


@pytest.mark.parametrize("needs", [NO_NEEDS, Needs(cpu=1), Needs(memory=16 * GIB)])
def test_nodes_that_cannot_write_are_the_reason_when_no_other_is_large_enough(needs: Needs):
    found = nodes()
    found[NodeName("a")].stats = NodeStats(disk_error="No space left on device")
    small = why_unplaceable(state(found), needs)
    assert bool(small) == (needs.memory > 8 * GIB), "b is large enough for the others"
    found[NodeName("b")].stats = NodeStats(disk_error="Read-only file system")
    why = why_unplaceable(state(found), needs)
    assert "(No space left on device)" in why
    assert why.endswith("no work: the task waits until a node can")
    assert why.startswith("node a " if needs.memory > 8 * GIB else "a and 1 more ")


def test_too_large_is_too_large_whoever_can_write():
    found = nodes()
    for row in found.values():
        row.stats = NodeStats(disk_error="No space left on device")
    assert why_unplaceable(state(found), Needs(cpu=17)).startswith("no node has 17 cores")


def test_without_a_node_that_is_the_reason():
    assert why_unplaceable(State(), Needs(cpu=1)) == "the cluster has no nodes"
