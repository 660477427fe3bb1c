"""Pauses that grow after each failure in a row. Pure: the caller draws the randomness and waits.

    first failure --> first --> 2 x first --> ... --> longest --> longest
         ^                                                |
         +------------------ reset() ---------------------+

`exponential` is the same rule as a function of the number of failures, for whoever keeps that
number on record.
"""

from __future__ import annotations

from typing import Final

# 2.0 ** 1100 overflows, and any longest pause is reached long before.
_MAX_EXPONENT: Final = 64


class Backoff:
    """The pauses of one loop.

    Args:
        first: seconds after the first failure.
        longest: seconds; no pause is longer.
        spread: the share of a pause that is random, 0 to 1, so that processes that failed together
            do not come back together: `draw` 0 shortens the pause by this share.
        at_once: the first pause is none; `first` follows it.
    """

    __slots__ = ("_at_once", "_first", "_longest", "_spread", "failures")

    def __init__(
        self, first: float, longest: float, *, spread: float = 0.0, at_once: bool = False
    ) -> None:
        self._first = first
        self._longest = longest
        self._spread = spread
        self._at_once = int(at_once)
        self.failures = 0
        """In a row, that is, calls of `next` since the last `reset`."""

    def next(self, draw: float = 1.0) -> float:
        """Seconds to wait after one more failure; `draw` in [0, 1] is the random part."""
        self.failures += 1
        pause = exponential(self.failures - self._at_once, self._first, self._longest)
        return pause * (1.0 - self._spread * (1.0 - draw))

    def reset(self) -> None:
        """It worked: the next failure is a first one."""
        self.failures = 0


def exponential(failures: int, first: float, longest: float, multiplier: float = 2.0) -> float:
    """Seconds to wait after the `failures`-th failure in a row (1 for the first); 0 for none."""
    if failures <= 0:
        return 0.0
    return min(first * multiplier ** min(failures - 1, _MAX_EXPONENT), longest)


def either_way(seconds: float, share: float, draw: float) -> float:
    """`seconds`, longer or shorter by up to `share` of it; `draw` in [0, 1]."""
    return seconds * (1.0 + share * (2.0 * draw - 1.0))
