"""The HTTP/1.1 side: uvicorn's protocol with the bounds that it leaves out.

| bound | beyond it |
|---|---|
| bytes of a request's head (line and headers), behind the read that it began in | 431, closed |
| seconds for the head to arrive | 408, closed |
| bytes on the wire for one request (framing included) | closed |
| seconds that a client does not read what is written | closed |

State is per connection and dies with it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import grpc
import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.jsonwrite import dump
from gateway.http.problems import MEDIA_TYPE, HttpError, problem

# Also the bound of a URL with its query.
HEAD_BYTES: Final = 64 * 1024
_PHRASES: Final = {400: "Bad Request", 408: "Request Timeout", 431: "Headers Too Large"}


class _HeadTooLarge(Exception):
    pass


class BoundedHttp(HttpToolsProtocol):
    """One connection. Subclassed by `bounded` with the bounds of a process."""

    wire_bytes: int
    """Of one request with its framing."""
    head_timeout: float
    """Seconds for a head to arrive."""
    write_timeout: float
    """Seconds without a byte taken."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        # Bytes of the head as parsed, and of the request as received behind the read in which it
        # began (what came before it in that read belongs to another request).
        self._parsed = 0
        self._received = 0
        self._in_head = True
        self._in_body = False
        self._taken_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        within = self._in_body
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._taken_over:
            return
        if self._in_head and self._received > HEAD_BYTES:
            self._refuse(_too_large())
        elif self._received > self.wire_bytes:
            self.transport.abort()
        elif within or self._in_body:
            pass  # of a request that was answered early
        elif self._head is None and (self.cycle is None or self.cycle.response_complete):
            # Bytes that begin no request ended uvicorn's wait for one.
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        if self._parsed > HEAD_BYTES:
            self._refuse(_too_large())
        else:
            self._refuse(
                _rejection(400, "MALFORMED_HTTP", "this is not a well-formed HTTP/1.1 request")
            )

    # -- parser's callbacks

    def on_message_begin(self) -> None:
        self._parsed = self._received = 0
        self._in_head = True
        if self._head is None:
            self._expect_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        # Trailers come here too: they are not headers (RFC 9110 section 6.5.1).
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        if self._head is not None:
            self._head.cancel()
            self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    # -- flow

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def handle_websocket_upgrade(self) -> None:
        # The WebSocket protocol takes the connection over, with bounds of its own.
        self._taken_over = True
        if self._stalled is not None:
            self._stalled.cancel()
        super().handle_websocket_upgrade()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_BYTES:
            raise _HeadTooLarge

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.head_timeout, self._head_late)

    def _head_late(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            late = f"the request's head did not come within {self.head_timeout:g} s"
            self._refuse(_rejection(408, "REQUEST_TIMEOUT", late))

    def _refuse(self, failure: HttpError) -> None:
        # Only before an answer has begun; in the middle of one, closing says enough.
        if self.cycle is None or self.cycle.response_complete:
            body = dump(problem(failure))
            head = (
                f"HTTP/1.1 {failure.status} {_PHRASES[failure.status]}\r\n"
                f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
                "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


def _rejection(status: int, reason: str, message: str) -> HttpError:
    return HttpError(status, grpc.StatusCode.INVALID_ARGUMENT, reason, message)


def _too_large() -> HttpError:
    return _rejection(431, "HEAD_TOO_LARGE", f"line and headers are larger than {HEAD_BYTES} bytes")


def bounded(*, wire_bytes: int, head_timeout: float, write_timeout: float) -> type[BoundedHttp]:
    """The protocol class for uvicorn's `http` setting."""
    bounds = {
        "wire_bytes": wire_bytes,
        "head_timeout": head_timeout,
        "write_timeout": write_timeout,
    }
    return cast("type[BoundedHttp]", type("BoundedHttp", (BoundedHttp,), bounds))


assert issubclass(httptools.HttpParserCallbackError, httptools.HttpParserError)
