"""Reads the logs of one attempt, from an offset or the last lines, to the end or as it grows.

Reading happens in plain calls between two awaits, so "the attempt has ended" and "this is all it
wrote" are one observation. Following polls: the writers are other processes' plain files.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from node_agent.logs import STREAMS, WARY, LogStore

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.025
# Looking for the last lines goes back no further than this.
TAIL_BYTES = 16 * 1024 * 1024


class Chunk(NamedTuple):
    """A piece of a stream; `offset` counts bytes ever written."""

    stream: str
    offset: int
    data: bytes


class _Tail:
    """One stream's file, and how far it was read."""

    def __init__(self, logs: LogStore, task_id: str, number: int, stream: str) -> None:
        self._logs = logs
        self._attempt = (task_id, number)
        self.stream = stream
        self.offset = 0
        self.positioned = False
        self._file = -1

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def open(self, *, final: bool = False) -> bool:
        """Whether there is a file. `final`: look again, as the spool file may be another's now."""
        if self._file >= 0 and not final:
            return True
        path = self._logs.path(*self._attempt, self.stream)
        try:
            file = os.open(path, os.O_RDONLY | WARY)
        except (FileNotFoundError, NotADirectoryError, BlockingIOError):
            self.close()
            return False
        self.close()
        self._file = file
        return True

    def read(self) -> Chunk | None:
        """The next piece; a hole left by the cap is skipped."""
        try:
            start = os.lseek(self._file, self.offset, os.SEEK_DATA)
        except OSError:
            return None  # ENXIO: nothing behind the offset
        data = os.pread(self._file, CHUNK_BYTES, start)
        if not data:
            return None
        self.offset = start + len(data)
        return Chunk(self.stream, start, data)

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
    """Pieces of both streams, each in order.

    Args:
        offset: bytes of each stream to leave out.
        tail_lines: only so many lines of each stream; 0 for all.
        follow: go on until the attempt has ended.
        runs: whether the attempt may still write.
    """
    tails = [_Tail(logs, task_id, number, stream) for stream in STREAMS]
    try:
        first = True
        while True:
            ended = not runs()
            for tail in tails:
                # Each turn asks anew, as the attempt may have ended while a chunk was being sent.
                while tail.open(final=not runs()):
                    if first and not tail.positioned:
                        tail.offset = offset
                        if tail_lines:
                            tail.skip_to_last(tail_lines)
                        tail.positioned = True
                    chunk = tail.read()
                    if chunk is None:
                        break
                    yield chunk
                if not tail.positioned:
                    # What appears from now on is new: `tail_lines` does not apply to it.
                    tail.offset = offset
                    tail.positioned = True
            first = False
            if ended or not follow:
                return
            await asyncio.sleep(POLL_SECONDS)
    finally:
        for tail in tails:
            tail.close()
