"""Chunks of arrays at a simulated agent: run, reported subtask by subtask, recalled, returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quorate.runtime.ids import TaskId
from quorate.v1 import task_pb2
from scheduler.core.model import events as e

if TYPE_CHECKING:
    from tests.simulation.agents import Agent


class Chunks:
    """Those of one process. To its rules of attempts each is an attempt, numbered 1."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        # By chunk: its job, and the positions that are left.
        self._left: dict[TaskId, tuple[TaskId, list[int]]] = {}
        # Reports that are not acknowledged, in order.
        self.reports: dict[tuple[TaskId, int], e.ChunkReported] = {}
        self._numbers: dict[TaskId, int] = {}

    def assigned(self, job: TaskId, chunk: TaskId, positions: Sequence[int]) -> None:
        agent = self._agent
        if chunk in agent.has:
            return
        self._left[chunk] = (job, list(positions))
        agent.begin_chunk(chunk)

    def recalled(self, chunk: TaskId) -> None:
        """Give back what has not begun."""
        if chunk in self._left and chunk in self._agent.has:
            left = self._left[chunk][1]
            returned = left[2:]
            if returned:
                del left[2:]
                self._report(chunk, returned=returned)

    def ended(self, chunk: TaskId, ranges: Sequence[tuple[int, int]]) -> None:
        """Give back those that have not begun, and end the one that runs."""
        if chunk not in self._left or chunk not in self._agent.has:
            return
        left = self._left[chunk][1]
        wanted = [p for p in left if any(first <= p <= last for first, last in ranges)]
        running = [p for p in wanted if p == left[0]]
        returned = [p for p in wanted if p not in running]
        if wanted:
            left[:] = [p for p in left if p not in wanted]
            self._report(chunk, failed=running, returned=returned, kind="CANCELLED")

    def acknowledged(self, chunk: TaskId, number: int) -> None:
        self.reports.pop((chunk, number), None)

    def work(self, chunk: TaskId) -> bool:
        """Run some of a chunk; whether something is left of it."""
        rng, (job, left) = self._agent.world.rng, self._left[chunk]
        some = left[: rng.randint(1, 5)]
        del left[: len(some)]
        for position in some:
            self._agent.world.history.arrays.subtask_ran(job, position)
        failed = [position for position in some if rng.random() < 0.1]
        self._report(chunk, [p for p in some if p not in failed], failed)
        if not left:
            del self._left[chunk]
        return bool(left)

    def _report(
        self,
        chunk: TaskId,
        succeeded: Sequence[int] = (),
        failed: Sequence[int] = (),
        returned: Sequence[int] = (),
        kind: str = "",
    ) -> None:
        agent = self._agent
        number = self._numbers[chunk] = self._numbers.get(chunk, 0) + 1
        kind = kind or agent.world.rng.choice(["ValueError", "Fatal"])
        error = task_pb2.TaskError(type=kind, message="it failed")
        first = min(succeeded, default=0)
        event = e.ChunkReported(
            agent.instance,
            chunk,
            1,
            number,
            [(position, position) for position in succeeded],
            [e.SubtaskFailed(position, kind, "it failed", error) for position in failed],
            [(first, 1, [b"1"])] if succeeded else [],
            [(position, position) for position in returned],
            0.01 * len(succeeded),
        )
        self.reports[chunk, number] = event
        agent.say(event)
