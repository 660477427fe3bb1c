"""Which audit entries there are: their ids and nothing else.

An id is the entry's instant in microseconds on the leader's clock, moved up where two would be
alike: so ids grow in the order of the log, and key order in etcd is time order. Eight bytes an
entry; the entries themselves are read back from etcd when asked for.

Owned by `scheduler.core.state.State`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

MICROS = 1_000_000


class AuditIndex:
    """Ids of the entries that are durable, ascending, and the greatest one ever given."""

    __slots__ = ("_ids", "last")

    def __init__(self) -> None:
        self._ids = array("Q")
        self.last = 0

    def __len__(self) -> int:
        return len(self._ids)

    def new_id(self, now: float) -> int:
        """An id above all others, for an entry that is about to be written."""
        self.last = max(self.last + 1, int(now * MICROS))
        return self.last

    def add(self, entry: int) -> None:
        """An entry is durable. One that is known already changes nothing."""
        ids = self._ids
        self.last = max(self.last, entry)
        if not ids or entry > ids[-1]:
            ids.append(entry)
            return
        # Not written by the journal, and overtaken by one that was.
        place = bisect_left(ids, entry)
        if ids[place] != entry:
            ids.insert(place, entry)

    def discard(self, entry: int) -> None:
        """An entry is gone."""
        place = bisect_left(self._ids, entry)
        if place < len(self._ids) and self._ids[place] == entry:
            del self._ids[place]

    def expired(self, keep: int, oldest: float, limit: int) -> int:
        """How many of the oldest are beyond the newest `keep`, or from before the instant `oldest`;
        at most `limit`."""
        too_old = bisect_left(self._ids, max(0, int(oldest * MICROS)))
        return min(limit, max(too_old, len(self._ids) - keep))

    def drop(self, count: int) -> tuple[int, int]:
        """Forget the `count` oldest, at least one; the first and the last of them."""
        first, last = self._ids[0], self._ids[count - 1]
        del self._ids[:count]
        return first, last

    def below(self, end: int, begin: int, limit: int) -> list[int]:
        """The greatest ids in `[begin, end)`, ascending, at most `limit`."""
        stop = bisect_left(self._ids, end)
        return list(self._ids[max(bisect_left(self._ids, begin), stop - limit, 0) : stop])
