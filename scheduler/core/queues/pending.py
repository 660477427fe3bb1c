"""The order of a queue's PENDING tasks: higher priority first, then by age.

Owned by the queue's row in the state; changed only by `State.enter` and `State.leave`, on the
leader and on standbys alike. Tasks of one priority that need different resources wait in lanes of
their own, so that a task which fits nowhere does not hold back those that would fit.

Memory: one entry a PENDING task, and at most as many dead ones (tasks that left from the middle)
before a lane is rebuilt.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Generic, Protocol, TypeVar

from quorate.runtime.ids import TaskId
from scheduler.core.values import Needs, TaskState

_REBUILD_ABOVE = 64


class Waiting(Protocol):
    """What the order reads of a task's row."""

    @property
    def id(self) -> TaskId: ...

    @property
    def priority(self) -> int: ...

    @property
    def needs(self) -> Needs: ...

    @property
    def state(self) -> TaskState: ...


Row = TypeVar("Row", bound=Waiting)


class Lane(Generic[Row]):
    """Tasks of one priority and one kind of needs, oldest first."""

    __slots__ = ("_back", "_dead", "_line", "_pushed", "size")

    def __init__(self) -> None:
        # New tasks come with ever greater ids: the line is sorted without a comparison. Tasks
        # that come back (retried, returned, lost) are older than its end: they wait in a heap.
        self._line: deque[Row] = deque()
        # The number keeps rows from being compared: a task that was cancelled while it waited here
        # and was then retried by hand is in the heap twice, once dead.
        self._back: list[tuple[str, int, Row]] = []
        self._pushed = 0
        self._dead = 0
        self.size = 0

    def push(self, row: Row) -> None:
        line = self._line
        self.size += 1
        if not line or row.id > line[-1].id:
            line.append(row)
        else:
            self._pushed += 1
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
        if self._dead:
            self._prune()
            if self._dead > _REBUILD_ABOVE and self._dead > self.size:
                self._rebuild()

    def head(self) -> Row | None:
        """The oldest; it stays until it is discarded."""
        line, back = self._line, self._back
        if back and (not line or back[0][0] < line[0].id):
            return back[0][2]
        return line[0] if line else None

    def _prune(self) -> None:
        """Keep both heads alive."""
        line, back = self._line, self._back
        while line and line[0].state is not TaskState.PENDING:
            line.popleft()
            self._dead -= 1
        while back and back[0][2].state is not TaskState.PENDING:
            heappop(back)
            self._dead -= 1

    def _rebuild(self) -> None:
        alive = {row.id: row for row in self._line if row.state is TaskState.PENDING}
        back = {
            entry[0]: entry
            for entry in self._back
            if entry[2].state is TaskState.PENDING and entry[0] not in alive
        }
        self._back = list(back.values())
        heapify(self._back)
        self._line = deque(alive.values())
        self._dead = len(self._line) + len(self._back) - self.size


class PendingOrder(Generic[Row]):
    """All PENDING tasks of one queue."""

    __slots__ = ("_levels", "_priorities", "size")

    def __init__(self) -> None:
        self._levels: dict[int, dict[Needs, Lane[Row]]] = {}
        # Negated, ascending: the most urgent first.
        self._priorities: list[int] = []
        self.size = 0

    def push(self, row: Row) -> None:
        level = self._levels.get(-row.priority)
        if level is None:
            level = self._levels[-row.priority] = {}
            insort(self._priorities, -row.priority)
        lane = level.get(row.needs)
        if lane is None:
            lane = level[row.needs] = Lane()
        lane.push(row)
        self.size += 1

    def discard(self, row: Row) -> None:
        """`row` is no longer PENDING (its state has changed already)."""
        level = self._levels[-row.priority]
        lane = level[row.needs]
        lane.discard(row)
        self.size -= 1
        if lane.size == 0:
            del level[row.needs]
            if not level:
                del self._levels[-row.priority]
                self._priorities.remove(-row.priority)

    def lanes(self, most: int) -> Iterator[list[Lane[Row]]]:
        """The first `most` lanes of each priority, the most urgent priority first."""
        for priority in list(self._priorities):
            level = self._levels.get(priority)
            if level:
                yield list(islice(level.values(), most))

    def defer(self, row: Row, most: int) -> None:
        """The lane of `row` fits nowhere: where there are more than `most`, others go first."""
        level = self._levels[-row.priority]
        if len(level) > most:
            level[row.needs] = level.pop(row.needs)

    def kinds(self) -> Iterator[tuple[Needs, int]]:
        """What is needed, and by how many; the same needs once for each priority."""
        for level in self._levels.values():
            for needs, lane in level.items():
                yield needs, lane.size

    def oldest(self) -> Row | None:
        """The PENDING task that was created first."""
        heads = [
            head
            for level in self._levels.values()
            for lane in level.values()
            if (head := lane.head()) is not None
        ]
        return min(heads, key=lambda row: row.id, default=None)
