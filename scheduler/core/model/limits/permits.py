"""What limits let through: shared limits, and what is used of all of them.

How many RUNNING tasks hold a permit is counted where a task becomes RUNNING and where it is no
longer (`State.enter`, `State.move`): whatever ends an attempt frees its permits, and a standby,
which folds the same transitions, has the same counts. Nothing of it is stored. What was taken of
rate limits is on record (`rates/...`), since starts leave no other trace for long enough.

Owned by `State`. Memory: one number for each rate limit and key that was used lately; placement's
wake-ups, one for each key that waits for its rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, NamedTuple

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model.rows import LimitRow, TaskRow
from scheduler.core.queues import rates
from scheduler.core.queues.lines import Line
from scheduler.core.values import (
    NO_LIMITS,
    Rate,
    TaskState,
    of_limit_key,
    of_ordering_key,
    of_unique_key,
)

# The kinds of rate limits: of a queue (its name), of a key (queue and key), shared (its name).
OF_QUEUE: Final = "queue"
OF_KEY: Final = "key"
SHARED: Final = "limit"
# Not of a rate: the virtual time of a tenant (queue and fairness key), see `core.queues.shares`.
SHARE: Final = "share"

# (kind, name, key) of a rate limit, whose parts are those of its key in etcd.
RateName = tuple[str, str, str]


class UniqueWindow(NamedTuple):
    """A unique key is its task's until an instant, also when that succeeded before.

    `create_time`: of the task. A queue that was made later is another one of the same name.
    """

    task: TaskId
    until: float
    create_time: float


def of_queue(queue: str) -> RateName:
    return OF_QUEUE, queue, ""


def of_key(queue: str, key: str) -> RateName:
    return OF_KEY, queue, key


def of_shared(name: str) -> RateName:
    return SHARED, name, ""


def of_share(queue: str, tenant: str) -> RateName:
    return SHARE, queue, tenant


@dataclass(slots=True, eq=False)
class Permits:
    """The shared limits, and what is used of all limits."""

    shared: dict[str, LimitRow] = field(default_factory=dict)
    # By the name of a shared limit, also of one that does not exist: tasks and chunks that name it
    # and run; tasks and jobs that are unfinished. Those that none names are left out.
    running: dict[str, int] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    # Theoretical arrival times: `scheduler.core.queues.rates`. Absent: nothing was taken. The order
    # is that in which they are looked at for dropping. Of tenants: virtual times.
    arrivals: dict[RateName, float] = field(default_factory=dict)
    # What can be given back, of limits that were used under this leader.
    latest: dict[RateName, rates.Latest] = field(default_factory=dict)
    # By queue and digest of a unique key (`handlers.unique_windows`). At most `MOST_WINDOWS`.
    windows: dict[tuple[QueueName, str], UniqueWindow] = field(default_factory=dict)
    # When placement is to look again because a rate limit lets something through: of queues and
    # shared limits, found anew by each pass (0.0: never), and of parked keys.
    wake_at: float = 0.0
    wakes: list[tuple[float, QueueName, str]] = field(default_factory=list)
    # The instants in `wakes`, by queue and key.
    waking: dict[tuple[QueueName, str], float] = field(default_factory=dict)

    # -- permits: called by `State` alone

    def began(self, row: TaskRow) -> None:
        """`row`, which has limits or keys, is there."""
        assert row.limits is not None
        _count(self.live, row.limits.shared, 1)
        if key := row.limits.unique:
            row.queue.unique.setdefault(key, {})[row.id] = None

    def ended(self, row: TaskRow) -> None:
        """It is finished."""
        assert row.limits is not None
        _count(self.live, row.limits.shared, -1)
        if key := row.limits.unique:
            holders = row.queue.unique[key]
            del holders[row.id]
            if not holders:
                del row.queue.unique[key]
            else:
                row.queue.pending.unpark(of_unique_key(key))

    def named(self, names: tuple[str, ...], by: int) -> None:
        """So many more jobs that name shared limits are unfinished."""
        _count(self.live, names, by)

    def take(self, row: TaskRow) -> None:
        """`row`, which has limits, is RUNNING; or a chunk is on a node."""
        assert row.limits is not None
        key, names = row.limits.key, row.limits.shared
        self.take_turn(row)
        _count(self.running, names, 1)
        if key:
            _count(row.queue.running_by_key, (key,), 1)

    def free(self, row: TaskRow) -> None:
        """It is no longer."""
        assert row.limits is not None
        key, names = row.limits.key, row.limits.shared
        if row.has_turn:
            self.give_turn(row)
        _count(self.running, names, -1)
        if key:
            _count(row.queue.running_by_key, (key,), -1)
            row.queue.pending.unpark(of_limit_key(key))

    # -- ordering keys: called by `State` alone, too

    def joined(self, row: TaskRow) -> None:
        """`row` is PENDING: it is in the line of its ordering key."""
        assert row.limits is not None
        if key := row.limits.ordering:
            lines = row.queue.lines
            line = lines.get(key)
            if line is None:
                line = lines[key] = Line()
            line.add(row.id)
            if len(line.tasks) > 1 and line.head() == row.id:
                # One that waits again, before those for which its lane may have been parked.
                row.queue.pending.unpark(of_ordering_key(key))

    def left(self, row: TaskRow) -> None:
        """It is no longer: the next one may be the first."""
        assert row.limits is not None
        if key := row.limits.ordering:
            line = row.queue.lines[key]
            line.discard(row.id)
            if not line.tasks:
                del row.queue.lines[key]
            elif row.state is not TaskState.RUNNING:
                row.queue.pending.unpark(of_ordering_key(key))

    def take_turn(self, row: TaskRow) -> None:
        """`row` runs or waits to be retried: others of its ordering key wait."""
        assert row.limits is not None
        if key := row.limits.ordering:
            row.has_turn = True
            _count(row.queue.turns_taken, (key,), 1)

    def give_turn(self, row: TaskRow) -> None:
        """It no longer does."""
        assert row.limits is not None
        key = row.limits.ordering
        row.has_turn = False
        _count(row.queue.turns_taken, (key,), -1)
        row.queue.pending.unpark(of_ordering_key(key))

    # -- rates

    def allowed(self, name: RateName, rate: Rate, now: float) -> int:
        """How many may start by a rate limit."""
        arrival = self.arrivals.get(name)
        if arrival is None:
            return rate.burst
        latest = rates.latest(rate, now)
        if arrival > latest:
            # Left by another limit, or by a leader whose clock was ahead. In memory alone: whoever
            # leads next does the same.
            self.arrivals[name] = arrival = latest
        return rates.allowed(rate, arrival, now)

    def next_start(self, name: RateName, rate: Rate, now: float) -> float:
        """When something may start by a rate limit that lets nothing through now."""
        return rates.next_start(rate, self.arrivals.get(name, 0.0), now)

    def wake(self, instant: float) -> None:
        """Placement is to look again at `instant`, for a queue or a shared limit."""
        if not self.wake_at or instant < self.wake_at:
            self.wake_at = instant

    def wake_key(self, queue: QueueName, key: str, instant: float) -> None:
        """The same for a key that was parked."""
        known = self.waking.get((queue, key))
        if known is None or instant < known:
            self.waking[queue, key] = instant
            heappush(self.wakes, (instant, queue, key))

    def next_wake(self) -> float | None:
        """The earliest of these instants; None when there is none."""
        self._skip()
        first = self.wakes[0][0] if self.wakes else 0.0
        if first and self.wake_at:
            return min(first, self.wake_at)
        return first or self.wake_at or None

    def pop_wake(self, now: float) -> tuple[QueueName, str] | None:
        """A key whose instant has come."""
        self._skip()
        if not self.wakes or self.wakes[0][0] > now:
            return None
        _, queue, key = heappop(self.wakes)
        del self.waking[queue, key]
        return queue, key

    def _skip(self) -> None:
        """Drop entries in whose place an earlier one was put."""
        wakes = self.wakes
        while wakes and self.waking.get((wakes[0][1], wakes[0][2])) != wakes[0][0]:
            heappop(wakes)


def has_rate(row: TaskRow, permits: Permits) -> bool:
    """Whether a rate limit applies to a task."""
    limits = row.queue.limits
    if limits is not NO_LIMITS:
        if limits.rate is not None:
            return True
        if limits.rate_per_key is not None and row.limits is not None and row.limits.key:
            return True
    if row.limits is None:
        return False
    shared = permits.shared
    return any(
        (limit := shared.get(name)) is not None and limit.rate is not None
        for name in row.limits.shared
    )


def _count(counts: dict[str, int], names: tuple[str, ...], by: int) -> None:
    for name in names:
        count = counts.get(name, 0) + by
        if count:
            counts[name] = count
        else:
            del counts[name]
