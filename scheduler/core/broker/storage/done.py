"""What is done of the chunks of a sub-log that are partly done, and where that is on record.

In one record, `acks`, as long as it has room; the heaviest chunks get records of their own then. A
chunk that has one keeps it until it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from scheduler.core.broker.storage.records import (
    ACKS_BYTES,
    MOST_ACKS_BYTES,
    ChunkDone,
    PutChunkDone,
    heaviest,
)

_MOST_BYTES: Final = MOST_ACKS_BYTES - ACKS_BYTES
# What a chunk takes in `acks` at least.
_LEAST: Final = ChunkDone(0).weight


class DoneChunks:
    """Owned by a sub-log.

    Attributes:
        inline: those in `acks`, by first sequence; `own`: those with records of their own.
        total: messages that are done in all of them.
        weight: bytes of `inline` in `acks`, rounded up.
    """

    __slots__ = ("_most_runs", "_runs", "inline", "own", "total", "weight")

    def __init__(self, most_runs: int) -> None:
        self._most_runs = most_runs
        self._runs = 0
        self.inline: dict[int, ChunkDone] = {}
        self.own: dict[int, ChunkDone] = {}
        self.total = 0
        self.weight = 0

    def get(self, first: int) -> ChunkDone:
        """What is done of a chunk."""
        return self.inline.get(first) or self.own.get(first) or ChunkDone(first)

    def put(self, done: ChunkDone, *, own: bool = False) -> bool:
        """Take what is done of a chunk now; whether it has a record of its own.

        Args:
            own: it is to have one, as far as records say.
        """
        first = done.first
        self.total += done.done.bit_count() - self.get(first).done.bit_count()
        if own or first in self.own:
            self.own[first] = done
            return True
        self._count(first, -1)
        self.inline[first] = done
        self._count(first, 1)
        return False

    def forget(self, first: int) -> bool:
        """A chunk goes; whether it had a record of its own."""
        self.total -= self.get(first).done.bit_count()
        self._count(first, -1)
        self.inline.pop(first, None)
        return self.own.pop(first, None) is not None

    def spill(self) -> Iterator[PutChunkDone]:
        """Give the heaviest chunks records of their own if `acks` would be too large.

        Down to three quarters of the bounds, so that it does not happen at each commit.
        """
        if self._runs <= self._most_runs and self.weight <= _MOST_BYTES:
            return
        for done in sorted(self.inline.values(), key=lambda done: (-done.weight, done.first)):
            if self._runs <= self._most_runs * 3 // 4 and self.weight <= _MOST_BYTES * 3 // 4:
                return
            self._count(done.first, -1)
            del self.inline[done.first]
            self.own[done.first] = done
            yield PutChunkDone(done)

    def weigh(self, changed: Mapping[int, int]) -> tuple[int, int]:
        """Keys and bytes, at most, that a commit writes in which messages of these chunks (first
        sequence: how many messages) are done or come back; with the deletion of chunks."""
        keys, size, runs, weight = 1, ACKS_BYTES, self._runs, self.weight
        for first, count in changed.items():
            known = self.get(first)
            if first in self.own:
                keys, size = keys + 2, size + heaviest(known, count)
                continue
            keys, runs = keys + 1, runs + count
            weight += heaviest(known, count) - (known.weight if first in self.inline else 0)
        size += min(weight, _MOST_BYTES)
        if runs > self._most_runs or weight > _MOST_BYTES:
            # As `spill` does it, if each were as light as can be; some have no run at all.
            beyond = runs - self._most_runs * 3 // 4, (weight - _MOST_BYTES * 3 // 4) // _LEAST + 1
            without = sum([not done.runs for done in self.inline.values()])
            most = len(self.inline) + len(changed)
            keys += min(most, max(beyond) + without + len(changed))
            size += weight
        return keys, size

    def _count(self, first: int, sign: int) -> None:
        done = self.inline.get(first)
        if done is not None:
            self._runs += sign * done.runs
            self.weight += sign * done.weight
