"""Lanes of PENDING tasks: those of one priority that either all fit on a node or none does.

`Lane` is a line in the order of creation. `KeyedLanes` has a line for each limit key, so that those
of a full key are passed over without looking at them.

Memory: one entry a PENDING task (two with a key), and at most as many dead ones (tasks that left
from the middle), with their ids, before a lane is rebuilt.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice
from typing import Generic, Protocol, TypeVar

from quorate.runtime.ids import TaskId
from scheduler.core.values import Kind, Needs, TaskLimits, TaskState

_REBUILD_ABOVE = 64
# Ids that are put in order for one answer about a place: 20 ms at most.
_SORTED_AT_ONCE = 50_000


class Waiting(Protocol):
    """What the order reads of a task's row."""

    @property
    def id(self) -> TaskId: ...

    @property
    def priority(self) -> int: ...

    @property
    def kind(self) -> Needs | Kind: ...

    @property
    def limits(self) -> TaskLimits | None: ...

    @property
    def tenant(self) -> str: ...

    @property
    def state(self) -> TaskState: ...


Row = TypeVar("Row", bound=Waiting)


class Lane(Generic[Row]):
    """Tasks of one priority and one kind, oldest first."""

    __slots__ = ("_back", "_backed", "_dead", "_gone", "_line", "_pushed", "_sorted", "size")

    def __init__(self) -> None:
        # New tasks come with ever greater ids: the line is sorted without a comparison. Tasks
        # that come back (retried, returned, lost) are older than its end: they wait in a heap.
        self._line: deque[Row] = deque()
        # The number keeps rows from being compared: a task that was cancelled while it waited here
        # and was then retried by hand is in the heap twice, once dead.
        self._back: list[tuple[str, int, Row]] = []
        self._pushed = 0
        # How often an id is in the heap.
        self._backed: dict[str, int] = {}
        self._dead = 0
        # Ids whose entries in the line are dead: what `ahead` does not count. The first `_sorted`
        # of them are in order. Those below the line's head are of no meaning.
        self._gone: list[str] = []
        self._sorted = 0
        self.size = 0

    def push(self, row: Row) -> None:
        line = self._line
        self.size += 1
        if not line:
            if self._gone:
                self._gone, self._sorted = [], 0
            line.append(row)
        elif row.id > line[-1].id:
            line.append(row)
        else:
            self._pushed += 1
            self._backed[row.id] = self._backed.get(row.id, 0) + 1
            heappush(self._back, (row.id, self._pushed, row))

    def discard(self, row: Row) -> None:
        """`row` is no longer PENDING (its state has changed already)."""
        self.size -= 1
        line = self._line
        if line and line[0] is row:
            # As a rule.
            line.popleft()
        else:
            self._dead += 1
            if row.id not in self._backed:
                self._gone.append(row.id)
        if self._dead:
            self._prune()
            if len(self._gone) > 2 * self._dead + _REBUILD_ABOVE:
                head = line[0].id if line else ""
                self._gone = [task for task in self._gone if head and task >= head]
                self._sorted = 0
            if self._dead > _REBUILD_ABOVE and self._dead > self.size:
                self._rebuild()

    def head(self) -> Row | None:
        """The oldest; it stays until it is discarded."""
        line, back = self._line, self._back
        if back and (not line or back[0][0] < line[0].id):
            return back[0][2]
        return line[0] if line else None

    def oldest(self) -> Row | None:
        """The same as `head`."""
        return self.head()

    def first_rows(self, most: int) -> Iterator[Row]:
        """Up to about `most` tasks: the oldest new ones, and some that came back."""
        for row in islice(self._line, most):
            if row.state is TaskState.PENDING:
                yield row
        for _, _, row in self._back[:most]:
            if row.state is TaskState.PENDING:
                yield row

    @property
    def parked(self) -> int:
        """See `KeyedLanes`."""
        return 0

    def ahead(self, row: Row, most: int) -> tuple[int, bool]:
        """How many tasks wait before `row`, and whether that is exact.

        It costs searches, and a look at `most` tasks that came back. It is an estimate where more
        than that came back, or `_SORTED_AT_ONCE` left from the middle since it was asked last.
        """
        line, back = self._line, self._back
        before = bisect_left(line, row.id, key=_id)
        gone, exact = self._gone, True
        if len(gone) - self._sorted <= _SORTED_AT_ONCE:
            if len(gone) > self._sorted:
                gone.sort()
                self._sorted = len(gone)
            if before:
                before -= bisect_left(gone, row.id) - bisect_left(gone, line[0].id)
        elif line:
            before -= len(gone) * before // len(line)
            exact = False
        looked = islice(back, most)
        alive = {task: None for task, _, one in looked if one.state is TaskState.PENDING}
        found = sum(task < row.id for task in alive)
        if len(back) > most:
            found, exact = found * len(back) // most, False
        return before + found, exact

    def _prune(self) -> None:
        """Keep both heads alive."""
        line, back = self._line, self._back
        while line and line[0].state is not TaskState.PENDING:
            line.popleft()
            self._dead -= 1
        while back and back[0][2].state is not TaskState.PENDING:
            task = heappop(back)[0]
            self._dead -= 1
            if self._backed[task] > 1:
                self._backed[task] -= 1
            else:
                del self._backed[task]

    def _rebuild(self) -> None:
        alive = {row.id: row for row in self._line if row.state is TaskState.PENDING}
        back = {
            entry[0]: entry
            for entry in self._back
            if entry[2].state is TaskState.PENDING and entry[0] not in alive
        }
        self._back = list(back.values())
        heapify(self._back)
        self._backed = dict.fromkeys(back, 1)
        self._gone, self._sorted = [], 0
        self._line = deque(alive.values())
        self._dead = len(self._line) + len(self._back) - self.size


class KeyedLanes(Generic[Row]):
    """Tasks of one priority and one kind, that have limit keys.

    A key is parked when its limit is reached. It stays out of the way until it is unparked: what
    asks for the oldest task costs O(log keys), however many tasks wait behind parked keys.
    """

    __slots__ = ("_all", "_entries", "_lanes", "_parked", "_pushed", "_ready", "parked", "size")

    def __init__(self) -> None:
        self._lanes: dict[str, Lane[Row]] = {}
        # All of them, parked or not: for the oldest.
        self._all: Lane[Row] = Lane()
        # (id of the first task, number, key) of keys that are not parked. An entry counts while its
        # number is that of `_entries`.
        self._ready: list[tuple[str, int, str]] = []
        self._entries: dict[str, int] = {}
        self._pushed = 0
        self._parked: set[str] = set()
        self.size = 0
        # Tasks whose keys are parked.
        self.parked = 0

    def push(self, row: Row) -> None:
        key = _key(row)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
        before = lane.head()
        lane.push(row)
        self._all.push(row)
        self.size += 1
        if key in self._parked:
            self.parked += 1
        elif before is None or row.id < before.id:
            self._enter(key, row.id)

    def discard(self, row: Row) -> None:
        """`row` is no longer PENDING (its state has changed already)."""
        key = _key(row)
        lane = self._lanes[key]
        lane.discard(row)
        self._all.discard(row)
        self.size -= 1
        self.parked -= key in self._parked
        if not lane.size:
            del self._lanes[key]
            self._entries.pop(key, None)
            self._parked.discard(key)

    def head(self) -> Row | None:
        """The oldest of those whose keys are not parked; it stays until it is discarded."""
        ready = self._ready
        while ready:
            first, number, key = ready[0]
            if self._entries.get(key) != number:
                heappop(ready)
                continue
            head = self._lanes[key].head()
            assert head is not None
            if head.id == first:
                return head
            # Those before it have left.
            heapreplace(ready, (head.id, number, key))
        return None

    def oldest(self) -> Row | None:
        """The oldest of all."""
        return self._all.head()

    def first_rows(self, most: int) -> Iterator[Row]:
        """As `Lane.first_rows`."""
        return self._all.first_rows(most)

    def ahead(self, row: Row, most: int) -> tuple[int, bool]:
        """As `Lane.ahead`, among those with the key of `row`."""
        return self._lanes[_key(row)].ahead(row, most)

    def park(self, key: str) -> None:
        """Pass over the tasks of `key`."""
        if key not in self._parked:
            self._parked.add(key)
            self._entries.pop(key, None)
            self.parked += self._lanes[key].size

    def unpark(self, key: str) -> None:
        """No longer pass over the tasks of `key`."""
        if key in self._parked:
            self._parked.discard(key)
            self.parked -= self._lanes[key].size
            head = self._lanes[key].head()
            assert head is not None
            self._enter(key, head.id)

    def _enter(self, key: str, first: str) -> None:
        self._pushed += 1
        self._entries[key] = self._pushed
        heappush(self._ready, (first, self._pushed, key))
        if len(self._ready) > 2 * len(self._entries) + _REBUILD_ABOVE:
            self._ready = [
                entry for entry in self._ready if self._entries.get(entry[2]) == entry[1]
            ]
            heapify(self._ready)


def _id(row: Waiting) -> TaskId:
    return row.id


def _key(row: Waiting) -> str:
    assert row.limits is not None
    return row.limits.lane
