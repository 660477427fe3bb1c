"""The calls about tasks: requests in, events and fenced reads, answers out.

Reads answer what etcd holds; what memory alone knows is answered behind a barrier, so that nothing
uncommitted is visible.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

import grpc
from google.protobuf.message import Message

from quorate.runtime.errors import ETCD_SPACE_LOW, QuorateError, exhausted, invalid
from quorate.runtime.ids import QueueName, TaskId, TaskIds, is_task_id, offset_ids
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.asking import ask, audited, identified
from scheduler.api.candidates import Candidates
from scheduler.api.origin import caller_name
from scheduler.api.request_sizes import size_of_request
from scheduler.api.servicer import Context
from scheduler.api.specs.check import LARGE_JSON, SpecCheck, serialize
from scheduler.api.subtask_place import Subtasks, is_subtask, refuse_subtask
from scheduler.api.tasks import validate, views
from scheduler.api.tasks.bulk.calls import (
    cancel_tasks,
    delete_tasks,
    retry_tasks,
    update_task,
    update_tasks,
)
from scheduler.api.tasks.children import adopt
from scheduler.api.tasks.explaining import explain_task
from scheduler.api.tasks.reading import WARNED_KINDS, TaskReader
from scheduler.api.tasks.running.controls import Controls
from scheduler.api.tasks.watch_pick import Answer
from scheduler.api.tasks.watches import Watches
from scheduler.api.validate import duration, known_enum, queue_name, required
from scheduler.api.views import instant
from scheduler.core.handlers.requests import TASKS_SCOPE, known_to
from scheduler.core.model import events as e
from scheduler.core.model.answers import BatchCreated, TaskCreated
from scheduler.core.model.events import Request
from scheduler.core.placement.unplaceable import Wanted, why_unplaceable
from scheduler.core.values import TaskSpec, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.long_work.lane import Lane
from scheduler.storage.read_back import recorded
from scheduler.storage.reads import FencedReads
from scheduler.storage.record_kinds import GRAPH, SUBTASK_CHANGE, TASK_MOVE, TASK_UPDATE
from scheduler.storage.records import task_spec

# Bytes of a batch's specs checked between two turns of the event loop, of a batch whose caller must
# take turns with others, and what a small spec costs in such bytes.
_SLICE_BYTES: Final = 64 << 10
_LARGE_BATCH: Final = 2 << 20
_SPEC_COST: Final = 256


class TaskCalls:
    """One method for each RPC; each raises QuorateError.

    Args:
        ids: of the tasks that callers create.
        full: why new work of so many bytes is refused at the moment; None when it is not.
        candidates: whether all schedulers understand updated tasks.
        subtasks: answers for subtasks of jobs.
    """

    def __init__(
        self,
        driver: Driver,
        ids: TaskIds,
        stored: FencedReads,
        watches: Watches,
        check: SpecCheck,
        full: Callable[[int], str | None],
        candidates: Candidates,
        subtasks: Subtasks | None = None,
    ) -> None:
        self._driver = driver
        self._state = driver.state
        self._ids = ids
        self._stored = stored
        self._watches = watches
        self._check = check
        self._full = full
        self._candidates = candidates
        self._subtasks = subtasks
        # Long work on the loop, a small slice at a time.
        self._lane = Lane(driver.contention)
        self._tasks = TaskReader(driver, stored, self._lane)
        self._controls = Controls(driver, stored, candidates)

    # -- creating

    async def CreateTask(self, request: pb.CreateTaskRequest, context: Context) -> Message:
        queue = QueueName(queue_name("queue", request.queue, default=True))
        parent = member = None
        if request.HasField("parent"):
            parent, member = await adopt(self._driver, request, queue)
        asked = identified("CreateTask", request)
        if not request.HasField("spec"):
            raise invalid("spec", "is required")
        now = self._driver.clock.now()
        spec = self._check.spec(request.spec, "spec", now)
        if len(spec.spec) > LARGE_JSON:
            async with self._lane.turn(caller_name()):
                for _ in self._check.large_json(request.spec, "spec"):
                    await self._lane.pause()
        if member is not None:
            await self._candidates.require(GRAPH)
            spec = spec._replace(member=member)
        await self._candidates.require_for((spec,))
        weight = len(spec.spec)
        self._refuse_when_full(queue, asked, weight)
        task, creator = self._ids.next(now), caller_name()
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.TaskSubmitted(queue, task, spec, asked, token, creator, parent),
            weight,
            queue,
        )
        if isinstance(answer, TaskCreated):
            view = task_pb2.Task(id=answer.task, queue=answer.queue, created_by=creator)
            view.state = int(answer.state)  # type: ignore[assignment]
            view.create_time.CopyFrom(instant(answer.create_time))
            if answer.not_before:
                view.schedule_time.CopyFrom(instant(answer.not_before))
            view.pending_reason = why_unplaceable(self._state, spec.needs, spec.rules)
            return pb.CreateTaskResponse(task=view)
        return pb.CreateTaskResponse(task=await self._tasks.as_known(answer))

    async def BatchCreateTasks(
        self, request: pb.BatchCreateTasksRequest, context: Context
    ) -> Message:
        queue = QueueName(queue_name("queue", request.queue, default=True))
        weight = validate.batch(request, size_of_request.get())
        asked = identified("BatchCreateTasks", request)
        if weight > _LARGE_BATCH:
            async with self._lane.turn(caller_name()):
                specs = await self._checked(request, self._lane.pause)
        else:
            specs = await self._checked(request, partial(asyncio.sleep, 0))
        await self._candidates.require_for(specs)
        self._refuse_when_full(queue, asked, weight)
        first, creator = self._ids.next(self._driver.clock.now()), caller_name()
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.BatchSubmitted(queue, first, specs, asked, token, creator),
            weight,
            queue,
        )
        assert isinstance(answer, BatchCreated)
        made = offset_ids(answer.first, 0, answer.size)
        return pb.BatchCreateTasksResponse(ids=made, warnings=self._warnings(specs))

    def _warnings(self, specs: Sequence[TaskSpec]) -> list[str]:
        """What no node can start, of the first kinds of needs in a batch."""
        kinds = dict.fromkeys(Wanted(spec.needs, spec.rules) for spec in specs)
        found = [why_unplaceable(self._state, *kind) for kind in list(kinds)[:WARNED_KINDS]]
        return list(dict.fromkeys(filter(None, found)))

    async def _checked(
        self, request: pb.BatchCreateTasksRequest, pause: Callable[[], Awaitable[None]]
    ) -> list[TaskSpec]:
        """The specs of a batch, with a pause behind every `_SLICE_BYTES`."""
        now = self._driver.clock.now()
        specs, size = [], 0
        unique: dict[str, int] = {}
        checked = TaskSpec(b"")
        for place, spec in enumerate(request.specs):
            data = serialize(spec)
            # The same task many times is common: it is checked once, and kept once.
            if data != checked.spec or not place:
                field = f"specs[{place}]"
                checked = self._check.serialized(spec, data, field, now)
                if len(data) > LARGE_JSON:
                    for _ in self._check.large_json(spec, field):
                        await pause()
            if checked.limits is not None and checked.limits.unique:
                validate.unique_of_batch(spec.unique, place, unique)
            specs.append(checked)
            size += len(data) + _SPEC_COST
            if size > _SLICE_BYTES:
                size = 0
                await pause()
        return specs

    def _refuse_when_full(self, queue: QueueName, asked: Request, weight: int) -> None:
        full = self._full(weight)
        # What was accepted before is not refused when it is asked for again.
        if full is not None and not known_to(self._state, queue, asked):
            raise exhausted(ETCD_SPACE_LOW, full)

    # -- reading

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> Message:
        full = validate.view(request.view) != task_pb2.TASK_VIEW_BASIC
        if self._subtasks is not None and is_subtask(request.id):
            return pb.GetTaskResponse(task=await self._subtasks.subtask(request.id, 0.0, full=full))
        return pb.GetTaskResponse(task=await self._tasks.task(request.id, full=full))

    async def ExplainTask(self, request: pb.ExplainTaskRequest, context: Context) -> Message:
        found = await explain_task(self._driver, self._tasks, self._subtasks, request.id)
        return pb.ExplainTaskResponse(explanation=found)

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> Message:
        return await self._tasks.page(request)

    async def WaitTask(self, request: pb.WaitTaskRequest, context: Context) -> Message:
        task = TaskId(required("id", request.id))
        full = validate.view(request.view) == task_pb2.TASK_VIEW_FULL
        timeout = validate.DEFAULT_WAIT
        if request.HasField("timeout"):
            timeout = duration("timeout", request.timeout, validate.MAX_WAIT, zero=True)
        if self._subtasks is not None and is_subtask(task):
            found = await self._subtasks.subtask(task, timeout, full=full)
            return pb.WaitTaskResponse(task=found)
        queue = self._driver.waiters.finishing(task)
        if queue is None:
            # Finished and committed, or unknown: the read is fenced itself.
            return pb.WaitTaskResponse(task=await self._tasks.task(task, full=full))
        try:
            async with asyncio.timeout(timeout):
                record = await self._driver.waiters.finished(task)
        except TimeoutError:
            return pb.WaitTaskResponse(task=await self._tasks.task(task, full=full))
        if full:
            return pb.WaitTaskResponse(task=await self._tasks.task(task, full=True))
        now = self._driver.clock.now()
        view = views.task(queue, task, None, record, now=now, full=False)
        return pb.WaitTaskResponse(task=view)

    async def WatchTasks(
        self, request: pb.WatchTasksRequest, context: Context
    ) -> AsyncIterator[Answer]:
        validate.watched(request.ids)
        if request.job_id and not is_task_id(request.job_id):
            raise invalid("job_id", f"{request.job_id[:80]!r} is not the id of a job")
        if request.queue:
            await self._tasks.queue(QueueName(queue_name("queue", request.queue)))
        for state in request.states:
            known_enum("states", state, range(1, len(TaskState) + 1))
        async with aclosing(self._watches.follow(request, caller_name())) as answers:
            async for answer in answers:
                yield answer

    # -- changing

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> Message:
        asked = audited("CancelTask", request, context)
        task = TaskId(required("id", request.id))
        if self._subtasks is not None and is_subtask(task):
            await self._candidates.require(SUBTASK_CHANGE)
            found = await self._subtasks.cancel(task, asked)
            return pb.CancelTaskResponse(task=found)
        answer = await ask(self._driver, asked, lambda token: e.TaskCancelAsked(task, asked, token))
        return pb.CancelTaskResponse(task=await self._tasks.as_known(answer))

    async def CancelTasks(self, request: pb.CancelTasksRequest, context: Context) -> Message:
        await self._require_for_subtasks(request.ids)
        return await cancel_tasks(self._driver, self._lane, request, context)

    async def RetryTasks(self, request: pb.RetryTasksRequest, context: Context) -> Message:
        if not request.validate_only:
            await self._candidates.require_for_retries()
        await self._require_for_subtasks(request.ids)
        return await retry_tasks(self._driver, self._lane, request, context)

    async def _require_for_subtasks(self, ids: Iterable[str]) -> None:
        """Return when every scheduler knows of subtasks that change alone, where some are named."""
        if any(map(is_subtask, ids)):
            await self._candidates.require(SUBTASK_CHANGE)

    async def PauseTask(self, request: pb.PauseTaskRequest, context: Context) -> Message:
        await refuse_subtask(self._subtasks, request.id, "PauseJob pauses its job {job!r}")
        answer = await self._controls.pause(request, context)
        return pb.PauseTaskResponse(task=await self._tasks.as_known(answer))

    async def ResumeTask(self, request: pb.ResumeTaskRequest, context: Context) -> Message:
        await refuse_subtask(self._subtasks, request.id, "ResumeJob resumes its job {job!r}")
        answer = await self._controls.resume(request, context)
        return pb.ResumeTaskResponse(task=await self._tasks.as_known(answer))

    async def SendSignal(self, request: pb.SendSignalRequest, context: Context) -> Message:
        await refuse_subtask(self._subtasks, request.id, "it takes no signals")
        answer = await self._controls.signal(request, context)
        return pb.SendSignalResponse(task=await self._tasks.as_known(answer))

    async def UpdateTask(self, request: pb.UpdateTaskRequest, context: Context) -> Message:
        await self._candidates.require(TASK_UPDATE)
        if request.task.queue:
            await self._candidates.require(TASK_MOVE)
        await self._candidates.require_for_templates(request.task.spec)
        await refuse_subtask(self._subtasks, request.task.id, "UpdateJob changes its job {job!r}")
        await update_task(self._driver, self._lane, self._check, request, context)
        return pb.UpdateTaskResponse(task=await self._tasks.task(request.task.id, full=False))

    async def UpdateTasks(self, request: pb.UpdateTasksRequest, context: Context) -> Message:
        await self._candidates.require(TASK_UPDATE)
        if request.task.queue:
            await self._candidates.require(TASK_MOVE)
        await self._candidates.require_for_templates(request.task.spec)
        return await update_tasks(self._driver, self._lane, self._check, request, context)

    async def DeleteTasks(self, request: pb.DeleteTasksRequest, context: Context) -> Message:
        return await delete_tasks(self._driver, self._lane, request, context)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> Message:
        asked = audited("RetryTask", request, context)
        task = TaskId(required("id", request.id))
        if self._subtasks is not None and is_subtask(task):
            if request.HasField("spec"):
                await refuse_subtask(self._subtasks, task, "it runs what all of its job run")
            await self._candidates.require(SUBTASK_CHANGE)
            return pb.RetryTaskResponse(task=await self._subtasks.retry(task, asked))
        edited, run = None, task_pb2.ScheduledRun()
        if request.HasField("spec"):
            run.CopyFrom(request.spec.schedule)
            request.spec.ClearField("schedule")
            edited = self._check.spec(request.spec, "spec", self._driver.clock.now())
            for _ in self._check.large_json(request.spec, "spec"):
                await asyncio.sleep(0)
        record = e.TaskRecorded(TaskSpec(b""), 0.0)
        try:
            queue = await self._tasks.queue_of(task)
            # What is read back is to be what memory says: its last attempt too.
            await self._driver.readable()
            record = recorded(await self._stored.task(queue, task))
            if edited is not None:
                run = validate.run_of_edited(run, record.spec.spec)
                if run.name:
                    request.spec.schedule.CopyFrom(run)
                    edited = task_spec(request.spec, serialize(request.spec))
                record = record._replace(spec=edited)
            await self._candidates.require_for((record.spec,))
        except QuorateError as error:
            # Retried by this very call before, and deleted since: it gets its first answer.
            repeated = known_to(self._state, TASKS_SCOPE, asked)
            if error.code is not grpc.StatusCode.NOT_FOUND or not repeated:
                raise
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.TaskRetryAsked(task, record, asked, token, edited is not None),
        )
        return pb.RetryTaskResponse(task=await self._tasks.as_known(answer))

    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: Context) -> Message:
        asked = audited("DeleteTask", request, context)
        task = TaskId(required("id", request.id))
        await refuse_subtask(self._subtasks, task, "DeleteJob deletes its whole job {job!r}")
        await ask(self._driver, asked, lambda token: e.TaskDeleteAsked(task, asked, token))
        return pb.DeleteTaskResponse()

    def queue_of_task(self, task: str) -> str | None:
        """The queue a task is in, for the check of who asks; None when there is no such task."""
        return self._tasks.queue_of_task(task)
