"""Cancelling many tasks by few calls: the rules that `Client` and `AsyncClient` share.

A call takes 10,000 ids, or cancels 10,000 tasks that a filter finds and says whether there are
more. A scheduler of an earlier version has no such call: then each task is cancelled by its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from quorate.client.tracking.outcome import state_of
from quorate.client.transport.calls import Calls
from quorate.client.transport.policy import is_lost
from quorate.client.transport.rpcs import CANCEL_TASK, CANCEL_TASKS, new_request_id
from quorate.client.work.texts import text_of
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2

# Ids of one call: a limit of the cluster.
MOST_IDS = 10_000
# States of tasks that no attempt of is under way.
WAITING = (
    task_pb2.TASK_STATE_SCHEDULED,
    task_pb2.TASK_STATE_BLOCKED,
    task_pb2.TASK_STATE_PENDING,
    task_pb2.TASK_STATE_PAUSED,
)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """How many tasks a bulk cancel found, and what became of them."""

    cancelled: int = 0
    """CANCELLED now: they were waiting."""
    stopping: int = 0
    """Running: their attempts are being ended."""
    finished: int = 0
    """Finished before, cancelled ones included."""
    not_found: int = 0
    """Of the tasks that were named: not on record (any longer)."""
    skipped: int = 0
    """Of the tasks that were named: not finished, and in none of the states asked for."""

    def __add__(self, other: Cancelled) -> Cancelled:
        return Cancelled(
            self.cancelled + other.cancelled,
            self.stopping + other.stopping,
            self.finished + other.finished,
            self.not_found + other.not_found,
            self.skipped + other.skipped,
        )


def counts_of(answer: pb.CancelTasksResponse) -> Cancelled:
    """The counts of one call."""
    return Cancelled(
        answer.cancelled, answer.stopping, answer.finished, answer.not_found, answer.skipped
    )


def requests_of(
    tasks: Iterable[Any] | None,
    *,
    queue: str = "",
    states: Sequence[str] = (),
    text: str = "",
    dry_run: bool = False,
) -> Iterator[pb.CancelTasksRequest]:
    """The calls for some tasks (ids or handles), or the first page of a filter.

    Raises QuorateError (INVALID_ARGUMENT) where both or neither are given.
    """
    wanted = [state_of(name) for name in states]
    queue, text = text_of("queue", queue), text_of("text", text)
    if tasks is None:
        if not (queue or wanted or text):
            raise invalid(
                "tasks", "is required, or a filter: at least one of queue, states and text"
            )
        yield pb.CancelTasksRequest(
            queue=queue, states=wanted, text=text, validate_only=dry_run,
            request_id=new_request_id(),
        )  # fmt: skip
        return
    if queue or text:
        raise invalid("tasks", "cannot be given together with queue or text")
    ids = list(dict.fromkeys(text_of("id", getattr(task, "id", task)) for task in tasks))
    for start in range(0, len(ids), MOST_IDS):
        yield pb.CancelTasksRequest(
            ids=ids[start : start + MOST_IDS], states=wanted, validate_only=dry_run,
            request_id=new_request_id(),
        )  # fmt: skip


def next_page(request: pb.CancelTasksRequest, token: str) -> pb.CancelTasksRequest:
    """The call for what the last one left."""
    following = pb.CancelTasksRequest()
    following.CopyFrom(request)
    following.page_token, following.request_id = token, new_request_id()
    return following


def cancel(calls: Calls, requests: Iterable[pb.CancelTasksRequest]) -> Cancelled:
    """Make the calls, page by page. Raises QuorateError."""
    total = Cancelled()
    for first in requests:
        request: pb.CancelTasksRequest | None = first
        while request is not None:
            answer = calls.call(CANCEL_TASKS, request)
            total += counts_of(answer)
            token = answer.next_page_token
            request = next_page(request, token) if token else None
    return total


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
