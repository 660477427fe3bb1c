"""One sub-log of a queue, and what of it is ready.

    ready -- take --> out -- settle --> gone
      ^                |
      '--- put_back ---'

Ready are the messages that are alive and not out: those from `position` on, and the few before it
that came back. So a lane takes memory for what is out or came back, and nothing for what waits.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

from scheduler.core.broker.storage.format import MOST_SEQUENCE, Summary
from scheduler.core.broker.storage.sub_log import SubLog

_END: Final = MOST_SEQUENCE


class Lane:
    """Owned by a message queue.

    Attributes:
        log: what is on record.
        position: no message from here on was ever given out by this leader, but those in `out`.
        returned: sequences before `position` that are ready, ascending; some may be gone.
        out: sequences that were given out. All are alive.
        aside: how many before `position` are ready, and not in `returned`: see `set_aside`.
        delivered: ready messages that were delivered before.
        in_flight: messages that are published and not committed.
        doubtful: messages before it may have been delivered by a leader before this one.
    """

    __slots__ = (
        "_instants",
        "_watched",
        "aside",
        "delivered",
        "doubtful",
        "in_flight",
        "log",
        "out",
        "position",
        "returned",
    )

    def __init__(self) -> None:
        self.log = SubLog()
        self.position = 0
        self.returned: list[int] = []
        self.out: dict[int, None] = {}
        self.in_flight = 0
        self.doubtful = 0
        self.delivered: dict[int, None] = {}
        self.aside = 0
        # (earliest instant at which one of its messages expires or is due, first sequence).
        self._instants: list[tuple[float, int]] = []
        # The instant that counts of a chunk: its entries with others in the heap are stale.
        self._watched: dict[int, float] = {}

    @property
    def ready(self) -> int:
        """Messages that are committed, alive and not out."""
        return self.log.alive - len(self.out)

    def lead(self) -> None:
        """Begin anew with what is on record."""
        self.position = self.log.cursor
        self.returned, self.out, self.delivered = [], {}, {}
        self.in_flight = self.doubtful = self.aside = 0
        self._watched = {c.first: c.expiry for c in self.log.chunks if c.expiry != inf}
        self._instants = [(instant, first) for first, instant in self._watched.items()]
        heapify(self._instants)

    def committed(self, chunk: Summary) -> None:
        """A chunk of reserved sequences is committed."""
        self.log.committed(chunk)
        self.in_flight -= chunk.messages
        self.watch(chunk.first, chunk.expiry)

    def ready_sequences(self) -> Iterator[tuple[int, int]]:
        """(first sequence of the chunk, sequence) of what is ready, ascending. The lane must not
        change meanwhile."""
        log = self.log
        # What is set aside is found by looking at all.
        for sequence in () if self.aside else self.returned:
            first = log.find(sequence)
            if first >= 0:
                yield first, sequence
        for first, sequence in self.alive_from(log.cursor if self.aside else self.position):
            if sequence not in self.out:
                yield first, sequence

    def alive_from(self, start: int) -> Iterator[tuple[int, int]]:
        """(first sequence of the chunk, sequence) of what is alive, ascending."""
        log, chunks = self.log, self.log.chunks
        place = chunks.behind(start)
        while place < len(chunks):
            first = chunks.firsts[place]
            done = log.done(first)
            for ordinal in range(chunks.ordinals(place, start, _END)[0], chunks.count(place)):
                if not done >> ordinal & 1:
                    yield first, chunks.sequence(place, ordinal)
            place += 1

    def take(self, sequence: int) -> None:
        """A message that is ready goes out. In ascending order, or out of the returned ones."""
        if sequence >= self.position:
            self.position = sequence + 1
        else:
            self._unreturn(sequence)
        self.out[sequence] = None
        self.delivered.pop(sequence, None)

    def skip(self, sequence: int) -> None:
        """A message stays ready, and those behind it are looked at."""
        if sequence >= self.position:
            self.position = sequence + 1
            insort(self.returned, sequence)

    def set_aside(self, sequence: int) -> None:
        """A ready message is passed over until it is brought back."""
        if sequence >= self.position:
            self.position = sequence + 1
        else:
            self._unreturn(sequence)
        self.aside += 1

    def bring_back(self, sequence: int) -> None:
        """A message that was set aside is looked at again, if it is there still."""
        self.aside = max(self.aside - 1, 0)
        place = bisect_left(self.returned, sequence)
        if (
            sequence < self.position
            and sequence not in self.out
            and self.returned[place : place + 1] != [sequence]
            and self.log.find(sequence) >= 0
        ):
            self.returned.insert(place, sequence)

    def adopt(self, sequence: int) -> bool:
        """A message that a leader before this one gave out is out; False: it is not ready."""
        if self.log.find(sequence) < 0 or sequence in self.out:
            return False
        if sequence < self.position:
            self._unreturn(sequence)
        self.out[sequence] = None
        return True

    def put_back(self, sequence: int, *, delivered: bool = True) -> bool:
        """A message that is out is ready again, in its place; False: it is not out."""
        if sequence not in self.out:
            return False
        del self.out[sequence]
        if sequence < self.position:
            insort(self.returned, sequence)
        if delivered:
            self.delivered[sequence] = None
        return True

    def look_again(self, sequence: int) -> None:
        """A message that is ready again may have expired meanwhile."""
        first = self.log.find(sequence)
        chunk = self.log.chunks.get(first) if first >= 0 else None
        if chunk is not None:
            self.watch(first, chunk.expiry)

    def was_delivered(self, sequence: int) -> bool:
        """Whether a ready message may have been delivered before."""
        return (
            sequence < self.doubtful
            or sequence in self.delivered
            or self.log.deliveries(sequence) > 0
        )

    def all_gone(self, sequences: Iterable[int]) -> None:
        """Messages are acknowledged."""
        out, delivered = self.out, self.delivered
        for sequence in sequences:
            if sequence in out:
                del out[sequence]
            if delivered:
                delivered.pop(sequence, None)

    def sweep(self) -> None:
        """Forget returned messages that are gone: after many went at once."""
        log = self.log
        self.returned = [sequence for sequence in self.returned if log.find(sequence) >= 0]
        self.delivered = {n: None for n in self.delivered if log.find(n) >= 0}

    # -- instants --------------------------------------------------------------------------------

    @property
    def next_instant(self) -> float:
        """When a message may expire or be due; infinity for never."""
        instants = self._instants
        while instants:
            instant, first = instants[0]
            if self._watched.get(first) == instant:
                if first in self.log.chunks:
                    break
                del self._watched[first]
            heappop(instants)
        return instants[0][0] if instants else inf

    def instants_until(self, now: float, most: int) -> list[tuple[float, int]]:
        """The chunks whose instants have come, the earliest first, at most so many: (instant, first
        sequence). Each has to be put again with `watch`."""
        found: list[tuple[float, int]] = []
        while len(found) < most and self.next_instant <= now:
            instant, first = heappop(self._instants)
            del self._watched[first]
            found.append((instant, first))
        return found

    def watch(self, first: int, instant: float) -> None:
        """Look at a chunk at an instant, if it is not to be looked at before."""
        if instant < self._watched.get(first, inf):
            self._watched[first] = instant
            heappush(self._instants, (instant, first))

    def _unreturn(self, sequence: int) -> None:
        place = bisect_left(self.returned, sequence)
        if place < len(self.returned) and self.returned[place] == sequence:
            del self.returned[place]
