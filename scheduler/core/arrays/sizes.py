"""How many subtasks go into a chunk: guided self-scheduling by measured durations.

A chunk is `TARGET` seconds of work, so that what a chunk costs (a commit, a message) is little
beside it, and never more than half of an even share of what is pending, so that the last chunks are
small (Polychronopoulos and Kuck, 1987); but not less than `LEAST` seconds of work, which is what a
chunk costs. While nobody knows how long a subtask takes a chunk is one; it grows by `GROWTH` with
each report of as many. Agents return what they have not begun of a chunk that takes far longer."""

from __future__ import annotations

from typing import Final

TARGET: Final = 0.1
LEAST: Final = 0.003
GROWTH: Final = 32
LARGEST: Final = 32_768
# Weight of the newest report in the average.
_NEWEST: Final = 0.3


class Durations:
    """How long the subtasks of a job take. The leader's memory: a new leader begins with the
    average that is on record."""

    __slots__ = ("_most", "seconds")

    def __init__(self) -> None:
        # Of one subtask, the newest ones counting most; below 0: not known.
        self.seconds = -1.0
        self._most = 1

    def begin(self, seconds: float, count: int) -> None:
        """What is on record: `count` attempts ran for so long together."""
        if self.seconds < 0.0 and count:
            self.seconds = seconds / count

    def reported(self, seconds: float, count: int) -> None:
        """`count` subtasks ran for so long together."""
        if count <= 0:
            return
        each = max(0.0, seconds) / count
        known = self.seconds
        self.seconds = each if known < 0.0 else known + _NEWEST * (each - known)
        self._most = min(LARGEST, max(self._most, count * GROWTH))

    def chunk(self, pending: int, slots: int) -> int:
        """Subtasks of the next chunk.

        Args:
            pending: of the job.
            slots: of all nodes that may take some of it.
        """
        if self.seconds < 0.0:
            return 1
        each = max(self.seconds, 1e-7)
        share = max(pending // (2 * max(1, slots)), int(LEAST / each))
        return max(1, min(int(TARGET / each), self._most, LARGEST, share))
