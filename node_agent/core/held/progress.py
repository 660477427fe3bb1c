"""What running attempts say of their progress. Pure.

The newest of each attempt is kept with it, and is reported at most every EVERY_SECONDS: what comes
sooner waits, and replaces what waits. Memory: one value for each attempt that runs. A report that
is lost with its session is made up for by the next inventory, which has all.
"""

from __future__ import annotations

from node_agent.core.attempts import Attempt
from node_agent.core.progress import Progress
from quorate.runtime.attempts.progress import EVERY_SECONDS


class ProgressReports:
    """Those that are to be reported."""

    def __init__(self) -> None:
        # By task.
        self._waiting: dict[str, Attempt] = {}

    def note(self, attempt: Attempt, fraction: float | None, text: str, now: float) -> None:
        """An attempt says how far it is."""
        before = attempt.progress
        progress = attempt.progress = Progress(fraction, text, now)
        if before is not None:
            progress.reported_at = before.reported_at
        self._waiting[attempt.task_id] = attempt

    def due(self, now: float) -> list[Attempt]:
        """The attempts whose progress is to be reported now."""
        if not self._waiting:
            return []
        found = []
        for task_id, attempt in tuple(self._waiting.items()):
            progress = attempt.progress
            assert progress is not None
            if attempt.over:
                del self._waiting[task_id]
            elif now - progress.reported_at >= EVERY_SECONDS:
                del self._waiting[task_id]
                progress.reported_at = now
                found.append(attempt)
        return found
