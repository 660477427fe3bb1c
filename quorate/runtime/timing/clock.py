"""Time as an argument: a protocol with a real and a simulated clock.

`wall` is seconds since the Unix epoch and may be compared between processes; `monotonic` is for
durations only. The pure packages receive such numbers and never read a clock themselves.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where drivers get their time from."""

    def wall(self) -> float:
        """Seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds since some start; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class SimulatedClock:
    """A clock that a test moves."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def wall(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` (not negative)."""
        assert seconds >= 0
        self._now += seconds


class TermClock:
    """Instants for one leader's term: wall time that never jumps and never goes back.

    It starts at the wall clock and then advances with the monotonic clock. Instants in the log may
    be later, where another leader's clock was ahead: what is due is due by this one's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base = clock.wall()
        self._start = clock.monotonic()

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._base + (self._clock.monotonic() - self._start)
