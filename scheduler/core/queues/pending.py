"""The order of a queue's PENDING tasks: higher priority first, then by age.

Owned by the queue's row in the state; changed only by `State.enter` and `State.leave`, on the
leader and on standbys alike, and by placement, which parks keys. Tasks of one priority that need
different resources, or name different limits, wait in lanes of their own, so that a task which fits
nowhere does not hold back those that would fit.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from itertools import islice
from typing import Final, Generic, NamedTuple

from quorate.runtime.ids import TaskId
from scheduler.core.queues.lanes import KeyedLanes, Lane, Row, Waiting
from scheduler.core.queues.shares import Turns
from scheduler.core.values import Kind, Needs

# Tasks of each lane that a scrape looks at.
_LOOKED_AT: Final = 64


class Place(NamedTuple):
    """How many tasks go before one: those of its lane (`exact` or about), with a higher priority,
    and how many are in other lanes of its priority. `next`: the first one of its lane."""

    ahead: int
    exact: bool
    higher: int
    others: int
    next: TaskId | None
    # Of a task of a tenant, all of the above is among the tenant's; and how many others wait.
    other_tenants: int = 0


class PendingOrder(Generic[Row]):
    """All PENDING tasks of one queue."""

    __slots__ = (
        "_all",
        "_aside",
        "_levels",
        "_parked",
        "_priorities",
        "entered",
        "size",
        "tenants",
        "turns",
    )

    def __init__(self, *, of_tenant: bool = False) -> None:
        self._levels: dict[int, dict[Needs | Kind, Lane[Row] | KeyedLanes[Row]]] = {}
        # Negated, ascending: the most urgent first.
        self._priorities: list[int] = []
        # By reason (`values.of_limit_key`, `of_ordering_key`), the lanes that are parked for it: at
        # most all lanes of the key.
        self._parked: dict[str, dict[tuple[int, Needs | Kind, str], None]] = {}
        # Tasks with a fairness key wait by tenant; None in a tenant's own order.
        self.tenants: dict[str, PendingOrder[Row]] | None = None if of_tenant else {}
        # Tenants that came since placement looked; whose turn it is; all tasks of tenants.
        self.entered: dict[str, None] = {}
        self.turns = Turns()
        self._all: Lane[Row] = Lane()
        # What waits for the end of a pause (`Kind.pause`), apart from the others.
        self._aside: dict[Kind, Lane[Row]] = {}
        self.size = 0

    def push(self, row: Row) -> None:
        if row.tenant and self.tenants is not None:
            order = self.tenants.get(row.tenant)
            if order is None:
                order = self.tenants[row.tenant] = PendingOrder(of_tenant=True)
                self.entered[row.tenant] = None
            order.push(row)
            self._all.push(row)
            self.size += 1
            return
        if type(row.kind) is Kind and row.kind.pause:
            aside = self._aside.get(row.kind)
            if aside is None:
                aside = self._aside[row.kind] = Lane()
            aside.push(row)
            self.size += 1
            return
        level = self._levels.get(-row.priority)
        if level is None:
            level = self._levels[-row.priority] = {}
            insort(self._priorities, -row.priority)
        kind = row.kind
        lane = level.get(kind)
        if lane is None:
            lane = level[kind] = KeyedLanes() if type(kind) is Kind and kind.keyed else Lane()
        lane.push(row)
        self.size += 1

    def discard(self, row: Row) -> None:
        """`row` is no longer PENDING (its state has changed already)."""
        if row.tenant and self.tenants is not None:
            order = self.tenants[row.tenant]
            order.discard(row)
            self._all.discard(row)
            self.size -= 1
            if not order.size:
                del self.tenants[row.tenant]
                self.entered.pop(row.tenant, None)
                self.turns.leave(row.tenant)
            return
        if type(row.kind) is Kind and row.kind.pause:
            aside = self._aside[row.kind]
            aside.discard(row)
            self.size -= 1
            if not aside.size:
                del self._aside[row.kind]
            return
        level = self._levels[-row.priority]
        lane = level[row.kind]
        lane.discard(row)
        self.size -= 1
        if lane.size == 0:
            del level[row.kind]
            if not level:
                del self._levels[-row.priority]
                self._priorities.remove(-row.priority)

    def lanes(self, most: int) -> Iterator[list[Lane[Row] | KeyedLanes[Row]]]:
        """The first `most` lanes of each priority, the most urgent priority first."""
        for priority in list(self._priorities):
            level = self._levels.get(priority)
            if level:
                yield list(islice(level.values(), most))

    def order_of(self, tenant: str) -> PendingOrder[Row] | None:
        """The order of a tenant's tasks; None when it has none."""
        if tenant:
            return self.tenants.get(tenant) if self.tenants is not None else None
        return self if self._levels else None

    def order_with(self, tenant: str) -> PendingOrder[Row] | None:
        """The order in which tasks of a tenant are, "" for those without one."""
        return self.tenants.get(tenant) if tenant and self.tenants is not None else self

    def aside(self, pause: str) -> Row | None:
        """The first task that waits for the end of a pause."""
        for kind, lane in self._aside.items():
            if kind.pause == pause:
                return lane.head()
        return None

    def orders(self, most: int) -> Iterator[PendingOrder[Row]]:
        """The orders of up to `most` tenants, and that of the tasks without one."""
        yield self
        yield from islice((self.tenants or {}).values(), most)

    def defer(self, row: Row, most: int) -> None:
        """The lane of `row` fits nowhere: where there are more than `most`, others go first."""
        if row.tenant and self.tenants is not None:
            self.tenants[row.tenant].defer(row, most)
            return
        level = self._levels[-row.priority]
        if len(level) > most:
            level[row.kind] = level.pop(row.kind)

    def park(self, row: Row, reason: str) -> None:
        """Pass over the tasks of `row`'s key that wait in its lane, until `reason` is gone."""
        assert row.limits is not None
        if row.tenant and self.tenants is not None:
            self.tenants[row.tenant].park(row, reason)
            self._parked.setdefault(reason, {})
            return
        lane = self._levels[-row.priority][row.kind]
        assert isinstance(lane, KeyedLanes)
        lane.park(row.limits.lane)
        self._parked.setdefault(reason, {})[-row.priority, row.kind, row.limits.lane] = None

    def unpark(self, reason: str) -> None:
        """What held back a key may be gone."""
        if self.tenants and reason in self._parked:
            # Most keys are of one tenant. Those of many cost a look at each.
            for order in self.tenants.values():
                order.unpark(reason)
        for priority, kind, key in self._parked.pop(reason, ()):
            # Those that waited there may have been cancelled, and others may have come.
            lane = self._levels.get(priority, {}).get(kind)
            if isinstance(lane, KeyedLanes):
                lane.unpark(key)

    def unpark_all(self) -> None:
        """Other limits hold now."""
        for key in list(self._parked):
            self.unpark(key)

    def kinds(self) -> Iterator[tuple[Needs, int]]:
        """What is needed, and by how many; the same needs once for each lane."""
        for kind, lane in self._lanes():
            yield kind.needs if type(kind) is Kind else kind, lane.size  # type: ignore[misc]

    def open_kinds(self) -> Iterator[tuple[Needs | Kind, int]]:
        """As `kinds`, without the tasks whose keys are parked and those that pauses hold back, and
        with what limits them."""
        for kind, lane in self._lanes():
            if type(kind) is not Kind or not kind.pause:
                yield kind, lane.size - lane.parked

    def _lanes(self) -> Iterator[tuple[Needs | Kind, Lane[Row] | KeyedLanes[Row]]]:
        for level in self._levels.values():
            yield from level.items()
        # For these, see `open_kinds`.
        yield from self._aside.items()
        for order in (self.tenants or {}).values():
            yield from order._lanes()

    def place_of(self, row: Row, most: int) -> Place:
        """Where a PENDING row is in the order; looks at `most` tasks, and `most` lanes."""
        if row.tenant and self.tenants is not None:
            order = self.tenants[row.tenant]
            return order.place_of(row, most)._replace(other_tenants=self.size - order.size)
        if type(row.kind) is Kind and row.kind.pause:
            return Place(0, True, 0, 0, None)
        level = self._levels[-row.priority]
        lane = level[row.kind]
        ahead, exact = lane.ahead(row, most)
        higher = 0
        for priority in self._priorities:
            if priority >= -row.priority or most <= 0:
                break
            lanes = self._levels[priority].values()
            higher += sum(one.size for one in islice(lanes, most))
            most -= len(lanes)
        others = sum(one.size for one in islice(level.values(), max(0, most))) - lane.size
        head = lane.head()
        return Place(ahead, exact, higher, max(0, others), head.id if head is not None else None)

    def oldest(self) -> Row | None:
        """The PENDING task that was created first."""
        heads = [
            head
            for level in self._levels.values()
            for lane in level.values()
            if (head := lane.oldest()) is not None
        ]
        heads += [head for lane in self._aside.values() if (head := lane.head()) is not None]
        if (first := self._all.head()) is not None:
            heads.append(first)
        return min(heads, key=lambda row: row.id, default=None)

    def first_rows(self) -> Iterator[Row]:
        """The first tasks of each lane (`_LOOKED_AT`), without those that a pause holds back.

        Not only heads count: a delayed task may be older than those that were due before it.
        """
        for level in self._levels.values():
            for lane in level.values():
                yield from lane.first_rows(_LOOKED_AT)
        # Those of tenants.
        for row in self._all.first_rows(_LOOKED_AT):
            if not _is_aside(row):
                yield row

    def first_rows_aside(self) -> Iterator[Row]:
        """As `first_rows`, of those that a pause holds back."""
        for lane in self._aside.values():
            yield from lane.first_rows(_LOOKED_AT)
        for row in self._all.first_rows(_LOOKED_AT):
            if _is_aside(row):
                yield row


def _is_aside(row: Waiting) -> bool:
    return type(row.kind) is Kind and bool(row.kind.pause)
