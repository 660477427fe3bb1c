"""When etcd was at which revision: what a leader may compact.

A process keeps its checkpoints whether it leads or stands by, so that a cluster whose leader
changes every few minutes compacts all the same. Times are the process's own: a new one begins anew.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from quorate.runtime.timing.clock import Clock

# Seconds of history that compaction leaves, and between two checkpoints.
HISTORY: Final = 600.0
EVERY: Final = 10.0


class CompactionCheckpoints:
    """(instant, revision), oldest first: at most one more than `history / every` and the newest."""

    def __init__(self, clock: Clock, *, history: float = HISTORY, every: float = EVERY) -> None:
        self._clock = clock
        self._history = history
        self._every = every
        self._checkpoints: deque[tuple[float, int]] = deque()

    @property
    def every(self) -> float:
        """Seconds between two checkpoints."""
        return self._every

    def note(self, revision: int) -> None:
        """etcd is at `revision` at least; 0 for not known."""
        now, checkpoints = self._clock.monotonic(), self._checkpoints
        if not revision or (checkpoints and now < checkpoints[-1][0] + self._every):
            return
        checkpoints.append((now, revision))
        # Of those that are old enough the newest will do.
        while len(checkpoints) > 1 and checkpoints[1][0] <= now - self._history:
            checkpoints.popleft()

    def take_old(self) -> int | None:
        """The newest revision that is as old as what is kept; None when there is none. Each is
        returned once."""
        now, old = self._clock.monotonic(), None
        while self._checkpoints and self._checkpoints[0][0] <= now - self._history:
            old = self._checkpoints.popleft()[1]
        return old
