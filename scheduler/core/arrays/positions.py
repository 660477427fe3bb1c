"""Positions of an array as ranges, and within a block as the bits of one number.

A block is 4,096 positions. A mask is an `int` with one bit a position, the lowest bit the first:
sets of positions are joined, cut and counted by operations on numbers of 512 bytes, each well below
a microsecond, however many positions they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

BLOCK: Final = 4_096
FULL: Final = (1 << BLOCK) - 1

# Positions, both ends included.
Range = tuple[int, int]


def mask_of(first: int, last: int) -> int:
    """The bits `first` to `last` of a block, both included."""
    return ((1 << (last - first + 1)) - 1) << first


def within(ranges: Iterable[Range], lowest: int, highest: int) -> Iterator[tuple[int, int]]:
    """`ranges` as (block, mask), as far as they lie in the blocks `lowest` to `highest`.

    A block may come several times. What lies outside costs nothing, however large it is.
    """
    begin, end = lowest * BLOCK, (highest + 1) * BLOCK - 1
    for first, last in ranges:
        first, last = max(first, begin), min(last, end)
        while first <= last:
            block = first // BLOCK
            upto = min(last, (block + 1) * BLOCK - 1)
            yield block, mask_of(first - block * BLOCK, upto - block * BLOCK)
            first = upto + 1


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Ranges ascending, with those that overlap or touch as one."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def ranges_of(block: int, mask: int) -> list[Range]:
    """The positions of a block's mask as ranges, ascending."""
    found = []
    at = block * BLOCK
    while mask:
        skip = (mask & -mask).bit_length() - 1
        mask >>= skip
        at += skip
        # The lowest zero says how long the run of ones is.
        size = (~mask & (mask + 1)).bit_length() - 1
        found.append((at, at + size - 1))
        mask >>= size
        at += size
    return found


def all_ranges(masks: dict[int, int]) -> list[Range]:
    """Masks by block as ranges, ascending; neighbours in two blocks are one range."""
    found: list[Range] = []
    for block in sorted(masks):
        for first, last in ranges_of(block, masks[block]):
            if found and found[-1][1] + 1 == first:
                found[-1] = (found[-1][0], last)
            else:
                found.append((first, last))
    return found


def offsets_of(mask: int) -> Iterator[int]:
    """The places of a mask's bits, ascending."""
    for first, last in ranges_of(0, mask):
        yield from range(first, last + 1)


def lowest(mask: int) -> int:
    """The place of the lowest bit; there must be one."""
    return (mask & -mask).bit_length() - 1


def take_lowest(mask: int, count: int) -> int:
    """The lowest `count` bits of a mask; all of them when it has no more."""
    if mask.bit_count() <= count:
        return mask
    # By halves: how many of the lowest places hold so many bits.
    low, high = count, mask.bit_length()
    while low < high:
        middle = (low + high) // 2
        if (mask & ((1 << middle) - 1)).bit_count() < count:
            low = middle + 1
        else:
            high = middle
    return mask & ((1 << low) - 1)


def to_bytes(mask: int) -> bytes:
    """A mask as the records have it."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def from_bytes(data: bytes) -> int:
    """Undoes `to_bytes`; what lies beyond a block is left out."""
    return int.from_bytes(data[: BLOCK // 8], "little")
