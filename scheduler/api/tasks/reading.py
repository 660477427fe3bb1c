"""Reads of tasks: what etcd holds, with what memory alone knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.runtime.errors import QuorateError, not_found
from quorate.runtime.ids import QueueName, TaskId, is_task_id
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api import page_tokens
from scheduler.api.asking import PAGE_BYTES
from scheduler.api.origin import caller_name
from scheduler.api.tasks import validate, views
from scheduler.api.tasks.running import progress
from scheduler.api.validate import known_enum, page_size, queue_name, required
from scheduler.api.views import instant
from scheduler.core.model.answers import TaskKnown
from scheduler.core.model.rows import QueueRow
from scheduler.core.placement.held_back import why_held_back
from scheduler.core.placement.unplaceable import Wanted, why_unplaceable
from scheduler.core.values import DEAD, NO_LIMITS, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.long_work.lane import Lane
from scheduler.storage import reads

# Kinds of needs that are compared with all nodes for one call: each is a look at each node.
WARNED_KINDS: Final = 10


class TaskReader:
    """Reads tasks for one term; each method raises QuorateError.

    Args:
        lane: shares the loop between the searches of callers.
    """

    def __init__(self, driver: Driver, stored: reads.FencedReads, lane: Lane) -> None:
        self._driver = driver
        self._state = driver.state
        self._stored = stored
        self._lane = lane

    async def queue_of(self, task: str) -> str:
        """The queue a task is in. Raises NOT_FOUND, behind a barrier."""
        required("id", task)
        queue = self.queue_of_task(task)
        if queue is None:
            await self._driver.readable()
            raise not_found("task", task)
        return queue

    async def queue(self, name: QueueName) -> QueueRow:
        """The row of a queue. Raises NOT_FOUND, behind a barrier."""
        row = self._state.queues.get(name)
        if row is None:
            await self._driver.readable()
            raise not_found("queue", name)
        return row

    def queue_of_task(self, task: str) -> str | None:
        """The queue a task is in, for the check of who asks; None when there is no such task."""
        row = self._state.tasks.get(TaskId(task)) or self._state.finished.get(TaskId(task))
        return None if row is None else row.queue.name

    async def task(self, task: str, *, full: bool) -> task_pb2.Task:
        """A task as it is on record. Raises NOT_FOUND."""
        queue = await self.queue_of(task)
        try:
            found = await self._stored.task(queue, task)
        except QuorateError:
            moved = self.queue_of_task(task)
            if moved is None or moved == queue:
                raise
            # It went to another queue meanwhile.
            found = await self._stored.task(moved, task)
        now = self._driver.clock.now()
        view = views.task(found.queue, found.id, found.task, found.run, now=now, full=full)
        self._add_start(view)
        self._add_reason(view, {})
        return view

    async def as_known(self, answer: object) -> task_pb2.Task:
        """The task behind a TaskKnown, without its spec; its bare id when it is gone since."""
        assert isinstance(answer, TaskKnown)
        # It may have gone to another queue since.
        queue = self.queue_of_task(answer.task) or answer.queue
        found = await self._stored.tasks(((queue, answer.task),))
        if not found:
            return task_pb2.Task(id=answer.task, queue=queue)
        now = self._driver.clock.now()
        view = views.task(queue, answer.task, found[0].task, found[0].run, now=now, full=False)
        view.ClearField("spec")
        self._add_reason(view, {})
        return view

    async def page(self, request: pb.ListTasksRequest) -> pb.ListTasksResponse:
        """A page of those that match."""
        size = page_size(request.page_size)
        full = validate.view(request.view) == task_pb2.TASK_VIEW_FULL
        states = frozenset(
            known_enum("states", state, range(1, len(TaskState) + 1)) for state in request.states
        )
        words = validate.search_words(request.text)
        group = validate.error_group(request.error_group)
        filters: tuple[object, ...] = (request.queue, sorted(states), *words)
        if group:
            filters = (*filters, "group", group)
        if request.job_id:
            filters = (*filters, "job", request.job_id)
        before = page_tokens.decode("tasks", filters, request.page_token)
        if before is not None and not is_task_id(before):
            raise page_tokens.stale("is malformed; begin again without it")
        if request.queue:
            name = QueueName(queue_name("queue", request.queue))
            queues = [await self.queue(name)]
        else:
            queues = list(self._state.queues.values())
        if request.job_id:
            page = self._of_job(request, states, before, size, words, group)
        else:
            page = await reads.find(
                self._lane, caller_name(), self._state, queues, states, before, size, words, group
            )
        await self._driver.readable()
        now = self._driver.clock.now()
        answer = pb.ListTasksResponse()
        length, before = 0, page.before
        reasons: dict[Wanted, str] = {}
        async for found in self._stored.each(page.ids):
            view = views.task(found.queue, found.id, found.task, found.run, now=now, full=full)
            # It may have moved on since its id was picked; then it belongs to another list.
            if states and view.state not in states:
                continue
            if group and TaskState(view.state) not in DEAD:
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

    def _of_job(
        self,
        request: pb.ListTasksRequest,
        states: frozenset[int],
        before: str | None,
        size: int,
        words: Sequence[str],
        group: str,
    ) -> reads.Page:
        """A page of the tasks that belong to a job. Of another queue's there are none: who asks may
        be bound to the queue that is named."""
        row = self._state.jobs.get(TaskId(request.job_id))
        if row is not None and request.queue and row.queue.name != request.queue:
            row = None
        members = row.members if row is not None else None
        tasks = reversed(members.tasks) if members is not None else iter(())
        return reads.page_of(self._state, tasks, states, before, size, words, group)

    def _add_reason(self, view: task_pb2.Task, known: dict[Wanted, str]) -> None:
        """Why a PENDING task cannot start as things are; `known`: what this call found already."""
        row = self._state.tasks.get(TaskId(view.id))
        if row is None or view.state != task_pb2.TASK_STATE_PENDING:
            return
        wanted = Wanted(row.needs, row.rules)
        if wanted not in known and len(known) < WARNED_KINDS:
            known[wanted] = why_unplaceable(self._state, *wanted)
        view.pending_reason = known.get(wanted, "")
        held = row.limits is not None or row.queue.limits is not NO_LIMITS
        if held:
            view.limited_by = why_held_back(self._state, row, self._driver.clock.now())

    def _add_start(self, view: task_pb2.Task) -> None:
        """When the running attempt began: known here before it is on record."""
        row = self._state.tasks.get(TaskId(view.id))
        if row is None or view.state != task_pb2.TASK_STATE_RUNNING or not row.start_time:
            return
        progress.add(view, self._state)
        if row.attempt == view.attempt and view.attempts:
            view.attempts[-1].start_time.CopyFrom(instant(row.start_time))
