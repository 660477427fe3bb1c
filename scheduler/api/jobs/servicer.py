"""The calls about jobs: requests in, events and reads of memory, answers out.

What memory says is answered behind a barrier, so that nothing uncommitted is visible.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

from google.protobuf.message import Message

from quorate.etcd.api import Etcd, EtcdError
from quorate.runtime.errors import ETCD_SPACE_LOW, exhausted, invalid, not_found, unavailable
from quorate.runtime.ids import QueueName, TaskId, TaskIds, is_task_id
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api import page_tokens
from scheduler.api.asking import PAGE_BYTES, ask, audited, identified
from scheduler.api.candidates import Candidates
from scheduler.api.jobs import updates, validate, views
from scheduler.api.jobs.graph_calls import GraphCalls, is_graph, refuse_graph
from scheduler.api.jobs.items import append, are_few, load
from scheduler.api.jobs.reading import JobReader
from scheduler.api.jobs.subtasks import JobSubtasks
from scheduler.api.jobs.watches import watch
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Context
from scheduler.api.specs.check import LARGE_JSON, SpecCheck
from scheduler.api.validate import (
    at_most,
    between,
    duration,
    known_enum,
    page_size,
    queue_name,
    required,
)
from scheduler.core.handlers.requests import JOBS_SCOPE, known_to
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.events import Request
from scheduler.core.model.indexes.texts import words
from scheduler.core.model.rows import JobRow
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import JobState
from scheduler.engine.driver import Driver
from scheduler.engine.long_work.lane import Lane
from scheduler.storage.job_values import JobValues, ValuesMissing, reduces_name, template_name
from scheduler.storage.record_kinds import JOB_UPDATE, REDUCE
from scheduler.storage.records import jobs as records

DEFAULT_WAIT: Final = 60.0
MAX_WAIT: Final = 3_600.0
# Jobs looked at between two turns of the event loop.
_LOOKED_AT: Final = 1_000
# Characters of AppendJobItemsRequest.appender.
_MOST_APPENDER: Final = 64


class JobCalls:
    """One method for each RPC; each raises QuorateError.

    Args:
        ids: of the jobs that callers create.
        values: templates and items, as they are sent to agents.
        full: why new work of so many bytes is refused at the moment; None when it is not.
    """

    def __init__(
        self,
        driver: Driver,
        ids: TaskIds,
        etcd: Etcd,
        prefix: bytes,
        values: JobValues,
        candidates: Candidates,
        check: SpecCheck,
        full: Callable[[int], str | None],
    ) -> None:
        self._driver = driver
        self._state = driver.state
        self._ids = ids
        self._values = values
        self._candidates = candidates
        self._check = check
        self._full = full
        self._lane = Lane(driver.contention)
        self._reader = JobReader(driver, etcd, prefix, values)
        self.subtasks = JobSubtasks(driver, self._reader)
        self._graphs = GraphCalls(driver, values, candidates, check, self._lane)

    # -- creating

    async def CreateJob(self, request: pb.CreateJobRequest, context: Context) -> Message:
        queue = QueueName(queue_name("queue", request.queue, default=True))
        if not request.HasField("spec"):
            raise invalid("spec", "is required")
        asked = identified("CreateJob", request)
        spec, now = request.spec, self._driver.clock.now()
        if spec.HasField("graph"):
            job = self._ids.next(now)
            job = await self._graphs.create(request, queue, asked, job, self._refuse_when_full)
            return pb.CreateJobResponse(job=await self._as_known(job))
        templates = validate.job(spec, self._check, now)
        if sum(map(len, templates)) > LARGE_JSON:
            async with self._lane.turn(caller_name()):
                for _ in self._check.large_json(spec.template, "spec.template"):
                    await self._lane.pause()
                for _ in self._check.large_json(spec.reduce.template, "spec.reduce.template"):
                    await self._lane.pause()
        weight = request.ByteSize()
        self._refuse_when_full(asked, weight)
        await self._candidates.require("job")
        await self._candidates.require_for_arrays(spec.template, spec.reduce.template)
        if spec.HasField("reduce"):
            await self._candidates.require(REDUCE)
        items = list(spec.items)
        kept = records.kept_spec(spec)
        data = kept.SerializeToString(deterministic=True)
        what = records.job_spec(kept, data, items=bool(items) or spec.open)
        job, creator = self._ids.next(now), caller_name()
        together = are_few(items)
        loading = bool(items) and not together
        self._values.put_template(job, *templates)
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.JobSubmitted(
                queue,
                job,
                what,
                templates.subtask,
                0 if loading else len(items) or spec.count,
                spec.open,
                loading,
                asked,
                token,
                creator,
                reduce=templates.reduce,
                items=items if together else (),
            ),
            weight,
            JOBS_SCOPE,
        )
        assert isinstance(answer, JobKnown)
        if items:
            await load(self._driver, self._values, answer.job, items)
        why = why_unplaceable(self._state, what.needs)
        return pb.CreateJobResponse(
            job=await self._as_known(answer.job), warnings=[why] if why else []
        )

    async def AppendJobItems(self, request: pb.AppendJobItemsRequest, context: Context) -> Message:
        row = await self._row(request.id)
        refuse_graph(row)
        if not request.items:
            raise invalid("items", "at least one is required")
        if request.first_position < 0:
            raise invalid("first_position", "must not be negative", value=request.first_position)
        at_most("appender", len(request.appender), _MOST_APPENDER, "characters")
        items = list(request.items)
        template = task_pb2.TaskSpec.FromString(await self._template(row))
        validate.job_items("items", items, template)
        full = self._full(request.ByteSize())
        if full is not None:
            raise exhausted(ETCD_SPACE_LOW, full)
        first, appender = request.first_position, request.appender
        count = await append(self._driver, self._values, row.id, first, items, appender)
        return pb.AppendJobItemsResponse(count=count)

    async def CloseJob(self, request: pb.CloseJobRequest, context: Context) -> Message:
        asked = audited("CloseJob", request, context)
        job = TaskId(required("id", request.id))
        await ask(self._driver, asked, lambda token: e.JobClosed(job, asked, token), 0, JOBS_SCOPE)
        return pb.CloseJobResponse(job=await self._as_known(job))

    def _refuse_when_full(self, asked: Request, weight: int) -> None:
        full = self._full(weight)
        # What was accepted before is not refused when it is asked for again.
        if full is not None and not known_to(self._state, JOBS_SCOPE, asked):
            raise exhausted(ETCD_SPACE_LOW, full)

    # -- reading

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> Message:
        row = await self._row(request.id)
        view = views.job(row, () if is_graph(row) else await self._templates(row))
        await self._driver.readable()
        await self._reader.add_result(row, view)
        return pb.GetJobResponse(job=view)

    async def GetJobGraph(self, request: pb.GetJobGraphRequest, context: Context) -> Message:
        return await self._graphs.nodes(await self._row(request.id))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> Message:
        size = page_size(request.page_size)
        states = frozenset(
            known_enum("states", state, range(1, len(JobState) + 1)) for state in request.states
        )
        text = request.text
        at_most("text", len(text), 256, "characters")
        wanted = words(text)
        at_most("text", len(wanted), 8, "different words")
        if request.queue and queue_name("queue", request.queue) not in self._state.queues:
            await self._driver.readable()
            raise not_found("queue", request.queue)
        parent = request.parent
        if parent and parent not in self._state.jobs:
            await self._driver.readable()
            raise not_found("job", parent[:256])
        filters = (
            request.queue,
            sorted(states),
            *([f"parent {parent}"] if parent else ()),
            *wanted,
        )
        before = page_tokens.decode("jobs", filters, request.page_token)
        if before is not None and not is_task_id(before):
            raise page_tokens.stale("is malformed; begin again without it")
        found = []
        for place, row in enumerate(list(self._state.jobs.values())):
            if place % _LOOKED_AT == _LOOKED_AT - 1:
                await asyncio.sleep(0)
            if before is not None and row.id >= before:
                continue
            if (row.parent.id if row.parent is not None else "") != parent:
                continue
            if request.queue and row.queue.name != request.queue:
                continue
            if states and row.state not in states:
                continue
            if all(word in row.spec.text or (len(word) > 5 and word in row.id) for word in wanted):
                found.append(row)
        newest = heapq.nlargest(size + 1, found, key=lambda row: row.id)
        answer, length = pb.ListJobsResponse(), 0
        for row in newest[:size]:
            view = views.job(row)
            length += view.ByteSize()
            if answer.jobs and length > PAGE_BYTES:
                break
            answer.jobs.append(view)
        if len(answer.jobs) < len(newest):
            answer.next_page_token = page_tokens.encode("jobs", filters, answer.jobs[-1].id)
        await self._driver.readable()
        return answer

    async def WaitJob(self, request: pb.WaitJobRequest, context: Context) -> Message:
        row = await self._row(request.id)
        timeout = DEFAULT_WAIT
        if request.HasField("timeout"):
            timeout = duration("timeout", request.timeout, MAX_WAIT, zero=True)
        if not row.settled:
            try:
                async with asyncio.timeout(timeout):
                    await self._driver.job_waiters.finished(row.id)
            except TimeoutError:
                pass
        view = await self._as_known(row.id)
        await self._reader.add_result(row, view)
        return pb.WaitJobResponse(job=view)

    async def WatchJobs(
        self, request: pb.WatchJobsRequest, context: Context
    ) -> AsyncIterator[Message]:
        at_most("ids", len(request.ids), validate.MAX_WATCHED, "ids")
        for place, job in enumerate(request.ids):
            at_most(f"ids[{place}]", len(job), 256, "characters")
        between("newest", request.newest, 0, validate.MAX_WATCHED)
        if request.ids and request.newest:
            raise invalid("newest", "is for a watch without ids")
        if request.queue and queue_name("queue", request.queue) not in self._state.queues:
            await self._driver.readable()
            raise not_found("queue", request.queue)
        async with aclosing(watch(self._driver, request)) as answers:
            async for answer in answers:
                yield answer

    async def ListJobErrors(self, request: pb.ListJobErrorsRequest, context: Context) -> Message:
        return await self._reader.errors(await self._array(request.id))

    async def ListSubtasks(self, request: pb.ListSubtasksRequest, context: Context) -> Message:
        return await self._reader.subtasks(await self._array(request.id), request)

    async def ReadJobResults(
        self, request: pb.ReadJobResultsRequest, context: Context
    ) -> AsyncIterator[Message]:
        row = await self._array(request.id)
        async with aclosing(self._reader.results(row, request)) as answers:
            async for answer in answers:
                yield answer

    # -- changing

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> Message:
        asked = audited("CancelJob", request, context)
        job = TaskId(required("id", request.id))
        await self._change(asked, lambda token: e.JobCancelAsked(job, asked, token))
        return pb.CancelJobResponse(job=await self._as_known(job))

    async def PauseJob(self, request: pb.PauseJobRequest, context: Context) -> Message:
        asked = audited("PauseJob", request, context)
        job = TaskId(required("id", request.id))
        await self._change(asked, lambda token: e.JobPauseAsked(job, True, asked, token))
        return pb.PauseJobResponse(job=await self._as_known(job))

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> Message:
        asked = audited("ResumeJob", request, context)
        job = TaskId(required("id", request.id))
        await self._change(asked, lambda token: e.JobPauseAsked(job, False, asked, token))
        return pb.ResumeJobResponse(job=await self._as_known(job))

    async def RetryJob(self, request: pb.RetryJobRequest, context: Context) -> Message:
        asked = audited("RetryJob", request, context)
        job = TaskId(required("id", request.id))
        await self._change(asked, lambda token: e.JobRetryAsked(job, asked, token))
        return pb.RetryJobResponse(job=await self._as_known(job))

    async def UpdateJob(self, request: pb.UpdateJobRequest, context: Context) -> Message:
        asked = audited("UpdateJob", request, context)
        job = TaskId(required("job.id", request.job.id))
        row, now = self._state.jobs.get(job), self._driver.clock.now()
        graph = row is not None and is_graph(row)
        make, changes = updates.job_update(self._check, request, now, graph=graph)
        await self._candidates.require(JOB_UPDATE)
        await self._change(asked, lambda token: e.JobUpdateAsked(job, make, changes, asked, token))
        return pb.UpdateJobResponse(job=await self._as_known(job))

    async def DeleteJob(self, request: pb.DeleteJobRequest, context: Context) -> Message:
        asked = audited("DeleteJob", request, context)
        job = TaskId(required("id", request.id))
        await self._change(asked, lambda token: e.JobDeleteAsked(job, asked, token))
        self._values.forget(job)
        return pb.DeleteJobResponse()

    async def _change(self, asked: Request, make: Callable[[e.Token], e.Event]) -> None:
        await ask(self._driver, asked, make, 0, JOBS_SCOPE)

    # -- shared

    def queue_of_job(self, job: str) -> str | None:
        """The queue a job is in, for the check of who asks; None when there is no such job.

        Args:
            job: its id, or that of a subtask: `<job>.<index>`.
        """
        row = self._state.jobs.get(TaskId(job.partition(".")[0]))
        return None if row is None else row.queue.name

    async def _row(self, job: str) -> JobRow:
        """The row of a job. Raises NOT_FOUND, behind a barrier."""
        row = self._state.jobs.get(TaskId(required("id", job)))
        if row is None:
            await self._driver.readable()
            raise not_found("job", job)
        return row

    async def _array(self, job: str) -> JobRow:
        """The row of an array. Raises QuorateError."""
        row = await self._row(job)
        refuse_graph(row)
        return row

    async def _as_known(self, job: TaskId) -> job_pb2.Job:
        """A job as it is now; its bare id when it is gone since."""
        row = self._state.jobs.get(job)
        view = job_pb2.Job(id=job) if row is None else views.job(row)
        await self._driver.readable()
        return view

    async def _templates(self, row: JobRow) -> validate.Templates:
        reduce = b""
        template = await self._template(row)
        if row.spec.reduce is not None:
            reduce = await self._named_template(row, reduces_name(row.id))
        return validate.Templates(template, reduce)

    async def _template(self, row: JobRow) -> bytes:
        return await self._named_template(row, template_name(row))

    async def _named_template(self, row: JobRow, name: str) -> bytes:
        try:
            return await self._values.template(name)
        except EtcdError as error:
            raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
        except ValuesMissing:
            raise not_found("job", row.id) from None
