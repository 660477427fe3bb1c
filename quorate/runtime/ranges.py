"""Sets of positions as sorted ranges: what a chunk has to do, what it has done, what is left. Pure.

Positions of an array come in long runs, so a set of a million of them is a few pairs of numbers.
Every operation takes time in the number of ranges, not in the number of positions. As in
`quorate.v1.IndexRange`, both ends of a range are part of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

Pair = tuple[int, int]


class Ranges:
    """A set of integers; nobody changes it.

    Attributes:
        pairs: first and last of each run, ascending, none touching the next.
    """

    __slots__ = ("_count", "pairs")

    def __init__(self, pairs: tuple[Pair, ...] = ()) -> None:
        """Take pairs that are in order and do not touch; `of` reads others."""
        self.pairs: Final = pairs
        self._count = -1

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> Ranges:
        """The set of pairs in ascending order, which may touch. ValueError when they overlap."""
        joined: list[Pair] = []
        first, last = 0, -1
        empty = True
        for begin, end in pairs:
            if begin > end:
                raise ValueError(f"range {begin}-{end} ends before it begins")
            if empty:
                first, last, empty = begin, end, False
            elif begin == last + 1:
                last = end
            elif begin > last:
                joined.append((first, last))
                first, last = begin, end
            else:
                raise ValueError(f"range {begin}-{end} follows {first}-{last}: not ascending")
        if not empty:
            joined.append((first, last))
        return cls(tuple(joined))

    @classmethod
    def of_positions(cls, positions: Iterable[int]) -> Ranges:
        """The set of single numbers, ascending and each one once. ValueError otherwise."""
        return cls.of((position, position) for position in positions)

    @classmethod
    def span(cls, first: int, count: int) -> Ranges:
        """`count` numbers from `first` on."""
        return cls(((first, first + count - 1),)) if count > 0 else EMPTY

    # -- what is in it -------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._count < 0:
            self._count = sum(last - first + 1 for first, last in self.pairs)
        return self._count

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __iter__(self) -> Iterator[int]:
        """Each number, ascending: a step for each, unlike all else here."""
        return chain.from_iterable(range(first, last + 1) for first, last in self.pairs)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        at = bisect_right(self.pairs, (number, number))
        return (at < len(self.pairs) and self.pairs[at][0] == number) or (
            at > 0 and self.pairs[at - 1][1] >= number
        )

    def __eq__(self, other: object) -> bool:
        return self.pairs == other.pairs if isinstance(other, Ranges) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        return f"Ranges({text_of(self)})"

    @property
    def first(self) -> int:
        """The least number; IndexError when there is none."""
        return self.pairs[0][0]

    @property
    def last(self) -> int:
        """The greatest number; IndexError when there is none."""
        return self.pairs[-1][1]

    # -- sets ----------------------------------------------------------------------------------

    def __or__(self, other: Ranges) -> Ranges:
        """What is in one of the two."""
        if not other.pairs:
            return self
        if not self.pairs:
            return other
        joined: list[Pair] = []
        first, last = 0, -1
        # Two runs that are in order: sorting merges them in linear time.
        for begin, end in sorted(self.pairs + other.pairs):
            if first <= last and begin <= last + 1:
                last = max(last, end)
                continue
            if first <= last:
                joined.append((first, last))
            first, last = begin, end
        joined.append((first, last))
        return Ranges(tuple(joined))

    def __sub__(self, other: Ranges) -> Ranges:
        """What is in this one alone."""
        if not other.pairs or not self.pairs:
            return self
        left: list[Pair] = []
        cuts, at, count = other.pairs, 0, len(other.pairs)
        for begin, last in self.pairs:
            first = begin
            while at < count and cuts[at][1] < first:
                at += 1
            index = at
            while index < count and cuts[index][0] <= last:
                if cuts[index][0] > first:
                    left.append((first, cuts[index][0] - 1))
                first = cuts[index][1] + 1
                index += 1
            if first <= last:
                left.append((first, last))
            # The last cut may reach into the next range.
            at = max(at, index - 1)
        return Ranges(tuple(left))

    def __and__(self, other: Ranges) -> Ranges:
        """What is in both."""
        both: list[Pair] = []
        ours, theirs = self.pairs, other.pairs
        i = j = 0
        while i < len(ours) and j < len(theirs):
            first, last = max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])
            if first <= last:
                both.append((first, last))
            if ours[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return Ranges(tuple(both))

    def __ge__(self, other: Ranges) -> bool:
        """Whether all of the other is in this one."""
        return len(self & other) == len(other)

    def isdisjoint(self, other: Ranges) -> bool:
        """Whether nothing is in both."""
        return not (self & other)

    # -- parts ---------------------------------------------------------------------------------

    def split(self, count: int) -> tuple[Ranges, Ranges]:
        """The least `count` numbers, and the rest."""
        if count <= 0:
            return EMPTY, self
        for at, (first, last) in enumerate(self.pairs):
            size = last - first + 1
            if size > count:
                cut = first + count
                head = (*self.pairs[:at], (first, cut - 1))
                return Ranges(head), Ranges(((cut, last), *self.pairs[at + 1 :]))
            count -= size
            if not count:
                return Ranges(self.pairs[: at + 1]), Ranges(self.pairs[at + 1 :])
        return self, EMPTY

    def blocks(self, size: int) -> Iterator[tuple[int, Ranges]]:
        """Number and part of each block of `size` numbers that something is in."""
        block = -1
        part: list[Pair] = []
        for begin, last in self.pairs:
            first = begin
            while first <= last:
                here = first // size
                if here != block:
                    if part:
                        yield block, Ranges(tuple(part))
                    block, part = here, []
                end = min(last, (here + 1) * size - 1)
                part.append((first, end))
                first = end + 1
        if part:
            yield block, Ranges(tuple(part))


EMPTY: Final = Ranges()


def text_of(ranges: Ranges) -> str:
    """As people write them: `1-3,7`; empty for none."""
    return ",".join(
        str(first) if first == last else f"{first}-{last}" for first, last in ranges.pairs
    )
