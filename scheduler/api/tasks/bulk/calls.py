"""CancelTasks, RetryTasks, DeleteTasks: their requests, what they would come to, their answers."""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.servicer import Context
from scheduler.api.tasks import validate
from scheduler.api.tasks.bulk.find import BulkCall, bulk
from scheduler.api.views import instant
from scheduler.core.model.state import State
from scheduler.core.values import FINISHED, RETRIABLE, BulkAct, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.lane import Lane

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
        "to retry all failed tasks set states to FAILED",
    )
    rate = validate.rate(request.max_rate)
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
        "to delete all finished tasks set states to SUCCEEDED, FAILED and CANCELLED",
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


def _count_cancelled(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
) -> tuple[int, ...]:
    waiting = running = finished = unknown = skipped = 0
    for task in tasks:
        row = state.tasks.get(task)
        if row is None:
            finished += task in state.finished
            unknown += task not in state.finished
        elif states and row.state not in states:
            skipped += 1
        elif row.state is TaskState.RUNNING:
            running += 1
        else:
            waiting += 1
    return (waiting, running, finished, unknown, skipped)


def _count_finished(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
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
    return (*_count_finished(state, tasks, states or RETRIABLE), 0)


def _count_deleted(
    state: State, tasks: list[TaskId], states: frozenset[TaskState]
) -> tuple[int, ...]:
    return _count_finished(state, tasks, states or FINISHED)


_CANCEL: Final = BulkCall("CancelTasks", "cancel", BulkAct.CANCEL, _LIVE, _count_cancelled)
_RETRY: Final = BulkCall(
    "RetryTasks", "retry", BulkAct.RETRY, frozenset((TaskState.FAILED,)), _count_retried
)
_DELETE: Final = BulkCall("DeleteTasks", "delete", BulkAct.DELETE, FINISHED, _count_deleted)
