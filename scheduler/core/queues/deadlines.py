"""Until when PENDING tasks have to start: the order in which they expire.

Owned by the state; changed where tasks enter and leave PENDING, on leader and standbys alike. A
task whose attempt failed, or was lost with its node, has started: it does not expire any more.

Memory: one entry for each PENDING task with a deadline, and at most as many dead ones (tasks that
left) and a constant before they are cleared away.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

from quorate.runtime.ids import TaskId
from scheduler.core.values import TaskState

_CLEAR_ABOVE = 256


class Expiring(Protocol):
    """What is read of a task's row."""

    @property
    def id(self) -> TaskId: ...

    @property
    def state(self) -> TaskState: ...

    @property
    def expire_at(self) -> float: ...

    @property
    def expires(self) -> bool: ...


Row = TypeVar("Row", bound=Expiring)


class Deadlines(Generic[Row]):
    """Rows by the instant at which they expire."""

    __slots__ = ("_heap", "_pushed", "waiting")

    def __init__(self) -> None:
        # The number keeps rows from being compared.
        self._heap: list[tuple[float, TaskId, int, Row]] = []
        self._pushed = 0
        self.waiting = 0

    def add(self, row: Row) -> None:
        """A row is PENDING from now on."""
        self.waiting += 1
        self._pushed += 1
        heappush(self._heap, (row.expire_at, row.id, self._pushed, row))
        if len(self._heap) > 2 * self.waiting + _CLEAR_ABOVE:
            alive = {entry[1]: entry for entry in self._heap if _waits(entry)}
            self._heap = list(alive.values())
            heapify(self._heap)

    def removed(self) -> None:
        """A row that was added is not PENDING any longer."""
        self.waiting -= 1

    def next(self) -> float | None:
        """When the next one expires; None when there is none."""
        heap = self._heap
        while heap and not _waits(heap[0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def take(self, now: float, most: int) -> list[Row]:
        """Up to `most` rows that have expired; each is to leave PENDING at once."""
        rows: dict[TaskId, Row] = {}
        while len(rows) < most and (due := self.next()) is not None and due <= now:
            row = heappop(self._heap)[3]
            rows[row.id] = row
        return list(rows.values())


def _waits(entry: tuple[float, TaskId, int, Row]) -> bool:
    row = entry[3]
    return row.state is TaskState.PENDING and row.expires and row.expire_at == entry[0]
