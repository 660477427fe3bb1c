"""The agent's side of the memory in which a worker marks how far it is (see `protocol.pieces`)."""

from __future__ import annotations

import os
import struct

from node_agent.protocol import pieces, progress
from node_agent.protocol.pieces import BASE, KEY, MARK, STOP, USED, Forged, Record

_WORDS = struct.Struct(f"={STOP + 1}q")
_WORD = struct.Struct("=q")


class Marks:
    """One worker's marks. What it wrote is user code's to change: only what fits is believed.

    Read and written as a file, not mapped: that takes one descriptor less for each lane.
    """

    def __init__(self) -> None:
        self._descriptor = pieces.made_marks()

    def fileno(self) -> int:
        """For the worker; -1 once it is closed."""
        return self._descriptor

    def close(self) -> None:
        """Let go of the memory."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def stop(self, key: int) -> None:
        """Have the worker begin no more of a piece."""
        os.pwrite(self._descriptor, _WORD.pack(key), STOP * _WORD.size)

    def progress(self, key: int, seen: int) -> tuple[int, float | None, str] | None:
        """See `protocol.progress.read`."""
        return progress.read(self._descriptor, key, seen)

    def running(self, key: int, size: int) -> int:
        """The offset that the worker began last, of a piece of `size` offsets; -1: none yet."""
        return _running(self._words(), key, size)

    def ended(self, key: int, base: int, size: int) -> tuple[int, list[Record]]:
        """As `unanswered`, of a worker that lives: only what is sure while it goes on."""
        before = self._words()
        ran, records = self.unanswered(key, base, size)
        return (ran, records) if self._words() == before else (base, [])

    def unanswered(self, key: int, base: int, size: int) -> tuple[int, list[Record]]:
        """Which offset a dead worker was at, and the records of those before it.

        Offsets before the first number ended, and the one that it names ran. `size`: none ran.

        Args:
            base: offsets before it were answered.
        """
        words = self._words()
        mark, used = _running(words, key, size), words[USED]
        if mark < base or words[BASE] != base or not 0 <= used <= pieces.MAX_UNANSWERED:
            return base, []
        data = os.pread(self._descriptor, used, pieces.RECORDS)
        try:
            records = pieces.read_records(data, 0, base, min(mark + 1, size))
        except Forged:
            return base, []
        if records and records[-1][0] == mark:
            # The one that the worker was at has ended: its record is there.
            mark += 1
        return mark, records

    def _words(self) -> tuple[int, ...]:
        return _WORDS.unpack(os.pread(self._descriptor, _WORDS.size, 0))


def _running(words: tuple[int, ...], key: int, size: int) -> int:
    offset = words[MARK]
    return offset if words[KEY] == key and 0 <= offset <= size else -1
