"""Reads the logs of one attempt, from an offset or the last lines, to the end or as it grows.

Pieces come in the order in which they were written, as the attempt's index has it (see
`executors.pump`), each with its time. What the index does not have (an agent before this one wrote
it, or the piece is just being written) follows behind, one stream after the other.

Reading happens in plain calls between two awaits, so "the attempt has ended" and "this is all it
wrote" are one observation. Following polls: the writer is another process. Where reading begins is
found in a thread, as that may mean to read all of it (`finding`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import NamedTuple

from node_agent.logs.attempt_log import STREAMS, WARY, LogStore, Place
from node_agent.logs.finding import (
    SEARCHED_BYTES,
    Match,
    Part,
    Searched,
    find_part,
    first_record,
    in_thread,
    search,
    times_of,
)
from node_agent.spawner.outputs.pump import INDEX, RECORD

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.025
# Records read at a time.
_BLOCK = 256
# Records that are passed over on the loop; more are in a thread.
_PASSED = 1_024


class Chunk(NamedTuple):
    """A piece of a stream.

    Attributes:
        offset: counts bytes ever written.
        time: ns since the epoch when it was written; 0 where that is not known.
    """

    stream: str
    offset: int
    data: bytes
    time: int = 0


class Window(NamedTuple):
    """What is to be read of both streams, standard output's part first.

    Attributes:
        begins, ends: bytes of each stream; an end of 0: all that comes.
        tail_lines, head_lines: only so many lines of each stream; 0 for all.
        measured: whether what lies before, and what the cap took, is counted.
    """

    begins: tuple[int, int] = (0, 0)
    ends: tuple[int, int] = (0, 0)
    tail_lines: int = 0
    head_lines: int = 0
    measured: bool = False


_ALL = Window()


class _Record(NamedTuple):
    time: int
    offset: int
    length: int
    number: int


class _Stream:
    """One stream's file, and how far it was read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.offset = 0
        # Nothing from here on is read.
        self.end = sys.maxsize
        self._file = -1

    def open(self, directory: str) -> bool:
        """Whether there is a file."""
        if self._file < 0:
            self._file = _open(directory, self.name)
        return self._file >= 0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def stay_with_what_is_there(self) -> None:
        """Never read what is written from now on."""
        self.end = os.fstat(self._file).st_size if self._file >= 0 else 0

    async def search(self, text: bytes, begin: int, most: int, budget: int) -> Searched:
        """See `finding.search`."""
        if self._file < 0:
            return Searched([], begin, True, 0)
        if most <= 0 or budget <= 0:
            return Searched([], begin, False, 0)
        return await in_thread(search, self._file, text, begin, most, budget)

    async def go_to(self, begin: int, end: int, window: Window) -> Part:
        """Go to where reading begins, and have it end where it ends."""
        part = Part(begin, min(end, self.end), 0)
        if self._file >= 0:
            part = await in_thread(
                find_part,
                self._file,
                *(part.begin, part.end),
                tail_lines=window.tail_lines,
                head_lines=window.head_lines,
                measured=window.measured,
            )
        self.offset, self.end = part.begin, part.end
        return part

    def read(self, end: int, time: int) -> Chunk | None:
        """What is next, up to `end`; a hole left by the cap is skipped."""
        if self._file < 0:
            return None
        try:
            start = os.lseek(self._file, self.offset, os.SEEK_DATA)
            hole = os.lseek(self._file, start, os.SEEK_HOLE)
        except OSError:
            return None  # ENXIO: nothing behind the offset
        size = min(CHUNK_BYTES, min(hole, end, self.end) - start)
        data = os.pread(self._file, size, start) if size > 0 else b""
        if not data:
            return None
        self.offset = start + len(data)
        return Chunk(self.name, start, data, time)


class _Reader:
    """Both streams of an attempt, and how far its index was read."""

    def __init__(self, logs: LogStore, task_id: str, number: int) -> None:
        self._logs = logs
        self._attempt = (task_id, number)
        self.streams = [_Stream(name) for name in STREAMS]
        self._place: Place | None = None
        self._index = -1
        # The first record that is not wholly read; those from there on that were fetched.
        self._position = 0
        self._records: list[_Record] = []
        # Records from here on are not read.
        self._end = sys.maxsize
        # Records that the last step passed over.
        self._passed = 0

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        if self._index >= 0:
            os.close(self._index)
            self._index = -1
        self._records.clear()

    def open(self) -> None:
        """Open what is there by now."""
        place = self._logs.place(*self._attempt)
        if self._place is not None and not self._place.sure and place != self._place:
            # It was moved, with what is open here, or it is another attempt's by now.
            self.close()
        self._place = place
        if self._index < 0:
            self._index = _open(place.directory, INDEX)
        for stream in self.streams:
            stream.open(place.directory)

    async def begin(self, window: Window, *, follow: bool) -> list[Part]:
        """Open it, and go to where reading begins; what is to be read of each stream.

        Without `follow` reading ends with what is there now, however fast the attempt writes.
        """
        while True:
            self.open()
            assert self._place is not None
            place, parts = self._place, []
            for stream in self.streams:
                stream.open(place.directory)
                stream.end = sys.maxsize
                if not follow:
                    stream.stay_with_what_is_there()
            if not follow:
                size = os.fstat(self._index).st_size if self._index >= 0 else 0
                self._end = -(-size // RECORD.size)
            for stream, begin, until in zip(self.streams, window.begins, window.ends, strict=True):
                parts.append(await stream.go_to(begin, until or sys.maxsize, window))
            if self._index >= 0 and any(part.begin for part in parts):
                begins = [part.begin for part in parts]
                self._position = await in_thread(first_record, self._index, begins, self._end)
            if self._logs.confirm(*self._attempt, place):
                return parts
            self._position = 0

    async def search(self, text: bytes, begins: tuple[int, int], most: int) -> list[Sought]:
        """See `search_logs`."""
        while True:
            self.open()
            assert self._place is not None
            place, budget = self._place, SEARCHED_BYTES
            found: list[Sought] = []
            for which, (stream, begin) in enumerate(zip(self.streams, begins, strict=True)):
                left = most - sum(len(one.matches) for one in found)
                part = await stream.search(text, begin, left, budget)
                budget -= part.looked
                places = [match.offset for match in part.matches]
                times = [0] * len(places)
                if places and self._index >= 0:
                    times = await in_thread(times_of, self._index, which, places)
                found.append(Sought(part.matches, times, part.next, part.complete))
            if self._logs.confirm(*self._attempt, place):
                return found

    def chunks(self) -> Iterator[Chunk | None]:
        """All that is there, and what is written meanwhile; None: call `pass_over` first."""
        while True:
            known = [stream.offset for stream in self.streams]
            position = self._position
            self._passed = 0
            chunk = self._next()
            assert self._place is not None
            if self._logs.confirm(*self._attempt, self._place):
                if chunk is None and self._passed < _PASSED:
                    return
                yield chunk
            else:
                # It ended meanwhile, and what was read may be the next one's.
                for stream, offset in zip(self.streams, known, strict=True):
                    stream.offset = offset
                self._position = position
                self._records.clear()
            # The attempt may have ended while the chunk was being sent.
            self.open()

    async def pass_over(self) -> None:
        """Go to the next record of which something is to be read: there may be millions before."""
        begins = [s.offset if s.offset < s.end else sys.maxsize for s in self.streams]
        if self._index >= 0:
            # The last one may grow, so it is looked at again.
            last = await in_thread(first_record, self._index, begins, self._end, self._position)
            self._position = max(self._position, last - 1)
            self._records.clear()

    def _next(self) -> Chunk | None:
        if all(stream.offset >= stream.end for stream in self.streams):
            return None  # whatever the index has behind
        while (record := self._record()) is not None:
            if self._passed >= _PASSED:
                return None
            stream = self.streams[record.number & 1]
            assert self._place is not None
            stream.open(self._place.directory)
            end = record.offset + record.length
            if stream.offset < end:
                if chunk := stream.read(end, record.time):
                    return chunk
                stream.offset = end  # a hole, or retention
            if len(self._records) == 1:
                self._records.clear()
                self._fetch()
                if len(self._records) <= 1:
                    break  # the last one may grow
            self._records.pop(0)
            self._position += 1
            self._passed += 1
        for stream in self.streams:
            if chunk := stream.read(stream.end, 0):
                return chunk
        return None

    def _record(self) -> _Record | None:
        if not self._records:
            self._fetch()
        return self._records[0] if self._records else None

    def _fetch(self) -> None:
        if self._index < 0:
            return
        size = RECORD.size
        records = min(_BLOCK, self._end - self._position)
        data = os.pread(self._index, size * records, self._position * size)
        whole = len(data) // size * size
        self._records.extend(map(_Record._make, RECORD.iter_unpack(data[:whole])))


def _open(directory: str, name: str) -> int:
    """A file's descriptor, or -1."""
    try:
        return os.open(f"{directory}/{name}", os.O_RDONLY | WARY)
    except (FileNotFoundError, NotADirectoryError, BlockingIOError):
        return -1


async def read_logs(
    logs: LogStore,
    task_id: str,
    number: int,
    window: Window = _ALL,
    *,
    follow: bool = False,
    runs: Callable[[], bool],
) -> AsyncGenerator[Chunk | list[Part], None]:
    """First what is read of each stream; then pieces of both, in the order of writing.

    Args:
        follow: go on until the attempt has ended.
        runs: whether the attempt may still write.
    """
    reader = _Reader(logs, task_id, number)
    try:
        ended = not runs()
        # What appears from now on is new: `tail_lines` does not apply to it.
        yield await reader.begin(window, follow=follow)
        while True:
            for chunk in reader.chunks():
                if chunk is None:
                    await reader.pass_over()
                else:
                    yield chunk
            if ended or not follow:
                return
            await asyncio.sleep(POLL_SECONDS)
            ended = not runs()
            reader.open()
    finally:
        reader.close()


class Sought(NamedTuple):
    """What a search found in one stream: lines, when each was written (ns), where to go on."""

    matches: list[Match]
    times: list[int]
    next: int
    complete: bool


async def search_logs(
    logs: LogStore, task_id: str, number: int, text: bytes, begins: tuple[int, int], most: int
) -> list[Sought]:
    """Lines that have a text, of standard output first: up to `most`, in `SEARCHED_BYTES`."""
    reader = _Reader(logs, task_id, number)
    try:
        return await reader.search(text, begins, most)
    finally:
        reader.close()
