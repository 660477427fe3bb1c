"""The Scheduler service of a leader: requests in, events and fenced reads, answers out.

Called by `scheduler.api.forward` only while this process leads; a Service lives for one term. It
validates (`scheduler.api.validate`), turns a request into one event, waits for its answer and makes
the message. Reads answer what etcd holds; what memory alone knows (queues, nodes) is answered
behind a barrier, so that nothing uncommitted is visible.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from quorate.runtime.errors import QuorateError, exhausted, invalid, not_found
from quorate.runtime.ids import NodeName, QueueName, TaskId, TaskIds, is_task_id, offset_ids
from quorate.security.identity import current_caller
from quorate.v1 import node_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.agents.sessions import Sessions
from scheduler.api import page_tokens, validate, views
from scheduler.api.asking import (
    PAGE_BYTES,
    Context,
    after_name,
    ask,
    audited,
    identified,
    page_of_names,
)
from scheduler.api.cluster.audit_log import AuditLog
from scheduler.api.cluster.overview import Overview
from scheduler.api.origin import caller_name
from scheduler.api.quotas.servicer import Quotas
from scheduler.api.request_sizes import size_of_request
from scheduler.api.tasks.bulk_cancel import cancel_tasks
from scheduler.api.tasks.logs import relay_logs
from scheduler.api.tasks.watch_pick import Answer
from scheduler.api.tasks.watches import Watches
from scheduler.core.handlers.requests import TASKS_SCOPE, known_to
from scheduler.core.model import events as e
from scheduler.core.model.answers import (
    BatchCreated,
    QueueSeen,
    TaskCreated,
    see_queue,
)
from scheduler.core.model.events import Request
from scheduler.core.model.rows import Control, QueueRow
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import Disconnect, Needs, Placement, TaskSpec, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.lane import Lane
from scheduler.engine.write_admission import SPACE_LOW
from scheduler.storage import reads
from scheduler.storage import unknown_fields as unknown

DEFAULT_DRAIN_GRACE: Final = 30.0
MAX_DRAIN_GRACE: Final = 86_400.0
# Bytes of a batch's specs checked between two turns of the event loop, of a batch whose caller must
# take turns with others, and what a small spec costs in such bytes.
_SLICE_BYTES: Final = 64 << 10
_LARGE_BATCH: Final = 2 << 20
_SPEC_COST: Final = 256
# Kinds of needs that are compared with all nodes for one call: each is a look at each node.
_WARNED_KINDS: Final = 10


class Service:
    """One method for each RPC; each raises QuorateError."""

    def __init__(
        self,
        driver: Driver,
        ids: TaskIds,
        stored: reads.FencedReads,
        watches: Watches,
        sessions: Sessions,
        overview: Overview,
        check: validate.SpecCheck,
        quotas: Quotas,
    ) -> None:
        self.quotas = quotas
        self.max_payload = check.max_payload
        self._driver = driver
        self._state = driver.state
        self._ids = ids
        self._stored = stored
        self._watches = watches
        self._sessions = sessions
        self._overview = overview
        self._check = check
        # Long work on the loop, a small slice at a time.
        self._lane = Lane(driver.contention)
        self._audit = AuditLog(driver, stored)

    # -- creating

    async def CreateTask(self, request: pb.CreateTaskRequest, context: Context) -> Message:
        asked = identified("CreateTask", request)
        queue = QueueName(validate.queue_name("queue", request.queue, default=True))
        if not request.HasField("spec"):
            raise invalid("spec", "is required")
        now = self._driver.clock.now()
        spec = self._check.spec(request.spec, "spec", now)
        if len(spec.spec) > validate.LARGE_JSON:
            async with self._lane.turn(caller_name()):
                for _ in self._check.large_json(request.spec, "spec"):
                    await self._lane.pause()
        weight = len(spec.spec)
        self._refuse_when_full(queue, asked, weight)
        task, creator = self._ids.next(now), caller_name()
        answer = await self._ask(
            lambda token: e.TaskSubmitted(queue, task, spec, asked, token, creator), weight
        )
        if isinstance(answer, TaskCreated):
            view = task_pb2.Task(id=answer.task, queue=answer.queue, created_by=creator)
            view.state = int(answer.state)  # type: ignore[assignment]
            view.create_time.CopyFrom(views.instant(answer.create_time))
            if answer.not_before:
                view.schedule_time.CopyFrom(views.instant(answer.not_before))
            view.pending_reason = why_unplaceable(self._state.nodes, spec.needs)
            return pb.CreateTaskResponse(task=view)
        return pb.CreateTaskResponse(task=await self._read_again(answer))

    async def BatchCreateTasks(
        self, request: pb.BatchCreateTasksRequest, context: Context
    ) -> Message:
        queue = QueueName(validate.queue_name("queue", request.queue, default=True))
        weight = validate.batch(request, size_of_request.get())
        asked = identified("BatchCreateTasks", request)
        if weight > _LARGE_BATCH:
            async with self._lane.turn(caller_name()):
                specs = await self._checked(request, self._lane.pause)
        else:
            specs = await self._checked(request, partial(asyncio.sleep, 0))
        self._refuse_when_full(queue, asked, weight)
        first, creator = self._ids.next(self._driver.clock.now()), caller_name()
        answer = await self._ask(
            lambda token: e.BatchSubmitted(queue, first, specs, asked, token, creator), weight
        )
        assert isinstance(answer, BatchCreated)
        made = offset_ids(answer.first, 0, answer.size)
        return pb.BatchCreateTasksResponse(ids=made, warnings=self._warnings(specs))

    def _warnings(self, specs: Sequence[TaskSpec]) -> list[str]:
        """What no node can start, of the first kinds of needs in a batch."""
        kinds = dict.fromkeys(spec.needs for spec in specs)
        found = [why_unplaceable(self._state.nodes, kind) for kind in list(kinds)[:_WARNED_KINDS]]
        return list(dict.fromkeys(filter(None, found)))

    async def _checked(
        self, request: pb.BatchCreateTasksRequest, pause: Callable[[], Awaitable[None]]
    ) -> list[TaskSpec]:
        """The specs of a batch, with a pause behind every `_SLICE_BYTES`."""
        now = self._driver.clock.now()
        specs, size = [], 0
        for place, spec in enumerate(request.specs):
            field = f"specs[{place}]"
            checked = self._check.spec(spec, field, now)
            specs.append(checked)
            length = len(checked.spec)
            if length > validate.LARGE_JSON:
                for _ in self._check.large_json(spec, field):
                    await pause()
            size += length + _SPEC_COST
            if size > _SLICE_BYTES:
                size = 0
                await pause()
        return specs

    def _refuse_when_full(self, queue: QueueName, asked: Request, weight: int) -> None:
        full = self._overview.full(weight)
        # What was accepted before is not refused when it is asked for again.
        if full is not None and not known_to(self._state, queue, asked):
            raise exhausted(SPACE_LOW, full)

    # -- reading

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> Message:
        full = validate.view(request.view) != task_pb2.TASK_VIEW_BASIC
        return pb.GetTaskResponse(task=await self._read(request.id, full=full))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> Message:
        size = validate.page_size(request.page_size)
        full = validate.view(request.view) == task_pb2.TASK_VIEW_FULL
        states = frozenset(
            validate.known_enum("states", state, range(1, len(TaskState) + 1))
            for state in request.states
        )
        words = validate.search_words(request.text)
        filters = (request.queue, sorted(states), *words)
        before = page_tokens.decode("tasks", filters, request.page_token)
        if before is not None and not is_task_id(before):
            raise page_tokens.stale("is malformed; begin again without it")
        if request.queue:
            name = QueueName(validate.queue_name("queue", request.queue))
            queues = [await self._queue(name)]
        else:
            queues = list(self._state.queues.values())
        page = await reads.find(
            self._lane, caller_name(), self._state, queues, states, before, size, words
        )
        await self._driver.readable()
        now = self._driver.clock.now()
        answer = pb.ListTasksResponse()
        length, before = 0, page.before
        reasons: dict[Needs, str] = {}
        async for found in self._stored.each(page.ids):
            view = views.task(found.queue, found.id, found.task, found.run, now=now, full=full)
            # It may have moved on since its id was picked; then it belongs to another list.
            if states and view.state not in states:
                continue
            self._add_start(view)
            self._add_reason(view, reasons)
            length += view.ByteSize()
            if answer.tasks and length > PAGE_BYTES:
                before = answer.tasks[-1].id
                break
            answer.tasks.append(view)
        if before is not None:
            answer.next_page_token = page_tokens.encode("tasks", filters, before)
        return answer

    async def WaitTask(self, request: pb.WaitTaskRequest, context: Context) -> Message:
        task = TaskId(validate.required("id", request.id))
        full = validate.view(request.view) == task_pb2.TASK_VIEW_FULL
        timeout = validate.DEFAULT_WAIT
        if request.HasField("timeout"):
            timeout = validate.duration("timeout", request.timeout, validate.MAX_WAIT, zero=True)
        queue = self._driver.finishing(task)
        if queue is None:
            # Finished and committed, or unknown: the read is fenced itself.
            return pb.WaitTaskResponse(task=await self._read(task, full=full))
        try:
            async with asyncio.timeout(timeout):
                record = await self._driver.finished(task)
        except TimeoutError:
            return pb.WaitTaskResponse(task=await self._read(task, full=full))
        if full:
            return pb.WaitTaskResponse(task=await self._read(task, full=True))
        now = self._driver.clock.now()
        view = views.task(queue, task, None, record, now=now, full=False)
        return pb.WaitTaskResponse(task=view)

    async def WatchTasks(
        self, request: pb.WatchTasksRequest, context: Context
    ) -> AsyncIterator[Answer]:
        validate.watched(request.ids)
        if request.queue:
            await self._queue(QueueName(validate.queue_name("queue", request.queue)))
        for state in request.states:
            validate.known_enum("states", state, range(1, len(TaskState) + 1))
        async with aclosing(self._watches.follow(request, caller_name())) as answers:
            async for answer in answers:
                yield answer

    async def StreamTaskLogs(
        self, request: pb.StreamTaskLogsRequest, context: Context
    ) -> AsyncIterator[Message]:
        task = TaskId(validate.required("id", request.id))
        validate.attempt(request.attempt)
        validate.offset(request.offset)
        validate.tail_lines(request.tail_lines)
        async for answer in relay_logs(self._driver, self._stored, self._sessions, task, request):
            yield answer

    # -- changing tasks

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> Message:
        asked = audited("CancelTask", request, context)
        task = TaskId(validate.required("id", request.id))
        answer = await self._ask(lambda token: e.TaskCancelAsked(task, asked, token))
        return pb.CancelTaskResponse(task=await self._read_again(answer))

    async def CancelTasks(self, request: pb.CancelTasksRequest, context: Context) -> Message:
        return await cancel_tasks(self._driver, self._lane, request, context)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> Message:
        asked = audited("RetryTask", request, context)
        task = TaskId(validate.required("id", request.id))
        spec, created, creator, unknown_fields = TaskSpec(b""), 0.0, "", b""
        try:
            found = await self._stored.task(await self._queue_of(task), task)
            spec, created = views.core_spec(found.task.spec), found.task.create_time
            creator = found.task.created_by
            unknown_fields = unknown.unknown_fields(found.task)
        except QuorateError as error:
            # Retried by this very call before, and deleted since: it gets its first answer.
            repeated = known_to(self._state, TASKS_SCOPE, asked)
            if error.code is not grpc.StatusCode.NOT_FOUND or not repeated:
                raise
        answer = await self._ask(
            lambda token: e.TaskRetryAsked(
                task, spec, created, asked, token, creator, unknown_fields
            )
        )
        return pb.RetryTaskResponse(task=await self._read_again(answer))

    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: Context) -> Message:
        asked = audited("DeleteTask", request, context)
        task = TaskId(validate.required("id", request.id))
        await self._ask(lambda token: e.TaskDeleteAsked(task, asked, token))
        return pb.DeleteTaskResponse()

    # -- queues

    async def CreateQueue(self, request: pb.CreateQueueRequest, context: Context) -> Message:
        asked = audited("CreateQueue", request, context)
        queue = request.queue
        name = QueueName(validate.queue_name("queue.name", queue.name))
        age, count = validate.retention(queue)
        placement = validate.known_enum("queue.placement", queue.placement, range(4))
        disconnect = validate.known_enum("queue.disconnect", queue.disconnect, range(3))
        answer = await self._ask(
            lambda token: e.QueueSubmitted(
                name,
                Placement(placement or Placement.LEAST_LOADED),
                Disconnect(disconnect or Disconnect.KEEP),
                age,
                count,
                asked,
                token,
            )
        )
        return pb.CreateQueueResponse(queue=_queue_view(answer))

    async def GetQueue(self, request: pb.GetQueueRequest, context: Context) -> Message:
        name = QueueName(validate.queue_name("name", request.name))
        row = self._state.queues.get(name)
        seen = see_queue(row) if row else None
        await self._driver.readable()
        if seen is None:
            raise not_found("queue", name)
        return pb.GetQueueResponse(queue=views.queue(seen))

    async def ListQueues(self, request: pb.ListQueuesRequest, context: Context) -> Message:
        caller = current_caller()
        shown = [name for name in self._state.queues if caller is None or caller.may_name(name)]
        names, token = page_of_names("queues", shown, request.page_size, request.page_token)
        seen = [see_queue(self._state.queues[QueueName(name)]) for name in names]
        revision = self._driver.revision
        await self._driver.readable()
        return pb.ListQueuesResponse(
            queues=map(views.queue, seen), next_page_token=token, revision=revision
        )

    async def DeleteQueue(self, request: pb.DeleteQueueRequest, context: Context) -> Message:
        asked = audited("DeleteQueue", request, context)
        name = QueueName(validate.queue_name("name", request.name))
        await self._ask(lambda token: e.QueueDeleteAsked(name, asked, token))
        return pb.DeleteQueueResponse()

    async def PauseQueue(self, request: pb.PauseQueueRequest, context: Context) -> Message:
        answer = await self._pause(request.name, True, audited("PauseQueue", request, context))
        return pb.PauseQueueResponse(queue=answer)

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, context: Context) -> Message:
        answer = await self._pause(request.name, False, audited("ResumeQueue", request, context))
        return pb.ResumeQueueResponse(queue=answer)

    async def _pause(self, name: str, paused: bool, asked: Request) -> Any:
        queue = QueueName(validate.queue_name("name", name))
        answer = await self._ask(lambda token: e.QueuePauseAsked(queue, paused, asked, token))
        return _queue_view(answer)

    # -- nodes

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> Message:
        names, token = page_of_names(
            "nodes", self._state.nodes, request.page_size, request.page_token
        )
        answer = pb.ListNodesResponse(next_page_token=token, revision=self._driver.revision)
        length = 0
        for name in names:
            view = self._node_view(NodeName(name))
            length += view.ByteSize()
            if answer.nodes and length > PAGE_BYTES:
                answer.next_page_token = after_name("nodes", answer.nodes[-1].name)
                break
            answer.nodes.append(view)
        await self._driver.readable()
        return answer

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> Message:
        name = NodeName(validate.required("name", request.name))
        view = self._node_view(name) if name in self._state.nodes else None
        await self._driver.readable()
        if view is None:
            raise not_found("node", name)
        return pb.GetNodeResponse(node=view)

    async def CordonNode(self, request: pb.CordonNodeRequest, context: Context) -> Message:
        asked = audited("CordonNode", request, context)
        change = partial(replace, cordoned=True)
        return pb.CordonNodeResponse(node=await self._control(request.name, change, asked))

    async def UncordonNode(self, request: pb.UncordonNodeRequest, context: Context) -> Message:
        asked = audited("UncordonNode", request, context)
        change = partial(replace, cordoned=False, draining=False, drain_grace=0.0)
        return pb.UncordonNodeResponse(node=await self._control(request.name, change, asked))

    async def DrainNode(self, request: pb.DrainNodeRequest, context: Context) -> Message:
        asked = audited("DrainNode", request, context)
        grace = DEFAULT_DRAIN_GRACE
        if request.HasField("grace"):
            grace = validate.duration("grace", request.grace, MAX_DRAIN_GRACE, zero=True)
        change = partial(replace, cordoned=True, draining=True, drain_grace=grace)
        return pb.DrainNodeResponse(node=await self._control(request.name, change, asked))

    async def _control(
        self, name: str, change: Callable[[Control], Control], asked: Request
    ) -> Any:
        node = NodeName(validate.required("name", name))
        control = self._state.control
        # What is on record is looked up when it is stepped: a call may have waited for room in the
        # journal, and another one of this node with it.
        await self._ask(lambda token: e.NodeControlAsked(node, change(control(node)), asked, token))
        # Away at the moment, or for good: the order is on record under its name.
        known = node in self._state.nodes
        view = self._node_view(node) if known else node_pb2.Node(name=node)
        # It may show an order that came after this one, and is not committed.
        await self._driver.readable()
        return view

    def _node_view(self, name: NodeName) -> Any:
        state = self._state
        return views.node(state.nodes[name], state.control(name), state.scaling_down.get(name))

    # -- the cluster

    async def GetCluster(self, request: pb.GetClusterRequest, context: Context) -> Message:
        await self._driver.readable()
        cluster = await self._overview.cluster()
        return pb.GetClusterResponse(cluster=cluster, caller=views.caller(current_caller()))

    async def ListQuotas(self, request: pb.ListQuotasRequest, context: Context) -> Message:
        return await self.quotas.page(request)

    async def SetQuota(self, request: pb.SetQuotaRequest, context: Context) -> Message:
        return await self.quotas.set(request, context)

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> Message:
        return await self._audit.page(request)

    # -- shared

    async def _ask(
        self, make: Callable[[asyncio.Future[object]], e.Event], weight: int = 0
    ) -> object:
        """Step an event and return its answer; a Refusal is raised. As `Driver.call`."""
        return await ask(self._driver, make, weight)

    async def _queue(self, name: QueueName) -> QueueRow:
        """Raises NOT_FOUND, behind a barrier."""
        row = self._state.queues.get(name)
        if row is None:
            await self._driver.readable()
            raise not_found("queue", name)
        return row

    def queue_of_task(self, task: str) -> str | None:
        """The queue a task is in, for the check of who asks; None when there is no such task."""
        row = self._state.tasks.get(TaskId(task)) or self._state.finished.get(TaskId(task))
        return None if row is None else row.queue.name

    async def _queue_of(self, task: str) -> str:
        """The queue a task is in. Raises NOT_FOUND, behind a barrier."""
        validate.required("id", task)
        queue = self.queue_of_task(task)
        if queue is None:
            await self._driver.readable()
            raise not_found("task", task)
        return queue

    async def _read(self, task: str, *, full: bool) -> task_pb2.Task:
        found = await self._stored.task(await self._queue_of(task), task)
        now = self._driver.clock.now()
        view = views.task(found.queue, found.id, found.task, found.run, now=now, full=full)
        self._add_start(view)
        self._add_reason(view, {})
        return view

    async def _read_again(self, answer: Any) -> task_pb2.Task:
        """The task behind a TaskKnown, without its spec; its bare id when it is gone since."""
        found = await self._stored.tasks(((answer.queue, answer.task),))
        if not found:
            return task_pb2.Task(id=answer.task, queue=answer.queue)
        now = self._driver.clock.now()
        view = views.task(
            answer.queue, answer.task, found[0].task, found[0].run, now=now, full=False
        )
        view.ClearField("spec")
        self._add_reason(view, {})
        return view

    def _add_reason(self, view: task_pb2.Task, known: dict[Needs, str]) -> None:
        """Why a PENDING task cannot start as things are; `known`: what this call found already."""
        row = self._state.tasks.get(TaskId(view.id))
        if row is None or view.state != task_pb2.TASK_STATE_PENDING:
            return
        if row.needs not in known and len(known) < _WARNED_KINDS:
            known[row.needs] = why_unplaceable(self._state.nodes, row.needs)
        view.pending_reason = known.get(row.needs, "")

    def _add_start(self, view: task_pb2.Task) -> None:
        """When the running attempt began: known here before it is on record."""
        row = self._state.tasks.get(TaskId(view.id))
        if row is None or view.state != task_pb2.TASK_STATE_RUNNING or not row.start_time:
            return
        if row.attempt == view.attempt and view.attempts:
            view.attempts[-1].start_time.CopyFrom(views.instant(row.start_time))


def _queue_view(answer: object) -> Any:
    assert isinstance(answer, QueueSeen)
    return views.queue(answer)
