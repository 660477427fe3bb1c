"""Fair shares of a queue: which tenant goes next. Pure.

A tenant is everybody whose tasks have the same fairness key; tasks without one are a tenant too.
Each has a virtual time: the slot-seconds that it used, divided by its weight. The tenant with the
least goes next (weighted fair queueing by start times, Goyal, Vin and Cheng, 1996). A task is
charged what it will probably take when it is assigned, and the difference when it ends. What tasks
of a tenant that is new will take is taken from those of the others.

A tenant that comes back begins where the others are, less a small credit: what it did not use
lately, up to `ROUNDS` of its usual tasks and `MOST_SECONDS`, both for each slot. Without it a burst
of tasks would wait more than twice as long beside one other tenant as alone, since all slots are
taken when it comes. The credit is slot time that was saved: over any period a tenant gets its share
and one credit at most, also when it comes and goes. Who used nothing for a day has saved no more.
Beside several tenants the credit is smaller, so that all together delay nobody for long.
(Linux placed tasks that wake up in the same way: `place_entity` of its scheduler CFS, up to 6.5.)

Memory of the leader; what was charged is on record (`scheduler.core.model.limits.permits`). Two
numbers a tenant that waits, one entry in a heap, and at most as many dead ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from math import inf

_CLEAR_ABOVE = 64
# Tenants whose run times are remembered.
_MOST_MEANS = 10_000
# Seconds that a task is charged where nothing is known: little, since those who come meanwhile
# begin where the others are, and still enough to have the tenants take turns. The weight of the
# latest run in the mean.
USUAL = 0.01
_LATEST = 0.2
# The credit of a tenant that comes back, for each slot: so many of its usual tasks (one and a half
# make up for what runs when it comes; the rest is for tasks that take unequally long), and seconds.
# Others wait that long at most: they would notice more of long tasks.
ROUNDS = 3
MOST_SECONDS = 0.25


class Turns:
    """The tenants of one queue that have tasks waiting, by virtual time."""

    def __init__(self) -> None:
        # The virtual time of the tenant that went last; those that come begin there.
        self.floor: float | None = None
        # Of the nodes that take work: for how many a tenant that comes has a credit.
        self.slots = 0
        self._time: dict[str, float] = {}
        # Where they would have begun without a credit: it is not for those that come next.
        self._joined: dict[str, float] = {}
        # (virtual time, number, tenant); an entry counts while its number is that of `_entries`.
        self._heap: list[tuple[float, int, str]] = []
        self._entries: dict[str, int] = {}
        self._pushed = 0
        # Those for which nothing could be done in this pass.
        self._aside: list[str] = []
        self._means: dict[str, float] = {}
        # Of all tenants together; None: nothing is known.
        self._mean: float | None = None

    def __contains__(self, tenant: str) -> bool:
        return tenant in self._time

    def enter(self, tenants: Iterable[str], used: Callable[[str], float]) -> None:
        """Tenants have tasks from now on; `used` is their virtual time on record."""
        floor = self.floor or 0.0
        new = [tenant for tenant in tenants if tenant not in self._time]
        begins = [self._begin(tenant, len(self._time) + len(new) - 1) for tenant in new]
        for tenant, begin in zip(new, begins, strict=True):
            self._joined[tenant] = floor
            self._set(tenant, max(begin, used(tenant)))

    def leave(self, tenant: str) -> None:
        """A tenant has no task that waits."""
        self._time.pop(tenant, None)
        self._joined.pop(tenant, None)
        self._entries.pop(tenant, None)

    def first(self) -> str | None:
        """The tenant that goes next; None when all were set aside."""
        heap = self._heap
        while heap:
            _, number, tenant = heap[0]
            if self._entries.get(tenant) == number:
                return tenant
            heappop(heap)
        return None

    def chosen(self, tenant: str) -> None:
        """It goes now."""
        self.floor = max(self.floor or 0.0, self._time[tenant])

    def time(self, tenant: str) -> float:
        """The virtual time at which it is, or would begin."""
        time = self._time.get(tenant)
        return self._begin(tenant, len(self._time)) if time is None else time

    def _begin(self, tenant: str, others: int) -> float:
        """Where a tenant begins that used little lately, beside so many others."""
        credit = self.slots * min(ROUNDS * self.mean(tenant), MOST_SECONDS)
        return (self.floor or 0.0) - credit / max(1, others)

    def moved(self, tenant: str, time: float) -> None:
        """Its virtual time is another one."""
        before = self._time.get(tenant)
        if before is not None:
            self._set(tenant, time)
            if self.floor is not None and time < before:
                # It was charged too much: who comes next does not begin behind it.
                self.floor = min(self.floor, max(time, self._joined[tenant]))

    def set_aside(self, tenant: str) -> None:
        """Nothing of it can start: others first."""
        self._entries.pop(tenant, None)
        self._aside.append(tenant)

    def bring_back(self, behind: float = inf) -> None:
        """Those that were set aside are tried again.

        Args:
            behind: what they have to catch up at most.
        """
        aside, self._aside = self._aside, []
        least = (self.floor or 0.0) - behind
        for tenant in aside:
            if tenant in self._time and tenant not in self._entries:
                self._set(tenant, max(least, self._time[tenant]))

    def mean(self, tenant: str) -> float:
        """Seconds that a task of it probably takes."""
        return self._means.get(tenant, USUAL if self._mean is None else self._mean)

    def ran(self, tenant: str, seconds: float) -> None:
        """A task of it took so long."""
        if tenant not in self._means and len(self._means) >= _MOST_MEANS:
            self._means.clear()
        before = self._means.get(tenant, seconds)
        self._means[tenant] = before + _LATEST * (seconds - before)
        before = seconds if self._mean is None else self._mean
        self._mean = before + _LATEST * (seconds - before)

    def _set(self, tenant: str, time: float) -> None:
        self._time[tenant] = time
        self._pushed += 1
        self._entries[tenant] = self._pushed
        heappush(self._heap, (time, self._pushed, tenant))
        if len(self._heap) > 2 * len(self._entries) + _CLEAR_ABOVE:
            entries = self._entries
            self._heap = [entry for entry in self._heap if entries.get(entry[2]) == entry[1]]
            heapify(self._heap)
