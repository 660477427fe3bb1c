"""Whether new tasks exceed the quota of their caller or queue. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quorate.runtime.ids import ANONYMOUS
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.indexes.usage import UNIT, Usage
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import CALLER, QUEUE, in_force
from scheduler.core.model.state import State

# Seconds until more tasks may be finished: nobody knows.
_RETRY_LIVE: Final = 1.0

_REASONS: Final[Mapping[str, str]] = {
    "live_tasks": "TOO_MANY_LIVE_TASKS",
    "stored_bytes": "TOO_MANY_STORED_BYTES",
    "live_subtasks": "TOO_MANY_LIVE_SUBTASKS",
    "blob_bytes": "TOO_MANY_BLOB_BYTES",
}
_ADVICE: Final[Mapping[str, str]] = {
    "live_subtasks": "wait until jobs are finished, or cancel some",
    "live_tasks": "wait until tasks are finished, or cancel some",
    "stored_bytes": "delete finished tasks, keep them for a shorter time (the queue's retention), "
    "or send large data by reference",
    "blob_bytes": "delete finished tasks with large values, or keep them for a shorter time (the "
    "queue's retention)",
}


def refuse_created(
    state: State, limits: Limits, queue: Usage, creator: str, count: int, units: int
) -> Rejection | None:
    """Whether so many more tasks of this weight are too much for the scheduler, caller or queue.

    Args:
        units: together, see `usage.task_units`; 0 when they are on record already.
    """
    if len(state.tasks) + count > limits.live_tasks:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_LIVE_TASKS",
            f"{len(state.tasks)} tasks are not finished; the limit is {limits.live_tasks}: try "
            "again when some have finished",
            "limit",
            str(limits.live_tasks),
        )
    caller = state.callers.get(creator) or Usage(creator)
    for kind, usage in ((CALLER, caller), (QUEUE, queue)):
        most_tasks, most_bytes, _ = state.durable_quota(limits, kind, usage.name)
        if most_tasks >= 0 and usage.tasks + count > most_tasks:
            return _rejection(kind, usage, "live_tasks", most_tasks, usage.tasks, count)
        size, used = units * UNIT, usage.stored_bytes
        if units and most_bytes >= 0 and used + size > most_bytes:
            return _rejection(kind, usage, "stored_bytes", most_bytes, used, size)
    return None


def refuse_grown(
    state: State, limits: Limits, queue: Usage, creator: Usage, units: int
) -> Rejection | None:
    """Whether a task on record may weigh so much more than it does: an update must not bring what
    could not have been created."""
    if units <= 0:
        return None
    for kind, usage in ((CALLER, creator), (QUEUE, queue)):
        _, most, _ = state.durable_quota(limits, kind, usage.name)
        if most >= 0 and usage.stored_bytes + units * UNIT > most:
            return _rejection(kind, usage, "stored_bytes", most, usage.stored_bytes, units * UNIT)
    return None


def refuse_moved(
    state: State, limits: Limits, queue: Usage, units: int, blobs: int
) -> Rejection | None:
    """Whether a task of this weight, which waits in another queue, is too much for a queue.

    Args:
        blobs: bytes of the large values that it names.
    """
    most_tasks, most_bytes, _ = state.durable_quota(limits, QUEUE, queue.name)
    if most_tasks >= 0 and queue.tasks + 1 > most_tasks:
        return _rejection(QUEUE, queue, "live_tasks", most_tasks, queue.tasks, 1)
    size, used = units * UNIT, queue.stored_bytes
    if most_bytes >= 0 and used + size > most_bytes:
        return _rejection(QUEUE, queue, "stored_bytes", most_bytes, used, size)
    return _refuse_named(state, limits, QUEUE, queue, blobs) if blobs else None


def refuse_subtasks(
    state: State, limits: Limits, queue: Usage, creator: str, count: int, size: int
) -> Rejection | None:
    """Whether so many more subtasks, and bytes of their job, are too much for the caller or
    queue."""
    live = sum(row.usage.live_subtasks for row in state.queues.values())
    if live + count > limits.live_subtasks:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_LIVE_SUBTASKS",
            f"{live} subtasks are not finished; the limit is {limits.live_subtasks}: try again "
            "when jobs have finished",
            "limit",
            str(limits.live_subtasks),
        )
    caller = state.callers.get(creator) or Usage(creator)
    for kind, usage in ((CALLER, caller), (QUEUE, queue)):
        _, most_bytes, most = state.durable_quota(limits, kind, usage.name)
        if most >= 0 and usage.live_subtasks + count > most:
            return _rejection(kind, usage, "live_subtasks", most, usage.live_subtasks, count)
        used = usage.stored_bytes
        if size and most_bytes >= 0 and used + size > most_bytes:
            return _rejection(kind, usage, "stored_bytes", most_bytes, used, size)
    return None


def refuse_blobs(
    state: State, limits: Limits, queue: Usage, creator: str, size: int
) -> Rejection | None:
    """Whether so many more bytes of large payloads are too much for the caller or queue."""
    if size <= 0:
        return None
    caller = state.callers.get(creator) or Usage(creator)
    return _refuse_named(state, limits, CALLER, caller, size) or _refuse_named(
        state, limits, QUEUE, queue, size
    )


def _refuse_named(
    state: State, limits: Limits, kind: str, usage: Usage, size: int
) -> Rejection | None:
    most = in_force(state.quotas, limits, kind, usage.name).blob_bytes
    if most is not None and 0 <= most < usage.named_bytes + size:
        return _rejection(kind, usage, "blob_bytes", most, usage.named_bytes, size)
    return None


def _rejection(kind: str, usage: Usage, quota: str, limit: int, used: int, asked: int) -> Rejection:
    name = usage.name or ANONYMOUS
    return Rejection(
        ErrorKind.EXHAUSTED,
        _REASONS[quota],
        f"{kind} {name!r} uses {used} of its quota of {limit} {quota}, and this call needs {asked} "
        f"more: {_ADVICE[quota]}; an admin can raise it with "
        f'"quorate quota set --{kind} {name} --{quota.replace("_", "-")} N"',
        kind,
        name,
        metadata=(
            ("quota", quota),
            ("limit", str(limit)),
            ("usage", str(used)),
            ("asked", str(asked)),
        ),
        retry_delay=None if quota in ("stored_bytes", "blob_bytes") else _RETRY_LIVE,
    )
