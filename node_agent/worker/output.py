"""Descriptors 0 to 2 and the streams above them: each call finds them as the first one did.

Descriptors 1 and 2 are pipes, which the spawner empties into the attempt's log from the first byte.
They stay while a call writes nothing and starts nobody who could write later: then the next call
may have them. Else the worker asks the spawner for the next pair (`executors.outputs`), and what
holds the old one goes on writing into the log of the call that it belongs to.

Whether a call used them is three questions to the kernel, 2 us: what is in the pipes now; what the
pump has taken since (it counts its reads in COUNTS_FD); whether there are child processes, or were.
"""

from __future__ import annotations

import fcntl
import io
import mmap
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from node_agent.spawner.launching import COUNTS_FD, FIRST_FREE_FD, OUTPUTS_FD

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FIONREAD = 0x541B
_NOTHING = bytes(4)
_BUFFER = 64 * 1024
# Nothing that a function prints may fail for its characters.
_ENCODING, _ERRORS = "utf-8", "backslashreplace"
# Not empty: something may be buffered in one of our streams.
touched: list[bool] = []
# Files of user code that would close one of our descriptors when they are collected: kept for ever.
MAX_KEPT = 1000


class Broken(Exception):
    """What cannot be put back, in a few words: the worker has to be replaced."""


class _Raw(io.RawIOBase):
    """A descriptor as a stream; closing it closes nothing below."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        # What is still buffered above, for an attempt that is over, goes nowhere.
        self.muted = False
        # Called with the descriptor before each write.
        self.before: Callable[[int], None] | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def write(self, data: Buffer) -> int:
        if self.muted:
            return memoryview(data).nbytes
        if self.before is not None:
            self.before(self._number)
        return os.write(self._number, data)


class _Buffer(io.BufferedWriter):
    """Stays open: a wrapper that user code puts around it closes it when it is collected."""

    def write(self, data: Buffer) -> int:
        touched[:] = [True]
        return super().write(data)

    def close(self) -> None:
        self.flush()


class _Text(io.TextIOWrapper):
    """Stays open for the next call, and for the handlers of `logging` that have it."""

    # Set by user code; no attribute says how it ends lines.
    reconfigured = False

    def write(self, text: str) -> int:
        touched[:] = [True]
        return super().write(text)

    def reconfigure(self, **kinds: Any) -> None:
        self.reconfigured = True
        super().reconfigure(**kinds)

    def close(self) -> None:
        self.flush()


class Pipes:
    """The worker's ends of its outputs, kept aside from what user code may do to 0, 1 and 2."""

    def __init__(self, lane: int) -> None:
        self._socket = socket.socket(fileno=aside(OUTPUTS_FD))
        counts = mmap.mmap(COUNTS_FD, 0, prot=mmap.PROT_READ)
        os.close(COUNTS_FD)
        self._counts = memoryview(counts).cast("I")
        self._lane = lane
        self._count = self._counts[lane]
        self._input, self._out, self._err = (aside(number, close=False) for number in (0, 1, 2))
        self._waiting = bytearray(4)

    def written(self) -> bool:
        """Whether anything was written since the present pipes were new."""
        # The pipes first: what the pump takes after that was counted before.
        ioctl, waiting = fcntl.ioctl, self._waiting
        ioctl(self._out, _FIONREAD, waiting)
        if waiting != _NOTHING:
            return True
        ioctl(self._err, _FIONREAD, waiting)
        return waiting != _NOTHING or self._counts[self._lane] != self._count

    def put_back(self) -> None:
        """Descriptors 0, 1 and 2 are ours again. Raises Broken."""
        try:
            os.dup2(self._input, 0)
            os.dup2(self._out, 1)
            os.dup2(self._err, 2)
        except OSError:
            raise Broken("its descriptors were closed") from None

    def say(self, text: str) -> None:
        """Write into the attempt's log, past the streams."""
        os.write(self._err, text.encode(errors="replace"))

    def renew(self) -> None:
        """Get the next pipes. What was written is on the disk when this returns. Raises Broken."""
        try:
            self._socket.send(b"next")
            answer, ends, _, _ = socket.recv_fds(self._socket, 16, 2)
            if answer != b"next" or len(ends) != 2:
                raise Broken("its spawner does not answer")
            for end, kept in zip(ends, (self._out, self._err), strict=True):
                os.dup2(end, kept, inheritable=False)
                os.close(end)
        except OSError:
            raise Broken("its descriptors were closed") from None
        self._count = self._counts[self._lane]
        self.put_back()


class Streams:
    """`sys.stdin`, `sys.stdout` and `sys.stderr`."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._raws = {1: _Raw(1), 2: _Raw(2)}
        self.stdin: TextIO = open(0, closefd=False)  # noqa: SIM115 (for the process's life)
        self.stdout = _text(self._raws[1])
        self.stderr = _text(self._raws[2])
        self._install()

    def before_write(self, before: Callable[[int], None] | None) -> None:
        """Have `before` called with the descriptor before each write, or nothing."""
        for raw in self._raws.values():
            raw.before = before

    def flush_ours(self) -> None:
        """Pass on what is buffered in our streams, if user code has left them intact."""
        touched.clear()
        try:
            self.stdout.flush()
            self.stderr.flush()
        except (ValueError, OSError):
            pass  # closed or detached: looked at when the call or the chunk is over

    def flush(self) -> bool:
        """Pass on what is buffered; False if the next call would not find what the first found."""
        stdin, stdout, stderr = self.stdin, self.stdout, self.stderr
        try:
            # Fails for one that is closed or detached.
            stdout.flush()
            stderr.flush()
            return (
                sys.stdout is stdout
                and sys.stderr is stderr
                and sys.stdin is stdin
                and sys.__stdin__ is stdin
                and sys.__stdout__ is stdout
                and sys.__stderr__ is stderr
                and not stdin.closed
                and not stdout.reconfigured
                and not stderr.reconfigured
            )
        except (ValueError, OSError):
            return False

    def put_back(self) -> None:
        """Ours again. Theirs are flushed, and cannot close a descriptor later. Raises Broken."""
        for theirs in (sys.stdin, sys.stdout, sys.stderr):
            if not any(theirs is ours for ours in (self.stdin, self.stdout, self.stderr)):
                self._disarm(theirs)
        for number, name in ((1, "stdout"), (2, "stderr")):
            stream: Any = getattr(self, name)
            try:
                stream.flush()
                stream.reconfigure(
                    encoding=_ENCODING,
                    errors=_ERRORS,
                    newline=None,
                    line_buffering=True,
                    write_through=False,
                )
                stream.reconfigured = False
            except (ValueError, OSError):
                # Detached by user code, or the spawner is gone. What is left must not
                # go into the next attempt's log when it is collected.
                self._raws[number].muted = True
                self._raws[number] = _Raw(number)
                setattr(self, name, _text(self._raws[number]))
        try:
            unusable = self.stdin.closed
        except ValueError:
            unusable = True
        if unusable:
            self.stdin = open(0, closefd=False)  # noqa: SIM115
        self._install()

    def _disarm(self, theirs: Any) -> None:
        """A stream of user code's is over: flush it, and let it never close 0, 1 or 2."""
        try:
            theirs.flush()
        except BaseException:  # noqa: BLE001 (user code; None has no flush)
            pass
        try:
            if theirs.fileno() > 2:
                return
            # Down to what owns the descriptor, which is kept open.
            while hasattr(theirs, "detach") and not isinstance(theirs, (_Text, _Buffer)):
                theirs = theirs.detach()
        except BaseException:  # noqa: BLE001 (as above: StringIO has no descriptor)
            return
        self._kept.append(theirs)
        if len(self._kept) > MAX_KEPT:
            raise Broken("its calls replaced the standard streams too often")

    def _install(self) -> None:
        sys.stdin, sys.stdout, sys.stderr = self.stdin, self.stdout, self.stderr
        originals: Any = sys
        originals.__stdin__, originals.__stdout__ = self.stdin, self.stdout
        originals.__stderr__ = self.stderr


def aside(number: int, *, close: bool = True) -> int:
    """A copy of a descriptor that no child gets, above those that children are meant to get."""
    kept = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
    if close:
        os.close(number)
    return kept


def _text(raw: _Raw) -> _Text:
    return _Text(
        _Buffer(raw, _BUFFER),
        encoding=_ENCODING,
        errors=_ERRORS,
        line_buffering=True,
    )
