"""Which limit holds back a task that waits, in a sentence. Pure: it looks at its limits only."""

from __future__ import annotations

from scheduler.core.model.limits.permits import of_key, of_queue, of_shared
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import NO_LIMITS, Rate


def why_held_back(state: State, row: TaskRow, now: float) -> str:
    """A sentence for people; empty when no limit holds the task back at `now`.

    It holds for the task itself. Others that wait before it may take what is free.
    """
    permits, queue, limits = state.permits, row.queue, row.queue.limits
    if limits.max_running and queue.running >= limits.max_running:
        return _running(f"queue {queue.name}", queue.running, limits.max_running)
    if limits.rate is not None and not permits.allowed(of_queue(queue.name), limits.rate, now):
        return _rate(f"queue {queue.name}", limits.rate)
    if row.limits is None:
        return ""
    if ordering := row.limits.ordering:
        line = queue.lines.get(ordering)
        if ordering in queue.turns_taken or (line is not None and line.head() != row.id):
            return f"ordering key {ordering!r} of queue {queue.name}: an earlier task goes first"
    if row.limits.replaces:
        before = next(iter(queue.unique[row.limits.unique]))
        if before != row.id:
            return f"unique key {row.limits.unique!r}: task {before}, which it replaces, is ending"
    for name in row.limits.shared:
        shared = permits.shared.get(name)
        if shared is None:
            continue
        running = permits.running.get(name, 0)
        if shared.max_running and running >= shared.max_running:
            return _running(f"limit {name}", running, shared.max_running)
        if shared.rate is not None and not permits.allowed(of_shared(name), shared.rate, now):
            return _rate(f"limit {name}", shared.rate)
    key = row.limits.key
    if not key or limits is NO_LIMITS:
        return ""
    what = f"limit key {key!r} of queue {queue.name}"
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


def _running(what: str, running: int, most: int) -> str:
    return f"{what}: {running} tasks run, and the limit is {most}"


def _rate(what: str, rate: Rate) -> str:
    return f"{what}: its rate of {rate.starts} starts in {rate.period:g} s is used up at the moment"
