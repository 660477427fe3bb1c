"""Chunks of arrays at a simulated agent: run, reported subtask by subtask, recalled, returned.

A reduce asks the leader for its inputs, page by page, and its result is all of them, joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2, task_pb2
from scheduler.core.arrays.levels import inputs
from scheduler.core.model import events as e
from tests.simulation.promises.results import JOINT, joined

if TYPE_CHECKING:
    from tests.simulation.agents import Agent

_JSON = 1


class Reduces(NamedTuple):
    """What the reduces of a chunk get: how many results there are, and how many each takes."""

    results: int
    fan_in: int


@dataclass
class Work:
    """What is left of a chunk; of one of reduces, the inputs of the next one that are there."""

    job: TaskId
    left: list[int]
    reduces: Reduces | None
    inputs: list[bytes] = field(default_factory=list)
    # The last request for inputs.
    asked: int = 0


class Chunks:
    """Those of one process. To its rules of attempts each is an attempt, numbered 1."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._work: dict[TaskId, Work] = {}
        # Reports that are not acknowledged, in order.
        self.reports: dict[tuple[TaskId, int], e.ChunkReported] = {}
        self._numbers: dict[TaskId, int] = {}

    def assigned(
        self, job: TaskId, chunk: TaskId, positions: Sequence[int], reduces: Reduces | None
    ) -> None:
        agent = self._agent
        if chunk in agent.has:
            return
        self._work[chunk] = Work(job, list(positions), reduces)
        agent.begin_chunk(chunk)

    def recalled(self, chunk: TaskId) -> None:
        """Give back what has not begun."""
        if chunk in self._work and chunk in self._agent.has:
            left = self._work[chunk].left
            returned = left[2:]
            if returned:
                del left[2:]
                self._report(chunk, returned=returned)

    def ended(self, chunk: TaskId, ranges: Sequence[tuple[int, int]]) -> None:
        """Give back those that have not begun, and end the one that runs."""
        if chunk not in self._work or chunk not in self._agent.has:
            return
        work = self._work[chunk]
        left = work.left
        wanted = [p for p in left if any(first <= p <= last for first, last in ranges)]
        running = [p for p in wanted if p == left[0]]
        returned = [p for p in wanted if p not in running]
        if wanted:
            left[:] = [p for p in left if p not in wanted]
            if running:
                # Of a reduce that ends, nothing is waited for.
                work.inputs, work.asked = [], work.asked + 1
            self._report(chunk, failed=running, returned=returned, kind="CANCELLED")

    def acknowledged(self, chunk: TaskId, number: int) -> None:
        self.reports.pop((chunk, number), None)

    def work(self, chunk: TaskId) -> bool:
        """Run some of a chunk; whether something is left of it."""
        work = self._work[chunk]
        if work.reduces is not None:
            return self._reduce(chunk, work)
        world = self._agent.world
        rng, job, left = world.rng, work.job, work.left
        some = left[: rng.randint(1, 5)]
        del left[: len(some)]
        arrays = world.history.arrays
        for position in some:
            arrays.subtask_ran(job, position)
            if world.adds and rng.random() < world.adds / 5:
                world.callers.members.add(self._agent, f"{job}.{position}", 0, chunk)
        failed = [position for position in some if rng.random() < 0.1]
        good = [position for position in some if position not in failed]
        values = [b"1"] * min(1, len(good))
        known = arrays.jobs.get(job)
        if known is not None and known.reduces:
            # Of this run alone.
            values = [b"%d.%d" % (position, rng.randrange(1_000)) for position in good]
        self._report(chunk, good, failed, values=values)
        if not left:
            del self._work[chunk]
        return bool(left)

    def _reduce(self, chunk: TaskId, work: Work) -> bool:
        """Run the next reduce if its inputs are there, else ask for them."""
        assert work.reduces is not None
        results, fan_in = work.reduces
        if not work.left:
            del self._work[chunk]
            return False
        position = work.left[0]
        first, end = inputs(position, fan_in, results)
        if len(work.inputs) < end - first:
            session = self._agent.session
            if session is not None:
                work.asked += 1
                request = node_agent_pb2.ReadResults(
                    task_id=chunk,
                    attempt=1,
                    number=work.asked,
                    first_position=first + len(work.inputs),
                )
                session.want(request)
            return True
        world = self._agent.world
        world.history.arrays.subtask_ran(work.job, position)
        del work.left[0]
        if world.rng.random() < 0.1:
            self._report(chunk, failed=[position])
        else:
            self._report(chunk, [position], values=[JOINT.join(work.inputs)])
        work.inputs = []
        if not work.left:
            del self._work[chunk]
        return bool(work.left)

    def results(self, page: node_agent_pb2.ResultsPage) -> None:
        """Inputs come. What was asked for before is not waited for."""
        work = self._work.get(TaskId(page.task_id))
        if work is None or work.reduces is None or page.number != work.asked:
            return
        if page.error or not work.left:
            return
        first, end = inputs(work.left[0], work.reduces.fan_in, work.reduces.results)
        expected = first + len(work.inputs)
        assert page.first_position == expected, f"{page} and not {expected}"
        values = joined(expected, page.next_position, list(page.runs))
        work.inputs += values[: end - expected]
        work.asked += 1

    def _report(
        self,
        chunk: TaskId,
        succeeded: Sequence[int] = (),
        failed: Sequence[int] = (),
        returned: Sequence[int] = (),
        kind: str = "",
        values: Sequence[bytes] = (),
    ) -> None:
        agent = self._agent
        number = self._numbers[chunk] = self._numbers.get(chunk, 0) + 1
        kind = kind or agent.world.rng.choice(["ValueError", "Fatal"])
        error = task_pb2.TaskError(type=kind, message="it failed")
        event = e.ChunkReported(
            agent.instance,
            chunk,
            1,
            number,
            [(position, position) for position in succeeded],
            [e.SubtaskFailed(position, kind, "it failed", error) for position in failed],
            [(at, _JSON, [value]) for at, value in zip(succeeded, values, strict=False)],
            [(position, position) for position in returned],
            0.01 * len(succeeded),
        )
        self.reports[chunk, number] = event
        agent.say(event)
