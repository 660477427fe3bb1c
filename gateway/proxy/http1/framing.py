"""Message bodies, read strictly (RFC 9112 sections 6 and 7). Pure.

A framer is given what has arrived and says how much of it belongs to this body. It keeps no bytes:
what it does not take (half a chunk's size line) stays with the caller and is given again with more.
Chunked bodies are decoded and coded anew: chunk extensions and trailers end here.
"""

from __future__ import annotations

import re
import sys
from typing import Final, NamedTuple, Protocol

from gateway.proxy.http1.heads import CHUNKED, UNTIL_CLOSE

# Bytes of one chunk's size line with its extensions; of all trailer lines together.
MAX_SIZE_LINE: Final = 1_024
MAX_TRAILERS: Final = 8_192

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})([ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")

LAST_CHUNK: Final = b"0\r\n\r\n"
# Chunks that are read in one step of a request's body, so that a read full of tiny ones does not
# keep the event loop for longer than a millisecond or two.
CHUNKS_A_STEP: Final = 1_024


class BadFraming(Exception):
    """The bytes are not a body of the kind that was announced."""


class Piece(NamedTuple):
    """What a framer made of some bytes.

    `data` is the body's next part, without framing; `taken` counts the bytes used up.
    """

    data: bytes
    taken: int
    done: bool


class Framer(Protocol):
    """Reads one body."""

    def feed(self, arrived: bytes) -> Piece:
        """The body's part of `arrived`. Raises BadFraming."""
        ...


def framer_of(length: int, most_chunks: int = sys.maxsize) -> Framer:
    """The framer for `RequestHead.length` or `ResponseHead.length`.

    Args:
        most_chunks: that one `feed` reads; what is left over must be given again.
    """
    if length == CHUNKED:
        return ChunkedFramer(most_chunks)
    if length == UNTIL_CLOSE:
        return EndlessFramer()
    return LengthFramer(length)


def chunk(data: bytes) -> bytes:
    """One chunk; nothing for no data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class LengthFramer:
    """A body of so many bytes."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, arrived: bytes) -> Piece:
        """Never raises."""
        left = self._left
        size = len(arrived)
        if size < left:
            self._left = left - size
            return Piece(arrived, size, False)
        self._left = 0
        return Piece(arrived if size == left else arrived[:left], left, True)


class EndlessFramer:
    """A body that goes on until the connection ends."""

    __slots__ = ()

    def feed(self, arrived: bytes) -> Piece:
        """Never raises, never done."""
        return Piece(arrived, len(arrived), False)


class ChunkedFramer:
    """`Transfer-Encoding: chunked`. Chunk extensions and trailers are checked and dropped."""

    __slots__ = ("_left", "_most", "_trailers")

    def __init__(self, most_chunks: int = sys.maxsize) -> None:
        self._most = most_chunks
        # Bytes of the current chunk still to come, its CRLF included; 0: a size line is next.
        self._left = 0
        # Bytes of trailer lines so far; None before the last chunk.
        self._trailers: int | None = None

    def feed(self, arrived: bytes) -> Piece:
        """The data of all chunks that are there. Raises BadFraming."""
        at = 0
        end = len(arrived)
        parts: list[bytes] = []
        while at < end and len(parts) < self._most:
            if self._trailers is not None:
                stop = self._line_end(arrived, at, MAX_TRAILERS - self._trailers)
                if stop < 0:
                    break
                if stop == at:
                    return Piece(b"".join(parts), at + 2, True)
                if not _TRAILER.fullmatch(arrived, at, stop):
                    raise BadFraming("a trailer line is not: name, colon, value")
                self._trailers += stop + 2 - at
                at = stop + 2
            elif self._left:
                # What is left of the data; the last two bytes of `_left` are the chunk's CRLF.
                data = min(self._left - 2, end - at)
                if data > 0:
                    parts.append(arrived[at : at + data])
                    self._left -= data
                    at += data
                if self._left == 2:
                    if end - at < 2:
                        if end - at == 1 and arrived[at] != 13:
                            raise BadFraming("a chunk is longer than its size")
                        break
                    if arrived[at : at + 2] != b"\r\n":
                        raise BadFraming("a chunk is longer than its size")
                    at += 2
                    self._left = 0
            else:
                stop = self._line_end(arrived, at, MAX_SIZE_LINE)
                if stop < 0:
                    break
                found = _SIZE.fullmatch(arrived, at, stop)
                if found is None:
                    raise BadFraming("a chunk's size is not a hexadecimal number")
                size = int(found[1], 16)
                at = stop + 2
                if size:
                    self._left = size + 2
                else:
                    self._trailers = 0
        return Piece(b"".join(parts), at, False)

    @staticmethod
    def _line_end(arrived: bytes, start: int, limit: int) -> int:
        """Where the line's CRLF is; -1 when it has not arrived."""
        stop = arrived.find(b"\r\n", start, start + limit + 2)
        if stop < 0:
            if arrived.find(b"\n", start, start + limit + 2) >= 0:
                # Waiting for its CR would be waiting for ever.
                raise BadFraming("a line in the body's framing ends without a CR")
            if len(arrived) - start > limit:
                raise BadFraming("a line in the body's framing is too long")
        return stop
