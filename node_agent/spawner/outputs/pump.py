"""Takes what attempts write out of their pipes, and keeps it with the time of each piece.

```
program or worker --fd 1--> pipe --+                      <directory>/stdout
                  --fd 2--> pipe --+--> Pump (spawner) --> <directory>/stderr
                                                          <directory>/index   one RECORD a piece
```

The outputs are pipes and not files, because a second open of `/dev/stdout` truncates a file, and
because only a reader knows when something was written. Nothing is made on disk before the first
byte. A record is written behind its data, so data without a record is data whose record is on its
way, or that has none: over INDEX_BUDGET, or from an agent before this one.

A disk that is full loses what does not fit: the pipe is emptied all the same, so that no program
waits for the disk. Memory: one READ_BYTES buffer; the kernel holds at most a pipe's capacity (64
KiB) for each output. Used by the spawner: standard library only.
"""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Callable

from node_agent.spawner.launching import Ids

STREAMS = ("stdout", "stderr")
INDEX = "index"
# When it was written (ns since the epoch), where in its stream, how long, which of STREAMS.
RECORD = struct.Struct("<QQII")
# A piece goes on while its stream alone writes, for this long.
PIECE_NS = 5_000_000
# Records of one attempt: so many at once, and so many more each second (of 24 bytes).
INDEX_BUDGET, INDEX_BUDGET_A_SECOND = 20_000, 10
READ_BYTES = 64 * 1024
# An attempt that has ended may have left processes: so much of what they write is kept.
LATE_BYTES = 1 << 20
# Reads that empty a pipe, though somebody goes on writing: more than any pipe's capacity.
_DRAIN_READS = 64
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_INDEX_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE = 0o600


class Output:
    """Both outputs of one program, or of what a worker calls until something is written.

    Attributes:
        directory: where they are kept; made with the first byte.
        ended: the attempt is over, and who still writes was left behind.
    """

    __slots__ = (
        "_files",
        "_index",
        "_last",
        "_records",
        "_sizes",
        "_started",
        "before",
        "directory",
        "ended",
        "ends",
        "failed",
        "frame",
        "late",
        "pipes",
    )

    def __init__(
        self, directory: str, before: Callable[[], None] | None, frame: bytes = b""
    ) -> None:
        self.directory = directory
        self.frame = frame
        self.before = before
        self.ended = False
        self.failed = False
        self.late = 0
        # Our ends, by stream; -1 for a closed one.
        self.pipes = [-1, -1]
        # The ends that a program writes to, while they are open here too.
        self.ends = [-1, -1]
        self._files = [-1, -1]
        self._sizes = [0, 0]
        self._index = -1
        self._records = 0
        # Of the newest piece: when it began, where, how long, which stream.
        self._last = (0, 0, 0, -1)
        self._started = 0

    def keep(self, number: int, data: bytes) -> None:
        """Write a piece of a stream. Raises OSError."""
        now = time.time_ns()
        if self._index < 0:
            self._open(now)
        file = self._files[number]
        if file < 0:
            file = self._open_stream(number)
            data = self.frame + data
        offset = self._sizes[number]
        rest = memoryview(data)
        try:
            while rest:  # the last blocks of a disk take a part
                rest = rest[os.write(file, rest) :]
        finally:
            written = len(data) - len(rest)
            self._sizes[number] = offset + written
            if written:
                self._note(now, number, offset, written)

    @property
    def empty(self) -> bool:
        """Whether nothing was written."""
        return self._index < 0

    def close(self) -> None:
        """Close everything; what is still in the pipes is lost."""
        for fd in (*self.pipes, *self.ends, *self._files, self._index):
            if fd >= 0:
                os.close(fd)
        self.pipes, self.ends = [-1, -1], [-1, -1]
        self._files, self._index = [-1, -1], -1

    def _open(self, now: int) -> None:
        os.makedirs(self.directory, exist_ok=True)
        self._index = os.open(os.path.join(self.directory, INDEX), _INDEX_FLAGS, _MODE)
        # Not empty when the same attempt ran here before, and was returned.
        self._records = os.fstat(self._index).st_size // RECORD.size
        self._started = now

    def _open_stream(self, number: int) -> int:
        file = os.open(os.path.join(self.directory, STREAMS[number]), _FLAGS, _MODE)
        self._files[number] = file
        self._sizes[number] = os.fstat(file).st_size
        return file

    def _note(self, now: int, number: int, offset: int, length: int) -> None:
        running_since, start, known, stream = self._last
        if stream == number and now - running_since < PIECE_NS and start + known == offset:
            self._last = (running_since, start, known + length, number)
            position = self._records - 1
        else:
            seconds = (now - self._started) // 1_000_000_000
            if self._records > INDEX_BUDGET + INDEX_BUDGET_A_SECOND * seconds:
                return
            self._last = (now, offset, length, number)
            position = self._records
            self._records += 1
        os.pwrite(self._index, RECORD.pack(*self._last), position * RECORD.size)


class Pump:
    """All pipes of a spawner.

    Args:
        poll: the spawner's; a readable descriptor that is in `owners` belongs to `on_readable`.
        on_failed: called once with an output that cannot be written, and why.
        on_late: called with an output of which the first byte came after its attempt had ended.
    """

    def __init__(
        self,
        poll: select.epoll,
        on_failed: Callable[[Output, OSError], None],
        on_late: Callable[[Output], None],
    ) -> None:
        self._poll = poll
        self._on_failed = on_failed
        self._on_late = on_late
        # By our end of a pipe: the output and the number of its stream.
        self.owners: dict[int, tuple[Output, int]] = {}
        # Pipes for the next programs: at most as many as ran at once.
        self._idle: list[Output] = []

    def open(
        self,
        directory: str,
        ids: Ids | None,
        before: Callable[[], None] | None = None,
        frame: bytes = b"",
    ) -> tuple[Output, int, int]:
        """Two pipes; the output, and the ends that a process writes to. Raises OSError.

        Args:
            ids: who may open the pipes again by `/dev/stdout`, if not ourselves.
            before: called before each read.
            frame: precedes the first byte of each.
        """
        output = Output(directory, before, frame)
        ends: list[int] = []
        try:
            for number in (0, 1):
                read_end, write_end = os.pipe2(os.O_CLOEXEC)
                ends.append(write_end)
                output.pipes[number] = read_end
                os.set_blocking(read_end, False)
                if ids is not None:
                    os.fchown(write_end, ids[0], ids[1])
                self._poll.register(read_end, select.EPOLLIN)
                self.owners[read_end] = (output, number)
        except OSError:
            for end in ends:
                os.close(end)
            self.close(output)
            raise
        return output, ends[0], ends[1]

    def open_for_program(self, directory: str, ids: Ids | None, frame: bytes) -> Output:
        """As `open`; the ends stay in the output. Raises OSError.

        The pipes may be those of a program before, which left nothing in them, and nobody at them:
        to make and to watch new ones is a dozen system calls.
        """
        if self._idle:
            output = self._idle.pop()
            output.directory, output.frame = directory, frame
            return output
        output, *output.ends = self.open(directory, ids, frame=frame)
        return output

    def leave(self, output: Output, *, alone: bool) -> None:
        """A program has exited; `alone`: it left no process behind."""
        self.drain(output)
        if alone and output.empty and -1 not in output.pipes:
            self._idle.append(output)
        else:
            # Who is left has no business with it, and is about to be killed.
            self.close(output)

    def on_readable(self, pipe: int) -> None:
        """Take one piece."""
        output, number = self.owners[pipe]
        self._take(output, number)

    def drain(self, output: Output) -> None:
        """Take all that was written so far."""
        for number in (0, 1):
            for _ in range(_DRAIN_READS):
                if output.pipes[number] < 0 or not self._take(output, number):
                    break

    def close(self, output: Output) -> None:
        """Let go of an output: who still writes to it gets SIGPIPE."""
        for pipe in output.pipes:
            if pipe >= 0:
                self._disown(pipe)
        output.close()

    def _disown(self, pipe: int) -> None:
        """A pipe is about to be closed.

        Closing it does not take it out of the poll while a child has a copy that is only just
        about to become its program: then the poll would report it over and over.
        """
        if self.owners.pop(pipe, None) is not None:
            self._poll.unregister(pipe)

    def _take(self, output: Output, number: int) -> bool:
        """Whether there was something in a pipe."""
        if output.before is not None:
            output.before()
        pipe = output.pipes[number]
        try:
            data = os.read(pipe, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._disown(pipe)
            os.close(pipe)
            output.pipes[number] = -1
            if output.pipes == [-1, -1]:
                output.close()
            return False
        if output.ended:
            output.late += len(data)
            if output.late > LATE_BYTES:
                return True
        late = output.ended and output.empty
        try:
            output.keep(number, data)
            if late:
                self._on_late(output)
        except OSError as error:
            if not output.failed:
                output.failed = True
                self._on_failed(output, error)
        return True
