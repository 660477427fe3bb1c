"""In which queues tasks are, by their keys in the log: each in one, also while it is moved."""

from __future__ import annotations

from quorate.runtime.ids import TaskId


class Places:
    """Those of one history."""

    def __init__(self) -> None:
        self._queues: dict[TaskId, dict[str, None]] = {}
        # Tasks of which something was written in this revision.
        self._touched: dict[TaskId, None] = {}
        # Tasks that left a queue for another one.
        self._left: dict[TaskId, None] = {}
        self.moved = 0

    def put(self, task: TaskId, queue: str) -> None:
        self._queues.setdefault(task, {})[queue] = None
        self._touched[task] = None

    def gone(self, task: TaskId, queue: str) -> None:
        self._queues[task].pop(queue, None)
        self._touched[task] = self._left[task] = None

    def over(self) -> list[TaskId]:
        """A revision is over; the tasks that were deleted in it."""
        deleted = []
        for task in self._touched:
            queues = self._queues[task]
            assert len(queues) < 2, f"{task} is in the queues {list(queues)}"
            if not queues:
                del self._queues[task]
                deleted.append(task)
            else:
                self.moved += task in self._left
        self._touched.clear()
        self._left.clear()
        return deleted
