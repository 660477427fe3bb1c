"""Which jobs changed, in the order of the changes."""

from __future__ import annotations

from collections import OrderedDict

from quorate.runtime.ids import TaskId


class JobChanges:
    """Which jobs changed, the latest last: what watches are served from. Each process's own."""

    __slots__ = ("_at", "dropped", "last")

    def __init__(self) -> None:
        self._at: OrderedDict[TaskId, int] = OrderedDict()
        # The number of the last change; they grow.
        self.last = 0
        # How many jobs were deleted.
        self.dropped = 0

    def note(self, job: TaskId) -> None:
        """Something of a job changed."""
        self.last += 1
        self._at[job] = self.last
        self._at.move_to_end(job)

    def drop(self, job: TaskId) -> None:
        """The job is gone; that is a change too, of which its watchers learn otherwise."""
        self.last += 1
        self.dropped += 1
        self._at.pop(job, None)

    def since(self, number: int) -> list[TaskId]:
        """The jobs that changed after this change, the latest first."""
        found = []
        for job, at in reversed(self._at.items()):
            if at <= number:
                break
            found.append(job)
        return found
