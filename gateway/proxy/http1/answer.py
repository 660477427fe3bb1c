"""An instance's answer to one request, read as its bytes come. No I/O.

    head -> interim (1xx) -> head -> ... -> body -> over
       '-> 101: what follows is a tunnel's, and none of this module's

Keeps what is not read yet: a part of a head, of a chunk's line. At most `wire.MAX_HEAD` and what
came with it in one piece.
"""

from __future__ import annotations

from typing import Final

from gateway.proxy.http1.framing import LAST_CHUNK, Framer, chunk, framer_of
from gateway.proxy.http1.heads import (
    MAX_HEAD,
    UNTIL_CLOSE,
    Garbage,
    RequestHead,
    ResponseHead,
    has_bare_lf,
    parse_response,
)

# Interim answers (1xx) that one request may get.
MAX_INTERIM: Final = 16
_HTTP: Final = b"HTTP/1."


class Answer:
    """The answer to `request`, which nobody has sent a byte of yet."""

    __slots__ = (
        "_chunked",
        "_framer",
        "_interim",
        "_request",
        "_scanned",
        "endless",
        "reusable",
        "unread",
    )

    def __init__(self, request: RequestHead) -> None:
        self._request = request
        self._interim = 0
        # Bytes of `unread` in which no head ends.
        self._scanned = 0
        self._framer: Framer | None = None
        # How the body goes on to the client.
        self._chunked = False
        self.unread = b""
        """What came and belongs to nothing that was read."""
        self.endless = False
        """It ends with the connection."""
        self.reusable = False
        """Once it is over, the connection can carry another request."""

    @property
    def started(self) -> bool:
        """Whether anything of it came, before its head was complete."""
        return bool(self.unread or self._interim)

    def head(self, data: bytes) -> ResponseHead | None:
        """The next head, of an interim answer, a switch of protocols or the answer itself; None
        while it is not complete. Raises Garbage."""
        if self.unread:
            data = self.unread + data
        # Kept also when it is refused: whatever has arrived forbids sending the request again.
        self.unread = data
        end = data.find(b"\r\n\r\n", self._scanned)
        if end < 0 or end > MAX_HEAD:
            # What cannot become a head is refused at once: the rest would be waited for in vain.
            if data[: len(_HTTP)] != _HTTP[: len(data)]:
                raise Garbage("it does not begin with HTTP/1.")
            if has_bare_lf(data, self._scanned):
                raise Garbage("a line of its head ends with a bare LF")
            if len(data) > MAX_HEAD:
                raise Garbage(f"an answer's head is longer than {MAX_HEAD} bytes")
            self._scanned = max(0, len(data) - 3)
            return None
        self._scanned = 0
        head = parse_response(data[:end], self._request.method)
        if head.status == 101:
            if not head.upgrade or head.upgrade != self._request.upgrade:
                raise Garbage("it switched protocols without a request for it")
        elif head.status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise Garbage("too many interim answers")
        self.unread = data[end + 4 :]
        return head

    def take(self) -> bytes:
        """What is not read; it is the caller's from now on."""
        data, self.unread = self.unread, b""
        return data

    def expect_body(self, head: ResponseHead) -> None:
        """The body of this head follows."""
        self._framer = framer_of(head.length)
        self.endless = head.length == UNTIL_CLOSE
        self._chunked = head.length < 0 and self._request.minor == 1

    def body(self, data: bytes) -> tuple[bytes, bool]:
        """The body's next part as the client gets it, and whether it was the last.

        Raises BadFraming.
        """
        assert self._framer is not None
        if self.unread:
            data = self.unread + data
        piece = self._framer.feed(data)
        self.unread = data[piece.taken :] if piece.taken < len(data) else b""
        if piece.done and self.unread:
            # More than the answer: the instance and we do not agree on where it ends.
            self.reusable = False
        if not self._chunked:
            return piece.data, piece.done
        return chunk(piece.data) + LAST_CHUNK if piece.done else chunk(piece.data), piece.done

    @property
    def ending(self) -> bytes:
        """What ends a body without a length for the client."""
        return LAST_CHUNK if self._chunked else b""
