"""Sends what an attempt prints into that attempt's log files, at no cost when it prints nothing.

`sys.stdout` and `sys.stderr` open the attempt's file at the first write and put it in the place of
descriptor 1 or 2, so that from then on also C code and child processes write there. What those
write before any Python code does goes to the worker's spool file, and is moved when the attempt
ends.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_COPY = 1 << 20


class _Descriptor:
    """Descriptor 1 or 2, pointed at one attempt's file at a time."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self._name = name
        # The worker's spool file, kept aside.
        self._spool = os.dup(number)
        self._directory = ""
        self._opened = False

    def begin(self, directory: str) -> None:
        self._directory = directory

    def end(self) -> None:
        if self._opened:
            os.dup2(self._spool, self.number)
            self._opened = False
        if os.fstat(self._spool).st_size:
            try:
                self._move()
            except OSError:
                # The disk is full: the attempt has its answer, and what could not be kept is gone.
                # It must not be taken for the next attempt's.
                os.ftruncate(self._spool, 0)

    def write(self, data: Buffer) -> int:
        if not self._opened and self._directory:
            file = self._file()
            os.dup2(file, self.number)
            os.close(file)
            self._opened = True
        return os.write(self.number, data)

    def _file(self) -> int:
        os.makedirs(self._directory, exist_ok=True)
        return os.open(os.path.join(self._directory, self._name), _FLAGS, 0o600)

    def _move(self) -> None:
        """Append what is in the spool file to the attempt's file."""
        file = self._file()
        source = os.open(f"/proc/self/fd/{self._spool}", os.O_RDONLY)
        try:
            while data := os.read(source, _COPY):
                rest = memoryview(data)
                while rest:  # the last blocks of a disk take a part
                    rest = rest[os.write(file, rest) :]
            os.ftruncate(self._spool, 0)
        finally:
            os.close(source)
            os.close(file)


class _Raw(io.RawIOBase):
    """A descriptor as a stream; closing it closes nothing below."""

    def __init__(self, descriptor: _Descriptor) -> None:
        super().__init__()
        self._descriptor = descriptor
        # What is still buffered above, for an attempt that is over, goes nowhere.
        self.muted = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor.number

    def write(self, data: Buffer) -> int:
        return memoryview(data).nbytes if self.muted else self._descriptor.write(data)


class Output:
    """Both streams of a worker."""

    def __init__(self) -> None:
        self._descriptors = (_Descriptor(1, "stdout"), _Descriptor(2, "stderr"))
        self._raws = [_Raw(descriptor) for descriptor in self._descriptors]
        self._texts = [_text(raw) for raw in self._raws]
        self._install()

    def begin(self, directory: str) -> None:
        """An attempt begins, whose files belong into `directory`."""
        for descriptor in self._descriptors:
            descriptor.begin(directory)

    def end(self) -> None:
        """The attempt has ended: what it wrote is in its files when this returns."""
        for index, descriptor in enumerate(self._descriptors):
            try:
                self._texts[index].flush()
            except (ValueError, OSError):
                # Closed by user code, or the disk is full: the next attempt gets a new stream, and
                # the old one must not write into that attempt's file when it is collected.
                self._raws[index].muted = True
                self._raws[index] = _Raw(descriptor)
                self._texts[index] = _text(self._raws[index])
            descriptor.end()
        if sys.stdout is not self._texts[0] or sys.stderr is not self._texts[1]:
            self._install()

    def _install(self) -> None:
        sys.stdout, sys.stderr = self._texts


def _text(raw: _Raw) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw, 64 * 1024),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
