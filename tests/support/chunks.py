"""Chunks for a real agent, and what became of their subtasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quorate.runtime.ranges import Ranges
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.agent import Session, task_id


def chunk(
    job: str,
    pairs: Iterable[tuple[int, int]],
    spec: task_pb2.TaskSpec | None,
    *,
    task: str = "",
    items: Sequence[bytes] = (),
    **more: Any,
) -> pb.Assignment:
    """A chunk's assignment; without `spec` as the later ones of a job are."""
    message = pb.Chunk(job_id=job, items=items, index_step=more.pop("index_step", 1), **more)
    for first, last in pairs:
        message.ranges.add(first=first, last=last)
    return pb.Assignment(
        task_id=task or task_id(),
        attempt=1,
        queue="q",
        spec=spec.SerializeToString() if spec is not None else b"",
        chunk=message,
    )


class Told:
    """All that an agent told of one chunk. Reports are checked while they are read."""

    def __init__(self, session: Session, task: str) -> None:
        self.reports: list[pb.ChunkReport] = []
        self.succeeded, self.returned = Ranges(), Ranges()
        self.failed: dict[int, task_pb2.TaskError] = {}
        self.results: dict[int, bytes] = {}
        self.finished: pb.AttemptFinished | None = None
        for message in session.messages:
            for report in message.chunk_reports:
                if report.task_id == task:
                    self._read(report)
            for end in message.finished:
                if end.task_id == task:
                    self.finished = end

    def _read(self, report: pb.ChunkReport) -> None:
        assert report.number == len(self.reports) + 1
        assert self.finished is None
        assert report.ByteSize() <= 512 * 1024
        self.reports.append(report)
        succeeded = Ranges.of((one.first, one.last) for one in report.succeeded)
        returned = Ranges.of((one.first, one.last) for one in report.returned)
        failed = Ranges.of_positions(one.position for one in report.failed)
        blocks = {block for part in (succeeded, failed, returned) for block, _ in part.blocks(4096)}
        assert len(blocks) <= 16
        for part in (succeeded, failed, returned):
            assert self.ended.isdisjoint(part)
        self.succeeded |= succeeded
        self.returned |= returned
        self.failed |= {one.position: one.error for one in report.failed}
        for run in report.results:
            assert run.first // 4096 == (run.first + len(run.values) - 1) // 4096
            for position, value in enumerate(run.values, run.first):
                assert position in succeeded
                self.results[position] = value

    @property
    def end(self) -> pb.AttemptFinished:
        """How the chunk as a whole ended."""
        assert self.finished is not None
        return self.finished

    @property
    def ended(self) -> Ranges:
        """Positions that a report names."""
        return self.succeeded | self.returned | Ranges.of_positions(sorted(self.failed))


async def run_chunk(session: Session, assignment: pb.Assignment) -> Told:
    """Assign a chunk and wait for its end."""
    await session.send(assign=[assignment])
    return await ended(session, assignment.task_id)


async def ended(session: Session, task: str) -> Told:
    """Wait for the end of a chunk."""
    await session.finished(task)
    return Told(session, task)
