"""The line of one ordering key: the tasks that are PENDING, oldest first.

Memory: one entry a task, and at most as many dead ones before the line is rebuilt.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from quorate.runtime.ids import TaskId

_REBUILD_ABOVE = 64


class Line:
    """Ids, the least first."""

    __slots__ = ("_heap", "tasks")

    def __init__(self) -> None:
        self._heap: list[TaskId] = []
        self.tasks: dict[TaskId, None] = {}

    def add(self, task: TaskId) -> None:
        self.tasks[task] = None
        heappush(self._heap, task)

    def discard(self, task: TaskId) -> None:
        del self.tasks[task]
        if len(self._heap) > 2 * len(self.tasks) + _REBUILD_ABOVE:
            self._heap = list(self.tasks)
            heapify(self._heap)

    def head(self) -> TaskId:
        """The oldest; there must be one."""
        heap = self._heap
        while heap[0] not in self.tasks:
            heappop(heap)
        return heap[0]
