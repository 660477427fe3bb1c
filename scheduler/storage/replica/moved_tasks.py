"""Tasks that go to another queue, as a standby's fold meets them.

A task's records are below its queue's name. So in one Txn the old ones are deleted and new ones
put, in whatever order their keys had in the Txn before. Until the Txn is folded a live task whose
records were deleted is either in another queue, or gone.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.runtime.ids import TaskId


class MovedTasks:
    """Live tasks whose records were deleted in the Txn that is folded.

    Args:
        drop: called with each task that did not come in another queue.
    """

    def __init__(self, drop: Callable[[TaskId], None]) -> None:
        self._drop = drop
        # By task, the revision of the Txn.
        self.tasks: dict[TaskId, int] = {}

    def went(self, task: TaskId, revision: int) -> None:
        """The records of a live task in its queue were deleted."""
        self.tasks[task] = revision

    def came(self, task: TaskId) -> None:
        """It is in another queue."""
        self.tasks.pop(task, None)

    def settle(self, revision: int = -1) -> None:
        """The Txn of `revision` is folded next: what did not come before is gone."""
        for task in [task for task, of in self.tasks.items() if of != revision]:
            del self.tasks[task]
            self._drop(task)

    def clear(self) -> None:
        """Forget them: a snapshot follows."""
        self.tasks.clear()
