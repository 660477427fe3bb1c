"""Reads the logs of one attempt, from an offset or the last lines, to the end or as it grows.

Pieces come in the order in which they were written, as the attempt's index has it (see
`executors.pump`), each with its time. What the index does not have (an agent before this one wrote
it, or the piece is just being written) follows behind, one stream after the other.

Reading happens in plain calls between two awaits, so "the attempt has ended" and "this is all it
wrote" are one observation. Following polls: the writer is another process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

from node_agent.logs.attempt_log import STREAMS, WARY, LogStore, Place
from node_agent.spawner.outputs.pump import INDEX, RECORD

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.025
# Looking for the last lines goes back no further than this.
TAIL_BYTES = 16 * 1024 * 1024
# Records read at a time.
_BLOCK = 256


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

    def skip_to_last(self, lines: int) -> None:
        """Go to where the last `lines` lines begin."""
        end = os.fstat(self._file).st_size
        position = end
        floor = max(self.offset, end - TAIL_BYTES)
        missing = lines
        while position > floor:
            begin = max(floor, position - CHUNK_BYTES)
            data = os.pread(self._file, position - begin, begin)
            stop = len(data)
            if position == end and data.endswith(b"\n"):
                stop -= 1  # the end of the last line begins no line
            while missing and (stop := data.rfind(b"\n", 0, stop)) >= 0:
                missing -= 1
            if not missing:
                self.offset = begin + stop + 1
                return
            position = begin
        self.offset = floor


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

    def begin(self, offset: int, tail_lines: int, *, follow: bool) -> None:
        """Open it, and go to where reading begins.

        Without `follow` reading ends with what is there now, however fast the attempt writes.
        """
        while True:
            self.open()
            assert self._place is not None
            for stream in self.streams:
                stream.offset = offset
                if tail_lines and stream.open(self._place.directory):
                    stream.skip_to_last(tail_lines)
                if not follow:
                    stream.stay_with_what_is_there()
            if not follow:
                size = os.fstat(self._index).st_size if self._index >= 0 else 0
                self._end = -(-size // RECORD.size)
            if self._logs.confirm(*self._attempt, self._place):
                return

    def chunks(self) -> Iterator[Chunk]:
        """All that is there, and what is written meanwhile."""
        while True:
            known = [stream.offset for stream in self.streams]
            position = self._position
            chunk = self._next()
            assert self._place is not None
            if self._logs.confirm(*self._attempt, self._place):
                if chunk is None:
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

    def _next(self) -> Chunk | None:
        while (record := self._record()) is not None:
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
    *,
    offset: int = 0,
    tail_lines: int = 0,
    follow: bool = False,
    runs: Callable[[], bool],
) -> AsyncIterator[Chunk]:
    """Pieces of both streams, in the order of writing.

    Args:
        offset: bytes of each stream to leave out.
        tail_lines: only so many lines of each stream; 0 for all.
        follow: go on until the attempt has ended.
        runs: whether the attempt may still write.
    """
    reader = _Reader(logs, task_id, number)
    try:
        ended = not runs()
        # What appears from now on is new: `tail_lines` does not apply to it.
        reader.begin(offset, tail_lines, follow=follow)
        while True:
            for chunk in reader.chunks():
                yield chunk
            if ended or not follow:
                return
            await asyncio.sleep(POLL_SECONDS)
            ended = not runs()
            reader.open()
    finally:
        reader.close()
