"""Takes what programs say of their progress: lines on descriptor PROGRESS_FD, the newest counts.

The pipe is read as outputs are, so that no program waits; of what was read, the last whole line is
kept, and at most LINE_BYTES of it. A program may write a million lines: the agent gets at most one
message every EVERY_SECONDS for all programs, and no line twice. A pipe that nobody has any more is
used again. Memory: two lines for each program that runs. Used by the spawner: standard library
only.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from node_agent.spawner.launching import WORKER_FD, Ids, keep

# The number of the descriptor in a program, and the variable that says so.
PROGRESS_FD = WORKER_FD
PROGRESS_VARIABLE = "QUORATE_PROGRESS_FD"
EVERY_SECONDS = 0.25
# A text of 256 characters and a number.
LINE_BYTES = 1100
_READ_BYTES = 64 * 1024
# Lines in one message, which is a packet.
_AT_ONCE = 64


class ProgressPipe:
    """One program's."""

    __slots__ = ("key", "line", "read_end", "rest", "write_end")

    def __init__(self, read_end: int, write_end: int) -> None:
        self.read_end = read_end
        self.write_end = write_end
        self.key = 0
        # The last line, and what came behind it.
        self.line = b""
        self.rest = b""

    def take(self, data: bytes) -> bool:
        """Take what was read; whether a line ended."""
        lines, newline, rest = data.rpartition(b"\n")
        if not newline:
            self.rest = (self.rest + data)[:LINE_BYTES]
            return False
        before, several, line = lines.rpartition(b"\n")
        self.line = (line if several or before else self.rest + line)[:LINE_BYTES]
        self.rest = rest[:LINE_BYTES]
        return True


class ProgressPipes:
    """Those of all programs.

    Args:
        poll: the spawner's; a readable descriptor that is in `owners` belongs to `on_readable`.
        send: sends a message to the agent.

    Attributes:
        due: when lines have to be sent (monotonic seconds); 0 while there are none.
    """

    def __init__(
        self, poll: select.epoll, send: Callable[[tuple[str, list[tuple[int, bytes]]]], None]
    ) -> None:
        self._poll = poll
        self._send = send
        self.owners: dict[int, ProgressPipe] = {}
        self.due = 0.0
        self._last = 0.0
        # Those with a line that was not sent, by key.
        self._fresh: dict[int, ProgressPipe] = {}
        # As many as ran at once.
        self._idle: list[ProgressPipe] = []

    def open(self, key: int, ids: Ids | None) -> ProgressPipe:
        """The pipe of a program that is about to start. Raises OSError."""
        if self._idle:
            pipe = self._idle.pop()
        else:
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            pipe = ProgressPipe(read_end, keep(write_end))
            os.set_blocking(read_end, False)
            if ids is not None:
                os.fchown(pipe.write_end, ids[0], ids[1])
            self._poll.register(read_end, select.EPOLLIN)
            self.owners[read_end] = pipe
        pipe.key = key
        return pipe

    def on_readable(self, read_end: int, now: float) -> None:
        """Take one piece."""
        pipe = self.owners[read_end]
        if pipe.take(self._read(pipe)) and pipe.key:
            self._fresh[pipe.key] = pipe
            self.due = self.due or max(now, self._last + EVERY_SECONDS)

    def settle(self, now: float) -> None:
        """Send the lines whose time has come."""
        if not self.due or now < self.due:
            return
        lines = [(key, pipe.line) for key, pipe in self._fresh.items()]
        self._fresh.clear()
        self.due, self._last = 0.0, now
        for begin in range(0, len(lines), _AT_ONCE):
            self._send(("progress", lines[begin : begin + _AT_ONCE]))

    def leave(self, pipe: ProgressPipe, *, alone: bool) -> None:
        """A program has exited, or did not start; `alone`: it left no process behind."""
        self._fresh.pop(pipe.key, None)
        pipe.key = 0
        pipe.line = pipe.rest = b""
        if alone and len(self._read(pipe)) < _READ_BYTES:
            self._idle.append(pipe)
            return
        del self.owners[pipe.read_end]
        self._poll.unregister(pipe.read_end)
        os.close(pipe.read_end)
        os.close(pipe.write_end)

    @staticmethod
    def _read(pipe: ProgressPipe) -> bytes:
        try:
            return os.read(pipe.read_end, _READ_BYTES)
        except BlockingIOError:
            return b""
