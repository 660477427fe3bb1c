"""Rate limits by the generic cell rate algorithm (GCRA, ITU-T I.371). Pure.

One number is kept for each limit: the theoretical arrival time `arrival`, when the next start would
come if all starts came evenly. A start is allowed while `arrival` is at most `burst - 1` intervals
ahead of now, and moves it one interval on. So at most `burst` start at once, and then one for each
interval:

    now          allowed until here           arrival
     |------------ (burst - 1) x interval --------|      one more would be too early

A start that turns out to be none is given back as if it had never been (`Latest`): `arrival` is
what the others come to. It is not simply an interval less: a start that came since may have found
all starts there again, and has not used what was given back.

No start leaves `arrival` more than `burst` intervals ahead (`latest`). One that is further ahead
was written under another limit, or by a leader whose clock was ahead: it counts as the latest.
"""

from __future__ import annotations

from typing import Final

from scheduler.core.values import Rate

# Starts that can be given back.
MOST: Final = 64

# Instants are floats of 1.7e9 seconds: they are a quarter of a microsecond apart.
_ROUNDING = 1e-6
# Seconds of starts that one wake-up waits for: a high rate does not wake the loop for each start.
_TOGETHER = 0.01


def allowed(rate: Rate, arrival: float, now: float) -> int:
    """How many may start now; 0: none."""
    ahead = _ahead(rate, arrival, now)
    return max(0, int((rate.burst * rate.interval - ahead + _ROUNDING) / rate.interval))


def next_start(rate: Rate, arrival: float, now: float) -> float:
    """The instant at which something may start, when nothing may now: some at once, if many may."""
    interval = rate.interval
    together = max(1, min(rate.burst, int(_TOGETHER / interval)))
    return now + _ahead(rate, arrival, now) - (rate.burst - together) * interval


def taken(rate: Rate, arrival: float, now: float) -> float:
    """`arrival` after one start at `now`."""
    return now + _ahead(rate, arrival, now) + rate.interval


def latest(rate: Rate, now: float) -> float:
    """How far ahead starts until now can have left `arrival`."""
    return now + rate.burst * rate.interval


class Latest:
    """The latest starts of one limit, from which one of them can be taken out.

    Memory: `MOST` instants, of a limit that was used lately. What is older, or was taken under
    another leader, is not given back.
    """

    __slots__ = ("_before", "_starts")

    def __init__(self) -> None:
        # `arrival` before the first of them.
        self._before = 0.0
        self._starts: list[float] = []

    def took(self, rate: Rate, arrival: float, now: float) -> None:
        """A start was taken; `arrival` is what it was before."""
        starts = self._starts
        if arrival <= now:
            # All starts had come: none of those before counts any more.
            starts.clear()
        if not starts:
            self._before = arrival
        elif len(starts) == MOST:
            self._before = max(starts.pop(0), self._before) + rate.interval
        starts.append(now)

    def without(self, rate: Rate, arrival: float, start: float) -> float:
        """`arrival` after the start at `start` turned out to be none."""
        if start not in self._starts:
            return arrival
        self._starts.remove(start)
        interval, others = rate.interval, self._before
        for other in self._starts:
            others = max(other, others) + interval
        # Where the limit was another one meanwhile: not more than one start.
        return min(arrival, max(others, arrival - interval))


def _ahead(rate: Rate, arrival: float, now: float) -> float:
    """Seconds by which `arrival` is ahead; never more than starts can have left it."""
    return min(max(0.0, arrival - now), rate.burst * rate.interval)
