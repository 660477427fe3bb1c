"""Callers create and delete queues."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.queues.templates import refuse_bound
from scheduler.core.handlers.queues.update import refuse_limits, settle, texts
from scheduler.core.handlers.requests import QUEUES_SCOPE, Answer, Call
from scheduler.core.model.answers import Done, ErrorKind, QueueSeen, Rejection, no_queue, see_queue
from scheduler.core.model.effects import DropQueue, Effects, PutQueue
from scheduler.core.model.events import QueueDeleteAsked, QueueSubmitted
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, QueueRow
from scheduler.core.model.state import DEFAULT_QUEUE, SERVICES_QUEUE, State
from scheduler.core.values import Change, QueueSettings


def _create_queue(
    state: State, limits: Limits, event: QueueSubmitted, now: float, out: Effects
) -> Answer:
    row = QueueRow(event.queue, now)
    settings = QueueSettings(
        event.placement,
        event.disconnect,
        event.retention_age,
        event.retention_count,
        event.limits,
        event.order,
        event.place,
        event.events,
    )
    settle(row, settings)
    state.queues[row.name] = row
    out.writes.append(PutQueue(row))
    made = [Change(field, "", value) for field, value in texts(settings).items() if value]
    audit.note(state, limits, out, event.request, now, "queue", row.name, *made)
    return Answer(see_queue(row), row.name)


def _queue_now(state: State, event: QueueSubmitted, known: DedupRow) -> QueueSeen | Rejection:
    row = state.queues.get(event.queue)
    return see_queue(row) if row is not None else no_queue(event.queue)


def _refuse_queue(state: State, limits: Limits, event: QueueSubmitted) -> Rejection | None:
    queue = event.queue
    if queue in state.queues:
        return Rejection(
            ErrorKind.EXISTS,
            "QUEUE_ALREADY_EXISTS",
            f"queue {queue!r} already exists",
            "queue",
            queue,
        )
    if len(state.queues) >= limits.queues:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_QUEUES",
            f"the limit of {limits.queues} queues is reached; delete some first",
            "limit",
            str(limits.queues),
        )
    return refuse_limits(queue, event.limits)


on_queue_submitted = Call(QUEUES_SCOPE, _refuse_queue, _create_queue, _queue_now)


def _refuse_queue_delete(state: State, limits: Limits, event: QueueDeleteAsked) -> Rejection | None:
    row = state.queues.get(event.queue)
    if row is None:
        return no_queue(event.queue)
    reason, why = _queue_stays(state, row)
    if not reason:
        return refuse_bound(state, event.queue)
    message = f"queue {event.queue!r} {why}"
    return Rejection(ErrorKind.PRECONDITION, reason, message, "queue", event.queue)


def _delete_queue(
    state: State, limits: Limits, event: QueueDeleteAsked, now: float, out: Effects
) -> Answer:
    del state.queues[event.queue]
    out.writes.append(DropQueue(event.queue))
    audit.note(state, limits, out, event.request, now, "queue", event.queue)
    return Answer(Done(), event.queue)


def _done(state: State, event: QueueDeleteAsked, known: DedupRow) -> Done:
    return Done()


on_queue_delete_asked = Call(QUEUES_SCOPE, _refuse_queue_delete, _delete_queue, _done)


def _queue_stays(state: State, row: QueueRow) -> tuple[str, str]:
    """The reason why a queue cannot be deleted, and its words; both "" when it can."""
    left = sum(row.counts)
    if left or row.jobs:
        return (
            "QUEUE_NOT_EMPTY",
            f"is not empty: it has {left} tasks and {len(row.jobs)} jobs, finished ones included",
        )
    if row.name == DEFAULT_QUEUE:
        return "QUEUE_IS_DEFAULT", "is the default queue"
    if row.name == SERVICES_QUEUE and state.services:
        return "QUEUE_IN_USE", f"is where the replicas of {len(state.services)} services go"
    return "", ""
