"""All ids of a queue in the order of creation: for paging and for deleting by range.

Ids are made in growing order, so adding is an append; what is removed stays as a hole until a
third of the list are holes. Memory: at most 1.5 entries a task on record, plus a constant.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from quorate.runtime.ids import TaskId

_COMPACT_ABOVE = 256


class TaskIndex:
    """A sorted list of ids with cheap growth at its end."""

    __slots__ = ("_ids", "size")

    def __init__(self) -> None:
        self._ids: list[TaskId] = []
        self.size = 0

    def add(self, task: TaskId) -> None:
        """Add an id that is not in the index."""
        ids = self._ids
        self.size += 1
        if not ids or task > ids[-1]:
            ids.append(task)
            return
        place = bisect_left(ids, task)
        if place == len(ids) or ids[place] != task:
            insort(ids, task)

    def removed(self, count: int, on_record: Callable[[TaskId], bool]) -> None:
        """`count` ids are gone; `on_record` tells which are not."""
        self.size -= count
        holes = len(self._ids) - self.size
        if holes > _COMPACT_ABOVE and holes * 3 > len(self._ids):
            self._ids = [task for task in self._ids if on_record(task)]

    def newest_first(self, before: TaskId | None) -> Iterator[TaskId]:
        """Ids below `before` (all when None), descending; may yield removed ones."""
        ids = self._ids
        end = len(ids) if before is None else bisect_left(ids, before)
        for place in range(end - 1, -1, -1):
            yield ids[place]

    def oldest_first(self, start: TaskId) -> Iterator[TaskId]:
        """Ids from `start` on, ascending; may yield removed ones."""
        ids = self._ids
        for place in range(bisect_left(ids, start), len(ids)):
            yield ids[place]
