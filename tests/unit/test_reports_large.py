"""Outcomes that no Txn can hold are failures; many small ones together are none."""

from __future__ import annotations

from quorate.runtime.ids import InstanceId, NodeName
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.agents.reports import events_of
from scheduler.core.model import events as e

MIB = 1 << 20


def kinds(*sizes: int) -> list[type]:
    """What becomes of results of so many bytes, reported in one message."""
    finished = [
        pb.AttemptFinished(
            task_id=f"t{number}", attempt=1, result=task_pb2.TaskResult(pickle=b"x" * size)
        )
        for number, size in enumerate(sizes)
    ]
    message = pb.SessionResponse(instance="i1", finished=finished)
    return [type(event) for event in events_of(NodeName("n1"), InstanceId("i1"), message)]


def test_an_outcome_that_is_too_large_fails_alone() -> None:
    assert kinds(10, 2 * MIB, 10) == [e.AttemptSucceeded, e.AttemptFailed, e.AttemptSucceeded]


def test_outcomes_are_not_too_large_because_others_are_beside_them() -> None:
    assert kinds(*[MIB // 2] * 4) == [e.AttemptSucceeded] * 4
