"""Which chunks a sub-log has: a few numbers for each, in columns.

40 bytes a chunk, 4 for each message of those in which numbers are missing, and 12 for each message
whose body is stored apart: ten million messages in full chunks take less than 1 MiB. Bodies are
elsewhere.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from scheduler.core.broker.storage.format import MOST_BYTES, MOST_MESSAGES, Summary

# A chunk that is below both may be merged with its neighbours.
SMALL_MESSAGES: Final = MOST_MESSAGES // 4
SMALL_BYTES: Final = MOST_BYTES // 4


class ChunkIndex:
    """The chunks of one sub-log, ascending; they do not overlap.

    Attributes:
        firsts: the first sequence of each.
        messages: in all of them; `size`: bytes of all.
        small: how many may be merged.
    """

    __slots__ = (
        "_bodies",
        "_counts",
        "_expiries",
        "_lasts",
        "_latests",
        "_newer",
        "_offsets",
        "_sizes",
        "firsts",
        "messages",
        "size",
        "small",
    )

    def __init__(self) -> None:
        self.firsts = array("Q")
        self._lasts = array("Q")
        self._counts = array("I")
        self._sizes = array("I")
        self._expiries = array("d")
        self._latests = array("d")
        # Of the few that have any.
        self._offsets: dict[int, Sequence[int]] = {}
        self._newer: dict[int, None] = {}
        self._bodies: dict[int, bytes] = {}
        self.messages = 0
        self.size = 0
        self.small = 0

    def __len__(self) -> int:
        return len(self.firsts)

    def __contains__(self, first: int) -> bool:
        return self.position(first) >= 0

    def __iter__(self) -> Iterator[Summary]:
        return map(self.at, range(len(self.firsts)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChunkIndex) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def position(self, first: int) -> int:
        """Where the chunk with this first sequence is; -1 for nowhere."""
        place = bisect_left(self.firsts, first)
        return place if place < len(self.firsts) and self.firsts[place] == first else -1

    def around(self, sequence: int) -> int:
        """Where the chunk is whose span has this sequence; -1 for none."""
        place = bisect_right(self.firsts, sequence) - 1
        return place if place >= 0 and sequence <= self._lasts[place] else -1

    def behind(self, sequence: int) -> int:
        """Where the first chunk is that ends at this sequence or later; `len` for none."""
        return bisect_left(self._lasts, sequence)

    def at(self, place: int) -> Summary:
        first = self.firsts[place]
        return Summary(
            first,
            self._lasts[place],
            self._counts[place],
            self._sizes[place],
            self._expiries[place],
            self._latests[place],
            self._offsets.get(first, ()),
            first in self._newer,
            self._bodies.get(first, b""),
        )

    @property
    def bodies(self) -> Iterator[bytes]:
        """The references of all chunks to bodies that are stored apart."""
        return iter(self._bodies.values())

    def get(self, first: int) -> Summary | None:
        """The chunk with this first sequence."""
        place = self.position(first)
        return self.at(place) if place >= 0 else None

    def count(self, place: int) -> int:
        """Messages of a chunk."""
        return self._counts[place]

    def ordinal(self, place: int, sequence: int) -> int:
        """Which message of a chunk has this sequence, from 0; -1 for none."""
        first = self.firsts[place]
        offsets = self._offsets.get(first)
        if offsets is None:
            return sequence - first if first <= sequence <= self._lasts[place] else -1
        found = bisect_left(offsets, sequence - first)
        return found if found < len(offsets) and offsets[found] == sequence - first else -1

    def ordinals(self, place: int, first: int, last: int) -> tuple[int, int]:
        """The messages of a chunk with the sequences `first` to `last`: ordinals `[begin, end)`."""
        begin = self.firsts[place]
        offsets = self._offsets.get(begin)
        count = self._counts[place]
        if offsets is None:
            return min(max(first - begin, 0), count), min(max(last - begin + 1, 0), count)
        return bisect_left(offsets, first - begin), bisect_right(offsets, last - begin)

    def sequence(self, place: int, ordinal: int) -> int:
        """The sequence of a message of a chunk."""
        first = self.firsts[place]
        offsets = self._offsets.get(first)
        return first + (ordinal if offsets is None else offsets[ordinal])

    def last(self) -> int:
        """The greatest sequence; -1 without a chunk."""
        return self._lasts[-1] if self._lasts else -1

    def put(self, chunk: Summary) -> None:
        """Take a chunk, or what takes the place of one with the same first sequence."""
        place = bisect_left(self.firsts, chunk.first)
        if place < len(self.firsts) and self.firsts[place] == chunk.first:
            self._remove(place, place + 1)
        self.firsts.insert(place, chunk.first)
        self._lasts.insert(place, chunk.last)
        self._counts.insert(place, chunk.messages)
        self._sizes.insert(place, chunk.size)
        self._expiries.insert(place, chunk.expiry)
        self._latests.insert(place, chunk.latest)
        if chunk.offsets:
            self._offsets[chunk.first] = chunk.offsets
        if chunk.newer:
            self._newer[chunk.first] = None
        if chunk.bodies:
            self._bodies[chunk.first] = chunk.bodies
        self.messages += chunk.messages
        self.size += chunk.size
        self.small += is_small(chunk)

    def remove(self, first: int, last: int) -> bytes:
        """Forget the chunks whose first sequences are from `first` to `last`; what they referred
        to."""
        return self._remove(bisect_left(self.firsts, first), bisect_right(self.firsts, last))

    def _remove(self, begin: int, end: int) -> bytes:
        bodies: list[bytes] = []
        for place in range(begin, end):
            chunk = self.at(place)
            self.messages -= chunk.messages
            self.size -= chunk.size
            self.small -= is_small(chunk)
            self._offsets.pop(chunk.first, None)
            self._newer.pop(chunk.first, None)
            if chunk.bodies:
                bodies.append(self._bodies.pop(chunk.first))
        for column in (self.firsts, self._lasts, self._counts, self._sizes):
            del column[begin:end]
        del self._expiries[begin:end]
        del self._latests[begin:end]
        return b"".join(bodies)


def is_small(chunk: Summary) -> bool:
    """Whether a chunk may be merged with its neighbours."""
    return chunk.messages < SMALL_MESSAGES and chunk.size < SMALL_BYTES
