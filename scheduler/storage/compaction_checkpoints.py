"""When etcd was at which revision: what a leader may compact.

A process keeps its marks whether it leads or stands by, so that a cluster whose leader changes
every few minutes compacts all the same. Times are the process's own: a new one begins anew.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from quorate.runtime.clock import Clock

# Seconds of history that compaction leaves, and between two marks.
KEPT: Final = 600.0
EVERY: Final = 10.0


class RevisionMarks:
    """(instant, revision), oldest first: at most one more than `kept / every` and the newest."""

    def __init__(self, clock: Clock, *, kept: float = KEPT, every: float = EVERY) -> None:
        self._clock = clock
        self._kept = kept
        self._every = every
        self._marks: deque[tuple[float, int]] = deque()

    @property
    def every(self) -> float:
        """Seconds between two marks."""
        return self._every

    def note(self, revision: int) -> None:
        """etcd is at `revision` at least; 0 for not known."""
        now, marks = self._clock.monotonic(), self._marks
        if not revision or (marks and now < marks[-1][0] + self._every):
            return
        marks.append((now, revision))
        # Of those that are old enough the newest will do.
        while len(marks) > 1 and marks[1][0] <= now - self._kept:
            marks.popleft()

    def take_old(self) -> int | None:
        """The newest revision that is as old as what is kept; None when there is none. It is told
        once."""
        now, old = self._clock.monotonic(), None
        while self._marks and self._marks[0][0] <= now - self._kept:
            old = self._marks.popleft()[1]
        return old
