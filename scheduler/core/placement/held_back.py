"""Which limit or key holds back a task that waits. Pure: it looks at these alone."""

from __future__ import annotations

from typing import NamedTuple

from quorate.runtime.ids import TaskId
from scheduler.core.model.limits.permits import of_key, of_queue, of_shared
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import NO_LIMITS, Rate


def why_held_back(state: State, row: TaskRow, now: float) -> str:
    """What the task waits for at `now`, such as `limit 'seats': 2 of 2 in use`; empty: for no limit
    and no key. Stands behind "waits for".

    It holds for the task itself. Others that wait before it may take what is free.
    """
    permits, queue, limits = state.permits, row.queue, row.queue.limits
    of = f"queue {queue.name!r}"
    if limits.max_running and queue.running >= limits.max_running:
        return _running(f"the limit of {of}", queue.running, limits.max_running)
    if limits.rate is not None and not permits.allowed(of_queue(queue.name), limits.rate, now):
        return _rate(f"the limit of {of}", limits.rate)
    if row.limits is None:
        return ""
    if (other := another_first(row)) is not None:
        return other.words
    for name in row.limits.shared:
        shared = permits.shared.get(name)
        if shared is None:
            continue
        running = permits.running.get(name, 0)
        if shared.max_running and running >= shared.max_running:
            return _running(f"limit {name!r}", running, shared.max_running)
        if shared.rate is not None and not permits.allowed(of_shared(name), shared.rate, now):
            return _rate(f"limit {name!r}", shared.rate)
    key = row.limits.key
    if not key or limits is NO_LIMITS:
        return ""
    what = f"limit key {key!r} of {of}"
    running, most, rate = (
        queue.running_by_key.get(key, 0),
        limits.max_running_per_key,
        limits.rate_per_key,
    )
    if most and running >= most:
        return _running(what, running, most)
    if rate is not None and not permits.allowed(of_key(queue.name, key), rate, now):
        return _rate(what, rate)
    return ""


class Another(NamedTuple):
    """A task that goes before one that waits: which it is, where that is at hand."""

    # Stand behind "waits for".
    words: str
    task: TaskId | None
    # It is replaced by the one that waits.
    replaced: bool


def another_first(row: TaskRow) -> Another | None:
    """The task of its ordering key, or with its unique key, that a task waits for."""
    queue, limits = row.queue, row.limits
    if limits is None:
        return None
    if ordering := limits.ordering:
        line = queue.lines.get(ordering)
        head = line.head() if line is not None else row.id
        if ordering in queue.turns_taken or head != row.id:
            words = f"an earlier task with ordering key {ordering!r} of queue {queue.name!r}"
            return Another(words, head if head != row.id else None, False)
    if limits.replaces:
        before = next(iter(queue.unique[limits.unique]))
        if before != row.id:
            words = f"the end of task {before}, which it replaces: unique key {limits.unique!r}"
            return Another(words, before, True)
    return None


def _running(what: str, running: int, most: int) -> str:
    if running > most:
        # It was lowered meanwhile.
        return f"{what}: {running} in use, and {most} allowed"
    return f"{what}: {running} of {most} in use"


def _rate(what: str, rate: Rate) -> str:
    return f"{what}: its rate of {rate.starts} starts in {rate.period:g} s is used up at the moment"
