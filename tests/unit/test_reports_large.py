"""Outcomes that no Txn can hold are failures; many small ones together are none."""

from __future__ import annotations

from quorate.runtime.ids import InstanceId, NodeName
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import node_agent_pb2 as pb
from scheduler.agents.reports import events_of
from scheduler.core.arrays.sizes import LARGEST
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


def chunk_report(report: pb.ChunkReport) -> e.ChunkReported:
    """What becomes of the report of a chunk."""
    message = pb.SessionResponse(instance="i1", chunk_reports=[report])
    [event] = events_of(NodeName("n1"), InstanceId("i1"), message)
    assert isinstance(event, e.ChunkReported)
    return event


def test_a_position_counts_once_however_often_a_report_names_it() -> None:
    ranges = [job_pb2.IndexRange(first=0, last=1 << 62)] * 20_000
    ranges += [job_pb2.IndexRange(first=-5, last=3), job_pb2.IndexRange(first=9, last=8)]
    event = chunk_report(pb.ChunkReport(task_id="c1", succeeded=ranges, returned=ranges))
    assert event.succeeded == event.returned == [(0, 1 << 62)]


def test_a_report_that_is_too_large_fails_no_more_than_a_chunk_can_have() -> None:
    ranges = [job_pb2.IndexRange(first=n << 40, last=(n << 40) + (1 << 39)) for n in range(50)]
    run = job_pb2.ResultRun(values=[b"x" * 2 * MIB])
    event = chunk_report(pb.ChunkReport(task_id="c1", succeeded=ranges, results=[run]))
    assert not event.succeeded
    assert not event.results
    assert [one.position for one in event.failed] == list(range(LARGEST))


def test_of_a_report_no_more_is_looked_at_than_a_chunk_can_have() -> None:
    ranges = [job_pb2.IndexRange(first=2 * n, last=2 * n) for n in range(60_000)]
    failed = [pb.SubtaskFailure(position=n) for n in range(60_000)]
    runs = [job_pb2.ResultRun(first=n) for n in range(60_000)]
    event = chunk_report(pb.ChunkReport(task_id="c1", succeeded=ranges))
    assert len(event.succeeded) == LARGEST
    event = chunk_report(pb.ChunkReport(task_id="c1", failed=failed, results=runs))
    assert len(event.failed) == len(event.results) == LARGEST
