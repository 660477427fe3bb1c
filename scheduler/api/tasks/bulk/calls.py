"""CancelTasks, RetryTasks, DeleteTasks: their requests, what they would come to, their answers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import filterfalse
from typing import Final

from quorate.runtime.errors import invalid, not_found, precondition
from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.asking import refused
from scheduler.api.servicer import Context
from scheduler.api.specs.check import SpecCheck
from scheduler.api.subtask_place import is_subtask
from scheduler.api.tasks import validate
from scheduler.api.tasks.bulk.find import BulkCall, bulk
from scheduler.api.tasks.bulk.updates import spec_update
from scheduler.api.validate import required
from scheduler.api.views import instant
from scheduler.core.handlers.bulk import subtasks
from scheduler.core.handlers.bulk.update import (
    NOT_FOUND,
    NOT_WAITING,
    REFUSED,
    SKIPPED,
    UPDATED,
    refuse_update,
)
from scheduler.core.model.state import State
from scheduler.core.values import DEAD, FINISHED, RETRIABLE, WAITING, BulkAct, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.long_work.lane import Lane

_LIVE: Final = frozenset(TaskState) - FINISHED


async def cancel_tasks(
    driver: Driver, lane: Lane, request: pb.CancelTasksRequest, context: Context
) -> pb.CancelTasksResponse:
    """Answer CancelTasks. Raises QuorateError."""
    states = validate.many(
        request,
        _LIVE,
        "are finished already",
        "to cancel everything set states to PENDING, SCHEDULED and RUNNING",
    )
    answer = await bulk(_CANCEL, driver, lane, request, states, context)
    cancelled, stopping, finished, not_found, skipped = answer.counts
    return pb.CancelTasksResponse(
        cancelled=cancelled,
        stopping=stopping,
        finished=finished,
        not_found=not_found,
        skipped=skipped,
        next_page_token=answer.next_page_token,
    )


async def retry_tasks(
    driver: Driver, lane: Lane, request: pb.RetryTasksRequest, context: Context
) -> pb.RetryTasksResponse:
    """Answer RetryTasks. Raises QuorateError."""
    states = validate.many(
        request,
        RETRIABLE,
        "cannot be retried",
        "to retry all failed tasks set states to FAILED and EXPIRED",
    )
    rate = validate.rate(request.max_rate)
    if rate and (found := next(filter(is_subtask, request.ids), "")):
        raise invalid("max_rate", f"cannot be set with ids of subtasks, such as {found[:80]!r}")
    answer = await bulk(_RETRY, driver, lane, request, states, context, rate=rate)
    retried, not_finished, skipped, not_found, over_quota = answer.counts
    view = pb.RetryTasksResponse(
        retried=retried,
        not_finished=not_finished,
        skipped=skipped,
        not_found=not_found,
        over_quota=over_quota,
        next_page_token=answer.next_page_token,
    )
    if answer.last_start and retried:
        view.last_start_time.CopyFrom(instant(answer.last_start))
    return view


async def delete_tasks(
    driver: Driver, lane: Lane, request: pb.DeleteTasksRequest, context: Context
) -> pb.DeleteTasksResponse:
    """Answer DeleteTasks. Raises QuorateError."""
    states = validate.many(
        request,
        FINISHED,
        "are not finished; cancel them first",
        "to delete all finished tasks set states to SUCCEEDED, FAILED, CANCELLED and EXPIRED",
    )
    answer = await bulk(_DELETE, driver, lane, request, states, context)
    deleted, not_finished, skipped, not_found = answer.counts
    return pb.DeleteTasksResponse(
        deleted=deleted,
        not_finished=not_finished,
        skipped=skipped,
        not_found=not_found,
        next_page_token=answer.next_page_token,
    )


async def update_tasks(
    driver: Driver,
    lane: Lane,
    check: SpecCheck,
    request: pb.UpdateTasksRequest,
    context: Context,
) -> pb.UpdateTasksResponse:
    """Answer UpdateTasks. Raises QuorateError."""
    states = validate.many(
        request,
        WAITING,
        "cannot be updated",
        "to update everything that waits set states to PENDING, SCHEDULED and PAUSED",
    )
    if request.task.id:
        raise invalid("task.id", "cannot be set; name the tasks in ids")
    update, changes = spec_update(
        check, request.task, request.update_mask.paths, driver.clock.now()
    )
    if request.validate_only:
        await driver.readable()
        if (impossible := refuse_update(driver.state, update)) is not None:
            raise refused(impossible)
    answer = await bulk(
        _UPDATE, driver, lane, request, states, context, update=update, changes=changes
    )
    updated, not_waiting, skipped, not_found, not_accepted = answer.counts
    return pb.UpdateTasksResponse(
        updated=updated,
        not_waiting=not_waiting,
        skipped=skipped,
        not_found=not_found,
        next_page_token=answer.next_page_token,
        refused=not_accepted,
    )


async def update_task(
    driver: Driver,
    lane: Lane,
    check: SpecCheck,
    request: pb.UpdateTaskRequest,
    context: Context,
) -> None:
    """Do what UpdateTask asks for, as UpdateTasks does it for one. Raises QuorateError."""
    task = TaskId(required("task.id", request.task.id))
    update, changes = spec_update(
        check, request.task, request.update_mask.paths, driver.clock.now()
    )
    many = pb.UpdateTasksRequest(
        ids=[task],
        task=task_pb2.Task(spec=request.task.spec, queue=request.task.queue),
        update_mask=request.update_mask,
        request_id=request.request_id,
    )
    answer = await bulk(
        _UPDATE._replace(method="UpdateTask"),
        driver,
        lane,
        many,
        frozenset(),
        context,
        update=update,
        changes=changes,
    )
    if answer.counts[UPDATED]:
        return
    if answer.counts[NOT_FOUND]:
        raise not_found("task", task)
    row = driver.state.tasks.get(task) or driver.state.finished.get(task)
    found = row.state.name if row is not None else "not on record any longer"
    if answer.counts[NOT_WAITING]:
        raise precondition(
            "TASK_NOT_WAITING",
            f"task {task!r} is {found}; only PENDING, SCHEDULED and PAUSED tasks can be updated",
            task=task,
        )
    if answer.counts[REFUSED] and (gone := refuse_update(driver.state, update)) is not None:
        # It was deleted while the call was under way.
        raise refused(gone)
    if answer.counts[REFUSED] and not update.queue:
        raise precondition(
            "TASK_NOT_ACCEPTED",
            f"task {task!r} would be larger than the quota stored_bytes of its caller or its queue "
            "allows",
            task=task,
        )
    if answer.counts[REFUSED]:
        raise precondition(
            "TASK_NOT_ACCEPTED",
            f"queue {update.queue!r} does not accept task {task!r}: it accepts no tasks at the "
            "moment, is full, it or the caller has reached a quota, or another task of it has the "
            "unique key",
            task=task,
            queue=update.queue,
        )
    raise precondition(
        "TASK_NOT_UPDATABLE",
        f"task {task!r} is a replica of a service, has failed more often than its new retry "
        "policy allows, belongs to a job and cannot go to another queue, has not the labels by "
        "which it would be distinct, or would be larger than a task may be",
        task=task,
    )


def _count_updated(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
) -> tuple[int, ...]:
    counts = [0] * 5
    for task in tasks:
        row = state.tasks.get(task)
        if row is None:
            counts[NOT_WAITING if task in state.finished else NOT_FOUND] += 1
        elif row.state not in WAITING:
            counts[NOT_WAITING] += 1
        else:
            counts[UPDATED if row.state in (states or WAITING) else SKIPPED] += 1
    return tuple(counts)


def _count_cancelled(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
) -> tuple[int, ...]:
    counts = [0] * 5
    waiting = running = finished = unknown = skipped = 0
    for task in tasks:
        row = state.tasks.get(task)
        if is_subtask(task):
            counts[subtasks.cancel_outcome(state, task, states)] += 1
        elif row is None:
            finished += task in state.finished
            unknown += task not in state.finished
        elif states and row.state not in states:
            skipped += 1
        elif row.state is TaskState.RUNNING:
            running += 1
        else:
            waiting += 1
    return tuple(map(int.__add__, counts, (waiting, running, finished, unknown, skipped)))


def _count_finished(
    state: State, tasks: Iterable[TaskId], states: frozenset[TaskState]
) -> tuple[int, int, int, int]:
    """Those meant, not finished, in other states, not on record."""
    meant = live = skipped = unknown = 0
    for task in tasks:
        done = state.finished.get(task)
        if done is None:
            live += task in state.tasks
            unknown += task not in state.tasks
        elif done.state not in states:
            skipped += 1
        else:
            meant += 1
    return (meant, live, skipped, unknown)


def _count_retried(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
) -> tuple[int, ...]:
    counts = [*_count_finished(state, filterfalse(is_subtask, tasks), states or RETRIABLE), 0]
    for task in filter(is_subtask, tasks):
        counts[subtasks.retry_outcome(state, task, states)] += 1
    return tuple(counts)


def _count_deleted(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
) -> tuple[int, ...]:
    return _count_finished(state, tasks, states or FINISHED)


_CANCEL: Final = BulkCall("CancelTasks", "cancel", BulkAct.CANCEL, _LIVE, _count_cancelled)
_RETRY: Final = BulkCall("RetryTasks", "retry", BulkAct.RETRY, DEAD, _count_retried)
_UPDATE: Final = BulkCall(
    *("UpdateTasks", "update", BulkAct.UPDATE, WAITING, _count_updated),
    instead="UpdateJob changes its job {job!r}",
)
_DELETE: Final = BulkCall(
    *("DeleteTasks", "delete", BulkAct.DELETE, FINISHED, _count_deleted),
    instead="DeleteJob deletes its whole job {job!r}",
)
