"""Which audit entries there are: their ids and nothing else.

An id is the entry's instant in microseconds on the leader's clock, moved up where two would be
alike: so ids grow in the order of the log, and key order in etcd is time order. Eight bytes an
entry; the entries themselves are read back from etcd when asked for.

Owned by `scheduler.core.model.state.State`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

MICROS = 1_000_000


# Places of entries that are gone, before they are worth clearing away.
_CLEAR_ABOVE = 1_024


class AuditIndex:
    """Ids of the entries that are durable, ascending, and the greatest one ever given.

    Retention takes the oldest, of which a follower learns one by one: those places are skipped,
    and cleared away when they are more than the others.
    """

    __slots__ = ("_gone", "_ids", "last")

    def __init__(self) -> None:
        # The first `_gone` of them are of entries that are gone.
        self._ids = array("Q")
        self._gone = 0
        self.last = 0

    def __len__(self) -> int:
        return len(self._ids) - self._gone

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
        place = self._place(entry)
        if place == len(ids) or ids[place] != entry:
            ids.insert(place, entry)

    def discard(self, entry: int) -> None:
        """An entry is gone."""
        place = self._place(entry)
        if place == len(self._ids) or self._ids[place] != entry:
            return
        if place == self._gone:
            self._skip(1)
        else:
            del self._ids[place]

    def expired(self, keep: int, oldest: float, limit: int) -> int:
        """How many of the oldest are beyond the newest `keep`, or from before the instant `oldest`;
        at most `limit`."""
        too_old = self._place(max(0, int(oldest * MICROS))) - self._gone
        return min(limit, max(too_old, len(self) - keep))

    def drop(self, count: int) -> tuple[int, int]:
        """Forget the `count` oldest, at least one; the first and the last of them."""
        first, last = self._ids[self._gone], self._ids[self._gone + count - 1]
        self._skip(count)
        return first, last

    def below(self, end: int, begin: int, limit: int) -> list[int]:
        """The greatest ids in `[begin, end)`, ascending, at most `limit`."""
        stop = self._place(end)
        return list(self._ids[max(self._place(begin), stop - limit, self._gone) : stop])

    def _place(self, entry: int) -> int:
        """Where an entry is, or would be."""
        return bisect_left(self._ids, entry, self._gone)

    def _skip(self, count: int) -> None:
        """The `count` oldest are gone."""
        self._gone += count
        if self._gone > _CLEAR_ABOVE and self._gone * 2 > len(self._ids):
            del self._ids[: self._gone]
            self._gone = 0
