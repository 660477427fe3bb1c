"""What running attempts say of their progress.

Memory of the leader alone: it is in no record, and a new leader learns it from the inventories of
the agents. One value for each task that runs and reports; it goes when the attempt ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from quorate.runtime.ids import TaskId


class Progress(NamedTuple):
    """The newest progress of an attempt."""

    attempt: int
    # 0 to 1; None: it did not say.
    fraction: float | None
    text: str
    # On the leader's clock.
    instant: float
    # Grows with each report, of whatever task.
    version: int


class TaskProgress:
    """That of all tasks. `newest` has them in the order of their last reports."""

    def __init__(self) -> None:
        self.newest: dict[TaskId, Progress] = {}
        self.version = 0

    def note(
        self, task: TaskId, attempt: int, fraction: float | None, text: str, instant: float
    ) -> None:
        """A running attempt says how far it is."""
        self.version += 1
        self.newest.pop(task, None)
        self.newest[task] = Progress(attempt, fraction, text, instant, self.version)

    def since(self, version: int, most: int) -> Iterator[tuple[TaskId, Progress]]:
        """Those that came behind a version, the latest first; looks at `most` at most."""
        for task in islice(reversed(self.newest), most):
            progress = self.newest[task]
            if progress.version <= version:
                return
            yield task, progress
