"""What precedes each subtask's output in the log of its chunk, and how one subtask's is found.

A chunk has one log. Before a subtask's first byte in a stream there is one line that names the
subtask's index; what follows is its output, up to the next such line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_FRAME: Final = b"\x1equorate subtask %d\n"
_MARK: Final = b"\x1e"
_HEAD: Final = b"\x1equorate subtask "
_WHOLE: Final = re.compile(rb"\x1equorate subtask (-?[0-9]{1,20})\n")
_LONGEST: Final = len(_HEAD) + 22


def frame(index: int) -> bytes:
    """What precedes the output of a subtask."""
    return _FRAME % index


class SubtaskPart:
    """The part of one stream of a chunk's log that one subtask wrote.

    Memory: what may be the beginning of a frame. Where the log's middle is gone, because it outgrew
    its limit, nobody knows whose output follows: nothing counts up to the next frame.

    Args:
        index: of the subtask.

    Attributes:
        read: bytes of the stream read so far; what comes again is left out.
        written: bytes of the subtask's part so far.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        self._mine = False
        self._held = b""
        self.read = 0
        self.written = 0

    def feed(self, offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The subtask's output in a piece of the stream: (offset in the part, bytes).

        Args:
            offset: of `data` in the stream.
        """
        if offset > self.read:
            self._held, self._mine = b"", False
        else:
            data = data[self.read - offset :]
            offset = self.read
        if not data:
            return
        self.read = offset + len(data)
        data, self._held = self._held + data, b""
        begin = search = 0
        while (at := data.find(_MARK, search)) >= 0:
            found = _WHOLE.match(data, at)
            if found is not None:
                yield from self._emit(data[begin:at])
                self._mine = int(found[1]) == self._index
                begin = search = found.end()
            elif _may_begin(data[at : at + _LONGEST]) and len(data) - at < _LONGEST:
                yield from self._emit(data[begin:at])
                self._held = data[at:]
                return
            else:
                search = at + 1
        yield from self._emit(data[begin:])

    def end(self) -> Iterator[tuple[int, bytes]]:
        """The rest, when nothing follows."""
        held, self._held = self._held, b""
        yield from self._emit(held)

    def _emit(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        if self._mine and data:
            offset = self.written
            self.written += len(data)
            yield offset, data


def _may_begin(data: bytes) -> bool:
    """Whether a frame may begin so."""
    if len(data) <= len(_HEAD):
        return _HEAD.startswith(data)
    rest = data[len(_HEAD) :]
    return data.startswith(_HEAD) and (rest == b"-" or rest.lstrip(b"-").isdigit())
