"""A full queue: a new task is refused, or the oldest one that waits makes room for it.

The length of a queue counts what waits, SCHEDULED tasks included. What runs does not count, and
comes back when it is retried, also into a full queue.
"""

from __future__ import annotations

from typing import Final

from scheduler.core.handlers.finishing import fail_waiting
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.effects import Effects
from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.core.values import NO_LIMITS, LengthPolicy, TaskState

QUEUE_FULL: Final = "QUEUE_FULL"
# Tasks dropped for a new one: more than one, so that a queue whose limit was lowered gets there.
DROPPED_AT_ONCE: Final = 2
# Seconds until there may be room: nobody knows.
_RETRY: Final = 1.0
_WAITING: Final = (TaskState.SCHEDULED, TaskState.BLOCKED, TaskState.PENDING, TaskState.PAUSED)


def waiting(queue: QueueRow) -> int:
    """Tasks, and subtasks of jobs, that count for the queue's length."""
    return sum(queue.counts[state] + queue.subtasks[state] for state in _WAITING)


def refuse_longer(queue: QueueRow, count: int) -> Rejection | None:
    """Whether so many more tasks are too many for the queue."""
    most = queue.limits.max_length
    if queue.limits is NO_LIMITS or not most:
        return None
    there = waiting(queue) + queue.usage.coming_tasks
    if queue.limits.length_policy is LengthPolicy.DROP_OLDEST:
        # PENDING tasks make room; the others, and subtasks, cannot.
        if there - queue.counts[TaskState.PENDING] < most:
            return None
    elif there + count <= most:
        return None
    return Rejection(
        ErrorKind.EXHAUSTED,
        QUEUE_FULL,
        f"queue {queue.name!r} has {there} waiting tasks, this call brings {count} more, and its "
        f"max_length is {most}: try again when some have started, or raise the limit with "
        f'"quorate queue update {queue.name} --max-length N"',
        "queue",
        queue.name,
        metadata=(("limit", str(most)), ("usage", str(there)), ("asked", str(count))),
        retry_delay=_RETRY,
    )


def make_room(state: State, queue: QueueRow, now: float, out: Effects) -> None:
    """A task is about to be created: where the queue is full, the oldest are dropped."""
    limits = queue.limits
    if not limits.max_length or limits.length_policy is not LengthPolicy.DROP_OLDEST:
        return
    for _ in range(DROPPED_AT_ONCE):
        oldest = queue.pending.oldest()
        if oldest is None or oldest.job is not None or waiting(queue) < limits.max_length:
            return
        message = (
            f"dropped: queue {queue.name!r} had {limits.max_length} waiting tasks when another came"
        )
        fail_waiting(state, oldest, now, out, QUEUE_FULL, message)
