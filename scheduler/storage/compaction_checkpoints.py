"""When etcd was at which revision, and how much was written since: what a leader may compact.

It keeps the lesser of ten minutes and 256 MiB of the log: what is written fast would fill etcd's
quota with history otherwise. Backups and standbys that load read at one revision, which has to
stay for as long as they read: so while etcd has plenty of space, a minute stays whatever was
written in it.

A process keeps its checkpoints whether it leads or stands by, so that a cluster whose leader
changes every few minutes compacts all the same. Times are the process's own: a new one begins anew.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from quorate.runtime.timing.clock import Clock

# Seconds of history that compaction leaves, and between two checkpoints.
HISTORY: Final = 600.0
EVERY: Final = 10.0
# Bytes of the log that it leaves, and between two checkpoints.
MOST_BYTES: Final = 256 << 20
EVERY_BYTES: Final = MOST_BYTES // 16
# Seconds that stay in any case, while etcd has plenty of space.
LEAST: Final = 60.0


class _Checkpoint(NamedTuple):
    instant: float
    written: int
    revision: int


class CompactionCheckpoints:
    """Oldest first: at most three more than `history / every + 16`, and one for each look in
    `LEAST` seconds."""

    def __init__(self, clock: Clock, *, history: float = HISTORY, every: float = EVERY) -> None:
        self._clock = clock
        self._history = history
        self._every = every
        self._checkpoints: deque[_Checkpoint] = deque()
        self._written = 0

    @property
    def every(self) -> float:
        """Seconds between two checkpoints, as long as little is written."""
        return self._every

    def wrote(self, size: int) -> None:
        """So many bytes were added to the log, by whomever."""
        self._written += size

    def note(self, revision: int) -> None:
        """etcd is at `revision` at least; 0 for not known."""
        now, checkpoints = self._clock.monotonic(), self._checkpoints
        if not revision:
            return
        if checkpoints:
            last = checkpoints[-1]
            if now < last.instant + self._every and self._written < last.written + EVERY_BYTES:
                return
        checkpoints.append(_Checkpoint(now, self._written, revision))
        # Of those that are old enough the newest will do.
        while len(checkpoints) > 1 and self._old(checkpoints[1], now, LEAST):
            checkpoints.popleft()

    def take_old(self, *, plenty: bool = False) -> int | None:
        """The newest revision that is older than what is kept; None when there is none. Each is
        returned once.

        Args:
            plenty: etcd has plenty of space, so that a minute is kept in any case.
        """
        now, old = self._clock.monotonic(), None
        least = LEAST if plenty else 0.0
        while self._checkpoints and self._old(self._checkpoints[0], now, least):
            old = self._checkpoints.popleft().revision
        return old

    def _old(self, checkpoint: _Checkpoint, now: float, least: float) -> bool:
        if checkpoint.instant <= now - self._history:
            return True
        behind = self._written - checkpoint.written
        return behind >= MOST_BYTES and checkpoint.instant <= now - least
