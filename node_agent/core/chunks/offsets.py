"""The positions of a chunk, numbered from 0 in their order. Pure."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from quorate.runtime.ranges import EMPTY, Ranges


class Offsets:
    """Between offsets and positions; each look takes time in the logarithm of the runs."""

    def __init__(self, positions: Ranges) -> None:
        self._runs = positions.pairs
        # The offset of each run's first position.
        sizes = (last - first + 1 for first, last in positions.pairs)
        self._starts = list(accumulate(sizes, initial=0))[:-1]

    def position(self, offset: int) -> int:
        """The position at an offset."""
        run = bisect_right(self._starts, offset) - 1
        return self._runs[run][0] + offset - self._starts[run]

    def offset(self, position: int) -> int:
        """The offset of a position; -1 where it is none of them."""
        run = bisect_right(self._runs, (position, position + 1)) - 1
        if run + 1 < len(self._runs) and self._runs[run + 1][0] == position:
            run += 1
        if run < 0 or not self._runs[run][0] <= position <= self._runs[run][1]:
            return -1
        return self._starts[run] + position - self._runs[run][0]

    def neighbours(self, offset: int) -> int:
        """Offsets from this one on, itself included, whose positions follow each other."""
        run = bisect_right(self._starts, offset) - 1
        first, last = self._runs[run]
        return last - first + 1 - (offset - self._starts[run])

    def of_runs(self, offset: int, runs: int) -> int:
        """Offsets from this one on that are in so many runs."""
        end = bisect_right(self._starts, offset) - 1 + runs
        if end < len(self._starts):
            return self._starts[end] - offset
        first, last = self._runs[-1]
        return self._starts[-1] + last - first + 1 - offset

    def part(self, begin: int, end: int) -> Ranges:
        """The positions at `begin` to `end` - 1."""
        if begin >= end:
            return EMPTY
        runs = self._runs
        first = bisect_right(self._starts, begin) - 1
        last = bisect_right(self._starts, end - 1) - 1
        low = runs[first][0] + begin - self._starts[first]
        high = runs[last][0] + end - 1 - self._starts[last]
        if first == last:
            return Ranges(((low, high),))
        middle = runs[first + 1 : last]
        return Ranges(((low, runs[first][1]), *middle, (runs[last][0], high)))
