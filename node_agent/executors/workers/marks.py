"""The agent's side of the memory in which a worker marks how far it is (see `protocol.pieces`)."""

from __future__ import annotations

import os

from node_agent.protocol import pieces
from node_agent.protocol.pieces import Forged, Record


class Marks:
    """One worker's marks. What it wrote is user code's to change: only what fits is believed."""

    def __init__(self) -> None:
        self._descriptor = pieces.made_marks()
        self._memory = pieces.mapped(self._descriptor)
        self._words = pieces.words_of(self._memory)

    def fileno(self) -> int:
        """For the worker; -1 once it is closed."""
        return self._descriptor

    def close(self) -> None:
        """Let go of the memory."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._words.release()
            self._memory.close()

    def stop(self, key: int) -> None:
        """Have the worker begin no more of a piece."""
        self._words[pieces.STOP] = key

    def running(self, key: int, size: int) -> int:
        """The offset that the worker began last, of a piece of `size` offsets; -1: none yet."""
        words = self._words
        if words[pieces.KEY] != key:
            return -1
        offset = words[pieces.MARK]
        return offset if 0 <= offset <= size else -1

    def ended(self, key: int, base: int, size: int) -> tuple[int, list[Record]]:
        """As `unanswered`, of a worker that lives: only what is sure while it goes on."""
        before = self._words[: pieces.STOP].tolist()
        ran, records = self.unanswered(key, base, size)
        return (ran, records) if self._words[: pieces.STOP].tolist() == before else (base, [])

    def unanswered(self, key: int, base: int, size: int) -> tuple[int, list[Record]]:
        """Which offset a dead worker was at, and the records of those before it.

        Offsets before the first number ended, and the one that it names ran. `size`: none ran.

        Args:
            base: offsets before it were answered.
        """
        mark = self.running(key, size)
        if mark < base:
            return base, []
        # The one that the worker was at may have ended, if its record is there.
        used = self._words[pieces.USED]
        if self._words[pieces.BASE] != base or not 0 <= used <= pieces.MAX_UNANSWERED:
            return base, []
        data = self._memory[pieces.RECORDS : pieces.RECORDS + used]
        try:
            records = pieces.read_records(data, 0, base, min(mark + 1, size))
        except Forged:
            return base, []
        if records and records[-1][0] == mark:
            mark += 1
        return mark, records
