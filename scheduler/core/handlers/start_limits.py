"""Whether limits let a task start, and what a start takes of them.

Placement asks before it looks for a node. So what is held back costs nothing and hides nothing:
a full queue is left, so are the lanes that name a full shared limit, and a full key is parked until
a permit of it is free or its rate lets something through.

A permit is held while the task is RUNNING (`scheduler.core.model.limits.permits`). Starts of rate
limits are taken when the attempt is assigned. They are given back when it certainly never began:
when its node returned it. What was lost with a node may have begun, and is not given back.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from quorate.runtime.ids import QueueName
from scheduler.core.model.effects import Effects, PutRate
from scheduler.core.model.limits.permits import SHARE, RateName, of_key, of_queue, of_shared
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.queues import rates
from scheduler.core.values import NO_LIMITS, Rate, of_limit_key, of_ordering_key, of_unique_key


class Hold(Enum):
    """What is held back together with a task."""

    NOTHING = 0
    # The key was parked: others of the lane may go.
    KEY = 1
    LANE = 2


def room_of(state: State, queue: QueueRow, wanted: int, now: float) -> int:
    """How many of `wanted` starts the limits of a queue as a whole allow."""
    limits = queue.limits
    if limits.max_running:
        wanted = min(wanted, limits.max_running - queue.running)
    if wanted > 0 and limits.rate is not None:
        permits, name = state.permits, of_queue(queue.name)
        allowed = permits.allowed(name, limits.rate, now)
        if not allowed:
            permits.wake(permits.next_start(name, limits.rate, now))
        wanted = min(wanted, allowed)
    return wanted


def room_of_shared(state: State, names: tuple[str, ...], wanted: int, now: float) -> int:
    """How many of `wanted` starts shared limits allow."""
    permits = state.permits
    for name in names:
        limit = permits.shared.get(name)
        if limit is None:
            continue
        if limit.max_running:
            wanted = min(wanted, limit.max_running - permits.running.get(name, 0))
        if limit.rate is not None:
            wanted = min(wanted, permits.allowed(of_shared(name), limit.rate, now))
    return max(0, wanted)


def let_through(state: State, row: TaskRow, now: float) -> bool:
    """Whether limits let another one like this chunk start."""
    queue, limits, own = row.queue, row.queue.limits, row.limits
    if limits is not NO_LIMITS and room_of(state, queue, 1, now) <= 0:
        return False
    if own is None:
        return True
    if room_of_shared(state, own.shared, 1, now) <= 0:
        return False
    most, rate = limits.max_running_per_key, limits.rate_per_key
    if not own.key or (most and queue.running_by_key.get(own.key, 0) >= most):
        return not own.key
    name = of_key(queue.name, own.key)
    return rate is None or state.permits.allowed(name, rate, now) > 0


def hold(state: State, row: TaskRow, now: float) -> Hold:
    """Whether the limits that the first task of a lane names hold it back."""
    assert row.limits is not None
    permits, queue, key = state.permits, row.queue, row.limits.key
    ordering = row.limits.ordering
    if ordering and not _is_next(queue, row, ordering):
        queue.pending.park(row, of_ordering_key(ordering))
        return Hold.KEY
    if row.limits.replaces and next(iter(queue.unique[row.limits.unique])) != row.id:
        queue.pending.park(row, of_unique_key(row.limits.unique))
        return Hold.KEY
    for name in row.limits.shared:
        limit = permits.shared.get(name)
        if limit is None:
            continue
        if limit.max_running and permits.running.get(name, 0) >= limit.max_running:
            return Hold.LANE
        if limit.rate is not None and not permits.allowed(of_shared(name), limit.rate, now):
            permits.wake(permits.next_start(of_shared(name), limit.rate, now))
            return Hold.LANE
    if not key or queue.limits is NO_LIMITS:
        return Hold.NOTHING
    most, rate = queue.limits.max_running_per_key, queue.limits.rate_per_key
    if most and queue.running_by_key.get(key, 0) >= most:
        queue.pending.park(row, of_limit_key(key))
        return Hold.KEY
    if rate is not None and not permits.allowed(of_key(queue.name, key), rate, now):
        queue.pending.park(row, of_limit_key(key))
        instant = permits.next_start(of_key(queue.name, key), rate, now)
        permits.wake_key(queue.name, key, instant)
        return Hold.KEY
    return Hold.NOTHING


def _is_next(queue: QueueRow, row: TaskRow, ordering: str) -> bool:
    """Whether a task that waits is the next one of its ordering key."""
    return ordering not in queue.turns_taken and queue.lines[ordering].head() == row.id


def charge(state: State, row: TaskRow, now: float, out: Effects) -> None:
    """Take a start of each rate limit that applies to a task that is assigned now."""
    arrivals, latest, charged = state.permits.arrivals, state.permits.latest, 0
    for bit, name, rate in _rates(state, row):
        arrival = arrivals.get(name, 0.0)
        if name not in latest:
            latest[name] = rates.Latest()
        latest[name].took(rate, arrival, now)
        arrivals[name] = rates.taken(rate, arrival, now)
        out.took(name)
        charged |= 1 << bit
    row.charged = charged


def refund(state: State, row: TaskRow, out: Effects) -> None:
    """Give back the starts that an attempt took which never began."""
    arrivals, latest = state.permits.arrivals, state.permits.latest
    for bit, name, rate in _rates(state, row):
        if row.charged >> bit & 1 and name in arrivals and name in latest:
            arrivals[name] = latest[name].without(rate, arrivals[name], row.assign_time)
            out.writes.append(PutRate(name, arrivals[name]))
    row.charged = 0


def _rates(state: State, row: TaskRow) -> Iterator[tuple[int, RateName, Rate]]:
    """The rate limits that apply to a task, each with its bit in `TaskRow.charged`."""
    queue = row.queue
    if queue.limits.rate is not None:
        yield 0, of_queue(queue.name), queue.limits.rate
    if row.limits is None:
        return
    if row.limits.key and queue.limits.rate_per_key is not None:
        yield 1, of_key(queue.name, row.limits.key), queue.limits.rate_per_key
    for place, name in enumerate(row.limits.shared):
        limit = state.permits.shared.get(name)
        if limit is not None and limit.rate is not None:
            yield 2 + place, of_shared(name), limit.rate


def drop_idle(state: State, now: float, limit: int, out: Effects) -> None:
    """Drop up to `limit` numbers of rate limits that say nothing any more: all starts have come."""
    arrivals, dropped = state.permits.arrivals, []
    for _ in range(min(limit, len(arrivals))):
        name = next(iter(arrivals))
        arrival = arrivals.pop(name)
        if _says_something(state, name, arrival, now):
            # Looked at again after the others.
            arrivals[name] = arrival
        else:
            dropped.append(name)
            state.permits.latest.pop(name, None)
    out.purged_rates = dropped or None


def _says_something(state: State, name: RateName, arrival: float, now: float) -> bool:
    kind, queue_name, tenant = name
    if kind != SHARE:
        return arrival > now
    queue = state.queues.get(QueueName(queue_name))
    if queue is None or not (queue.pending.size or queue.running):
        # When tenants come again, all begin alike.
        return False
    # Of a tenant that is behind the others: it begins with them when it comes back.
    turns = queue.pending.turns
    if turns.floor is None or queue.pending.order_of(tenant) is not None:
        return True
    return arrival > turns.time(tenant)
