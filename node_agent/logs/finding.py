"""Finds places in a log: the last or first lines, how much lies before, a text.

All this reads up to the whole log, so it runs in one of two threads (`in_thread`), on descriptors
of its own: the reader's may be closed meanwhile. Memory: one block of `_BLOCK` bytes a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from node_agent.spawner.outputs.pump import RECORD

# Looking for lines goes no further than this from where it begins, in bytes.
LINE_BYTES: Final = 16 << 20
# More than this before the beginning is not counted.
COUNTED_BYTES: Final = 1 << 30
# One search looks at so much, and shows so much of a line; a line's beginning is looked for so far.
SEARCHED_BYTES: Final = 64 << 20
SHOWN_BYTES: Final = 1_000
LONGEST_LINE: Final = 64 << 10
_BLOCK: Final = 1 << 20
_RECORDS: Final = 4_096

_threads = ThreadPoolExecutor(2, "logs")

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(
    find: Callable[Concatenate[int, P], R], descriptor: int, *args: P.args, **more: P.kwargs
) -> R:
    """`find` on a copy of a descriptor, in a thread. Raises OSError."""
    copy = os.dup(descriptor)

    def run() -> R:
        try:
            return find(copy, *args, **more)
        finally:
            os.close(copy)

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


class Part(NamedTuple):
    """The part of a stream that is to be read, in bytes ever written.

    Attributes:
        size: of the stream, when it was looked at.
        lines_before: that can be read before `begin`; -1: not counted.
        dropped: bytes that the cap took out of the middle.
    """

    begin: int
    end: int
    size: int
    lines_before: int = 0
    dropped: int = 0


def find_part(
    descriptor: int, begin: int, end: int, *, tail_lines: int, head_lines: int, measured: bool
) -> Part:
    """What is wanted of a stream between two places.

    Args:
        end: not behind the end of the file, unless it is to be read as it grows.
        measured: whether `lines_before` and `dropped` are wanted.
    """
    size = os.fstat(descriptor).st_size
    if tail_lines:
        begin = _last_lines(descriptor, begin, min(end, size), tail_lines)
    elif head_lines:
        end = min(end, _first_lines(descriptor, begin, min(end, size), head_lines))
    lines = dropped = 0
    if measured:
        dropped = size - sum(stop - start for start, stop in _written(descriptor, 0, size))
        lines = _count_lines(descriptor, min(begin, size))
    return Part(begin, end, size, lines, dropped)


def _last_lines(descriptor: int, begin: int, end: int, lines: int) -> int:
    """Where the last lines before `end` begin."""
    floor = max(begin, end - LINE_BYTES)
    position, first = end, True
    while position > floor:
        start = max(floor, position - _BLOCK)
        data = os.pread(descriptor, position - start, start)
        stop = len(data)
        if first and data.endswith(b"\n"):
            stop -= 1  # the end of the last line begins no line
        first = False
        while lines and (stop := data.rfind(b"\n", 0, stop)) >= 0:
            lines -= 1
        if not lines:
            return start + stop + 1
        position = start
    return min(floor, end) if end > begin else begin


def _first_lines(descriptor: int, begin: int, end: int, lines: int) -> int:
    """Where the first lines from `begin` on end."""
    ceiling = min(end, begin + LINE_BYTES)
    position = begin
    while position < ceiling:
        data = os.pread(descriptor, min(_BLOCK, ceiling - position), position)
        if not data:
            break
        stop = -1
        while lines and (stop := data.find(b"\n", stop + 1)) >= 0:
            lines -= 1
        if not lines:
            return position + stop + 1
        position += len(data)
    return max(begin, min(position, ceiling))


def _count_lines(descriptor: int, end: int) -> int:
    """Lines that begin before `end`, those of holes left out; -1: too many."""
    lines, left = 0, COUNTED_BYTES
    for start, stop in _written(descriptor, 0, end):
        left -= stop - start
        if left < 0:
            return -1
        while start < stop and (data := os.pread(descriptor, min(_BLOCK, stop - start), start)):
            lines += data.count(b"\n")
            start += len(data)
    return lines


def _written(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes."""
    with suppress(OSError):  # ENXIO: nothing behind `start`
        while start < end:
            start = os.lseek(descriptor, start, os.SEEK_DATA)
            stop = min(end, os.lseek(descriptor, start, os.SEEK_HOLE))
            if stop <= start:
                return
            yield start, stop
            start = stop


def first_record(index: int, begins: Sequence[int], most: int, start: int = 0) -> int:
    """The number of the first record of an index, from `start` on, that is not wholly before these
    places, one for each stream; `most` if there is none below it."""
    number = start
    while number < most:
        data = os.pread(index, min(_RECORDS, most - number) * RECORD.size, number * RECORD.size)
        whole = len(data) // RECORD.size * RECORD.size
        if not whole:
            break
        for _, offset, length, stream in RECORD.iter_unpack(data[:whole]):
            if offset + length > begins[stream & 1]:
                return number
            number += 1
    return number


def times_of(index: int, stream: int, places: Sequence[int]) -> list[int]:
    """When the bytes at these places of a stream, in ascending order, were written: ns since the
    epoch; 0 where the index does not say."""
    found = [0] * len(places)
    position, which = 0, 0
    while which < len(places) and (
        data := os.pread(index, _RECORDS * RECORD.size, position * RECORD.size)
    ):
        whole = len(data) // RECORD.size
        if not whole:
            break
        for time, offset, length, number in RECORD.iter_unpack(data[: whole * RECORD.size]):
            if number & 1 != stream:
                continue
            while which < len(places) and places[which] < offset + length:
                if places[which] >= offset:
                    found[which] = time
                which += 1
        position += whole
    return found


class Match(NamedTuple):
    """A line that has the text: where it begins, where the text is, what is shown of it."""

    offset: int
    at: int
    line: bytes


class Searched(NamedTuple):
    """What a search found; `next`: where to go on; `looked`: how many bytes it looked at."""

    matches: list[Match]
    next: int
    complete: bool
    looked: int


def search(descriptor: int, text: bytes, begin: int, most: int, budget: int) -> Searched:
    """Lines with a text, from `begin` on, each once.

    Args:
        most: of them.
        budget: bytes to look at.
    """
    size = os.fstat(descriptor).st_size
    matches: list[Match] = []
    position, left = begin, budget
    for start, stop in _written(descriptor, begin, size):
        position = max(position, start)
        while position < stop:
            if left <= 0 or len(matches) >= most:
                return Searched(matches, position, False, budget - left)
            base = position
            data = os.pread(descriptor, min(_BLOCK, stop - base), base)
            if not data:
                break  # retention
            left -= len(data)
            end = base + len(data)
            while position < end and len(matches) < most:
                at = data.find(text, position - base)
                if at < 0:
                    # It may lie across two blocks.
                    position = end if end >= stop else max(position, end - len(text) + 1)
                    break
                match, position = _line(descriptor, base + at, len(text), start, stop)
                matches.append(match)
    return Searched(matches, max(begin, size), True, budget - left)


def _line(descriptor: int, at: int, length: int, floor: int, ceiling: int) -> tuple[Match, int]:
    """The line that a place is in, and where it ends."""
    floor = max(floor, at - LONGEST_LINE)
    before = os.pread(descriptor, at - floor, floor)
    begin = floor + before.rfind(b"\n") + 1
    end = _end_of(descriptor, at, ceiling)
    start = max(begin, min(at - (SHOWN_BYTES - length) // 2, end - SHOWN_BYTES))
    return Match(begin, at, os.pread(descriptor, min(SHOWN_BYTES, end - start), start)), end


def _end_of(descriptor: int, at: int, ceiling: int) -> int:
    """Where the line ends that a place is in."""
    ceiling = min(ceiling, at + LONGEST_LINE)
    stop = os.pread(descriptor, ceiling - at, at).find(b"\n")
    return ceiling if stop < 0 else at + stop
