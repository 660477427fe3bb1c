"""Messages a second of message queues: from what this gateway read of their counts before.

A rate is that since the reading before, at least `WINDOW` seconds ago; 0 at the first reading, and
when another leader counts from 0. Readings of all callers count, whoever asks.

Memory: two readings of each of the `MOST` queues that were asked for last, some 300 bytes each.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

MOST: Final = 20_000
WINDOW: Final = 5.0
# Seconds after which a reading says nothing of now.
_STALE: Final = 600.0


class Totals(NamedTuple):
    """Counts of one queue since its leader began, or messages a second."""

    publish: float = 0
    deliver: float = 0
    ack: float = 0
    redeliver: float = 0


NONE: Final = Totals()


class _Reading(NamedTuple):
    at: float
    totals: Totals


class Rates:
    """Of all queues that are read through one gateway."""

    def __init__(self) -> None:
        # The reading before, and the last one; those that were read last come last.
        self._known: OrderedDict[str, tuple[_Reading, _Reading]] = OrderedDict()

    def of(self, uid: str, totals: Totals, now: float) -> Totals:
        """The rates of a queue whose counts have just been read."""
        reading = _Reading(now, totals)
        before, last = self._known.pop(uid, (reading, reading))
        if now - last.at > _STALE or any(map(float.__lt__, _floats(totals), _floats(last.totals))):
            before = last = reading
        elif now - last.at >= WINDOW:
            before, last = last, reading
        self._known[uid] = before, last
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        seconds = now - before.at
        if seconds < 1:
            return NONE
        new, old = _floats(totals), _floats(before.totals)
        return Totals(*(round((a - b) / seconds, 3) for a, b in zip(new, old, strict=True)))


def _floats(totals: Totals) -> list[float]:
    return list(map(float, totals))
