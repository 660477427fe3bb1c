"""Many tasks by few calls: the rules that `Client` and `AsyncClient` share.

A call takes 10,000 ids, or 10,000 tasks that a filter finds and says whether there are more. A
scheduler of an earlier version may have no such call: then each task is cancelled by its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC
from typing import Any, Generic, TypeVar

import grpc

from quorate.client.mapping.counts import Cancelled, Counts, Deleted, Retried, Updated
from quorate.client.tracking.outcome import state_of
from quorate.client.transport.calls import Calls
from quorate.client.transport.policy import is_lost
from quorate.client.transport.rpcs import (
    CANCEL_TASK,
    CANCEL_TASKS,
    DELETE_TASKS,
    RETRY_TASKS,
    UPDATE_TASKS,
    Message,
    Rpc,
    new_request_id,
)
from quorate.client.work.texts import text_of
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res")
C = TypeVar("C", bound=Counts)

# Ids of one call: a limit of the cluster.
MOST_IDS = 10_000
# States of tasks that no attempt of is under way.
WAITING = (
    task_pb2.TASK_STATE_SCHEDULED,
    task_pb2.TASK_STATE_BLOCKED,
    task_pb2.TASK_STATE_PENDING,
    task_pb2.TASK_STATE_PAUSED,
)


class BulkCall(Generic[Req, Res, C]):
    """One kind of call about many tasks.

    Args:
        counts: what one answer says.
    """

    def __init__(self, rpc: Rpc[Req, Res], counts: Callable[[Any], C]) -> None:
        self.rpc = rpc
        self.counts = counts

    def requests(
        self,
        tasks: Iterable[Any] | None,
        *,
        queue: str = "",
        states: Sequence[str] = (),
        text: str = "",
        dry_run: bool = False,
        **more: Any,
    ) -> Iterator[Any]:
        """The calls for some tasks (ids or handles), or the first page of a filter.

        `more`: fields of this call alone; those that choose tasks make a filter too.

        Raises QuorateError (INVALID_ARGUMENT) where both or neither are given.
        """
        wanted = [state_of(name) for name in states]
        queue, text = text_of("queue", queue), text_of("text", text)
        group = more.get("error_group", "")
        rest = {"states": wanted, "validate_only": dry_run, **more}
        if tasks is None:
            if not (queue or wanted or text or group):
                raise invalid(
                    "tasks", "is required, or a filter: at least one of queue, states and text"
                )
            yield self.rpc.request(queue=queue, text=text, request_id=new_request_id(), **rest)  # type: ignore[call-arg]
            return
        if queue or text or group:
            raise invalid("tasks", "cannot be given together with queue or text")
        ids = list(dict.fromkeys(text_of("id", getattr(task, "id", task)) for task in tasks))
        for start in range(0, len(ids), MOST_IDS):
            yield self.rpc.request(
                ids=ids[start : start + MOST_IDS], request_id=new_request_id(), **rest
            )  # type: ignore[call-arg]

    def make(self, calls: Calls, requests: Iterable[Any]) -> C:
        """Make the calls, page by page. Raises QuorateError."""
        total: C | None = None
        for first in requests:
            request = first
            while request is not None:
                answer: Any = calls.call(self.rpc, request)
                counts = self.counts(answer)
                total = counts if total is None else total + counts
                request = next_page(request, answer.next_page_token)
        return total if total is not None else self.counts(self.rpc.response())


def next_page(request: Any, token: str) -> Any:
    """The call for what the last one left; None when that is nothing."""
    if not token:
        return None
    following = type(request)()
    following.CopyFrom(request)
    following.page_token, following.request_id = token, new_request_id()
    return following


def _cancelled(answer: pb.CancelTasksResponse) -> Cancelled:
    return Cancelled(
        answer.cancelled, answer.stopping, answer.finished, answer.not_found, answer.skipped
    )


def _retried(answer: pb.RetryTasksResponse) -> Retried:
    last = None
    if answer.HasField("last_start_time"):
        last = answer.last_start_time.ToDatetime(UTC)
    return Retried(
        answer.retried,
        answer.not_finished,
        answer.skipped,
        answer.not_found,
        answer.over_quota,
        last,
    )


def _deleted(answer: pb.DeleteTasksResponse) -> Deleted:
    return Deleted(answer.deleted, answer.not_finished, answer.skipped, answer.not_found)


def _updated(answer: pb.UpdateTasksResponse) -> Updated:
    counts = (answer.updated, answer.not_waiting, answer.skipped, answer.not_found)
    return Updated(*counts, answer.refused)


UPDATE = BulkCall(UPDATE_TASKS, _updated)
CANCEL = BulkCall(CANCEL_TASKS, _cancelled)
RETRY = BulkCall(RETRY_TASKS, _retried)
DELETE = BulkCall(DELETE_TASKS, _deleted)


def give_up(
    calls: Calls, ids: Sequence[str], *, seconds: float, waiting_only: bool = False
) -> None:
    """Cancel what nobody waits for any more: best effort, within `seconds`.

    Args:
        waiting_only: what runs goes on.
    """
    end = time.monotonic() + seconds
    states = WAITING if waiting_only else ()
    for start in range(0, len(ids), MOST_IDS):
        part = ids[start : start + MOST_IDS]
        request = pb.CancelTasksRequest(ids=part, states=states, request_id=new_request_id())
        left = end - time.monotonic()
        if left <= 0:
            return
        try:
            calls.call(CANCEL_TASKS, request, retry_for=left)
        except QuorateError as error:
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                return
            if not waiting_only:
                _one_by_one(calls, part, end)


def _one_by_one(calls: Calls, ids: Sequence[str], end: float) -> None:
    """As schedulers before CancelTasks want it."""
    for task_id in ids:
        left = end - time.monotonic()
        if left <= 0:
            return
        request = pb.CancelTaskRequest(id=task_id, request_id=new_request_id())
        try:
            calls.call(CANCEL_TASK, request, deadline=left, retry_for=0)
        except QuorateError as error:
            if is_lost(error):
                return
            # Anything else (FAILED_PRECONDITION: it finished meanwhile) concerns this one alone.
