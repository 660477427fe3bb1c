"""CreateJob of a graph, and GetJobGraph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from quorate.runtime.errors import precondition
from quorate.runtime.ids import QueueName, TaskId
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.asking import ask, refused
from scheduler.api.candidates import Candidates
from scheduler.api.jobs import graphs, views
from scheduler.api.jobs.items import load
from scheduler.api.origin import caller_name
from scheduler.api.specs.check import SpecCheck
from scheduler.core.arrays.spec import GraphArray
from scheduler.core.graphs.members import graph_task
from scheduler.core.handlers.requests import JOBS_SCOPE
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, Rejection
from scheduler.core.model.events import Request
from scheduler.core.model.rows import JobRow
from scheduler.engine.driver import Driver
from scheduler.engine.long_work.lane import Lane
from scheduler.storage.job_values import JobValues
from scheduler.storage.record_kinds import GRAPH, GRAPH_ARRAY, GRAPH_DEADLINE, GRAPH_KEYS
from scheduler.storage.records import jobs as records
from scheduler.storage.records.graphs import Spec

# Of one part: two writes a task, in one Txn with the job's record.
_TASKS_AT_ONCE: Final = 48
_BYTES_AT_ONCE: Final = 384 << 10
# Bytes of a request whose caller must take turns with others.
_LARGE: Final = 2 << 20


class GraphCalls:
    """The calls of one term that are about graphs; each raises QuorateError."""

    def __init__(
        self,
        driver: Driver,
        values: JobValues,
        candidates: Candidates,
        check: SpecCheck,
        lane: Lane,
    ) -> None:
        self._driver = driver
        self._values = values
        self._candidates = candidates
        self._check = check
        self._lane = lane

    async def create(
        self,
        request: pb.CreateJobRequest,
        queue: QueueName,
        asked: Request,
        job: TaskId,
        refuse_when_full: Callable[[Request, int], None],
    ) -> TaskId:
        """Create a graph; its id, which an earlier try may have chosen."""
        spec = request.spec
        specs = await self._checked(request, job)
        weight = request.ByteSize()
        refuse_when_full(asked, weight)
        await self._candidates.require("job")
        await self._candidates.require(GRAPH)
        tasks = [one for one in specs if not isinstance(one, GraphArray)]
        if len(tasks) < len(specs):
            await self._candidates.require(GRAPH_ARRAY)
        if any(one.start_deadline for one in tasks):
            await self._candidates.require(GRAPH_DEADLINE)
        if any(map(graphs.has_key, tasks)):
            await self._candidates.require(GRAPH_KEYS)
        await self._candidates.require_for(tasks)
        arrays = (task.task for task in spec.graph.tasks if task.HasField("array"))
        await self._candidates.require_for_arrays(*arrays)
        kept = records.kept_spec(spec)
        what = records.job_spec(kept, kept.SerializeToString(deterministic=True), items=False)
        creator = caller_name()
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.JobSubmitted(
                queue, job, what, b"", 0, False, True, asked, token, creator, specs
            ),
            weight,
            JOBS_SCOPE,
        )
        assert isinstance(answer, JobKnown)
        items = [(place, list(task.array.items)) for place, task in enumerate(spec.graph.tasks)]
        await self._load(answer.job, specs, [one for one in items if one[1]])
        return answer.job

    async def _checked(self, request: pb.CreateJobRequest, job: TaskId) -> list[Spec]:
        now = self._driver.clock.now()
        if request.ByteSize() > _LARGE:
            async with self._lane.turn(caller_name()):
                return await graphs.checked(request.spec, job, self._check, now, self._lane.pause)
        pause = partial(asyncio.sleep, 0)
        return await graphs.checked(request.spec, job, self._check, now, pause)

    async def _load(
        self, job: TaskId, specs: list[Spec], items: list[tuple[int, list[bytes]]]
    ) -> None:
        """Write the tasks of a graph, from where an earlier try has come.

        Args:
            items: of arrays, by place. The graph is complete once they are on record.
        """
        row = self._driver.state.jobs.get(job)
        if row is None or not row.loading:
            return
        for begin, end in graphs.parts(
            specs, graphs.count(row.members), _TASKS_AT_ONCE, _BYTES_AT_ONCE
        ):
            await self._add(job, begin, specs[begin:end], last=end == len(specs) and not items)
        for place, some in items:
            await load(self._driver, self._values, graph_task(job, place), some)
        if items:
            await self._add(job, len(specs), [], last=True)

    async def _add(self, job: TaskId, begin: int, specs: list[Spec], *, last: bool) -> None:
        part = [_of_job(spec, job) for spec in specs]
        answer = await self._driver.call(
            lambda token: e.GraphTasksAdded(job, begin, part, last, token),
            sum(map(graphs.size_of, part)),
            caller_name(),
        )
        if isinstance(answer, Rejection):
            raise refused(answer)

    async def nodes(self, row: JobRow) -> pb.GetJobGraphResponse:
        """The tasks of a graph."""
        if not is_graph(row):
            raise precondition(
                "JOB_IS_NO_GRAPH", f"job {row.id!r} is an array; list its subtasks", job=row.id
            )
        answer = await graphs.nodes(self._driver.state, row)
        answer.job.CopyFrom(views.job(row))
        await self._driver.readable()
        return answer


def is_graph(row: JobRow) -> bool:
    """Whether a job is a graph."""
    return row.members is not None and row.members.graph > 0


def refuse_graph(row: JobRow) -> None:
    """Refuse a call about subtasks. Raises QuorateError."""
    if is_graph(row):
        raise precondition(
            "JOB_IS_GRAPH",
            f"job {row.id!r} is a graph: it has tasks, no subtasks; see GetJobGraph",
            job=row.id,
        )


def _of_job(spec: Spec, job: TaskId) -> Spec:
    return spec._replace(member=graphs.of(spec)._replace(job=job))
