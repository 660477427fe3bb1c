"""The client's side of a connection: finds each request's end, and decides whose it is.

    head --> a service's --> Exchange          -- over --> next head
         \\-> else --------> Application (uvicorn) -- over --> next head

One request at a time: what a client sends ahead of its answer waits in a bounded buffer, and past
the bound in the socket. The head is read once, strictly, before anything else sees it; what cannot
be read is answered with problem+json and the connection is closed, since the next request's
beginning is unknown.

`deadline` is the one timer of a connection: the proxy's clock calls `on_deadline` when it passes.

A client that ends its side of the connection behind its request (`shutdown(SHUT_WR)`) may still
read, or may be gone: both look the same. What came whole is answered; while the answer is silent,
the connection is kept for `ProxyOptions.half_closed` seconds. With TLS the end is an end.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.proxy.application import Application
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.framing import (
    CHUNKS_A_STEP,
    LAST_CHUNK,
    BadFraming,
    ChunkedFramer,
    Framer,
    chunk,
    framer_of,
)
from gateway.proxy.http1.heads import (
    MAX_HEAD,
    RequestHead,
    has_bare_lf,
    parse_request,
    without_empty_lines,
)
from gateway.proxy.http1.problems import Rejection, answer, malformed
from gateway.proxy.options import ProxyOptions

# Bytes of following requests that are read before the one under way is answered.
MAX_AHEAD: Final = 65_536
# The body of a request that was answered early is read and thrown away, so that the client gets to
# read the answer: so many bytes at most, for so many seconds.
MAX_DISCARDED: Final = 64 << 20
LINGER: Final = 2.0
# Heads and parts of bodies that are read before other connections have their turn.
STEPS: Final = 16
# Connections beyond those that are served which are at least told so.
MOST_REFUSED: Final = 64

_UPGRADE_LINES: Final = re.compile(rb"\r\n(?:upgrade|connection|http2-settings):[^\r]*", re.I)


class Router(Protocol):
    """Decides whose a request is, and knows all connections: `proxy.Proxy`."""

    options: ProxyOptions
    now: Callable[[], float]
    connections: set[ClientConnection]
    malformed: int
    """Requests that could not be read."""

    def exchange_for(self, client: ClientConnection, head: RequestHead) -> Exchange | None:
        """The exchange of a service's request; None when the application has it. Raises Refusal."""

    def is_crowded(self, connections: int, beyond: int = 0) -> bool:
        """Whether there are more connections than are served, and so many beyond them."""

    def crowded(self) -> Rejection:
        """The answer on a connection too many."""

    def new_request_id(self) -> bytes:
        """An id that no other request has, in any gateway."""


class ClientConnection(asyncio.Protocol):
    """One client's connection. What uvicorn's `Server` sees in its list of connections.

    Args:
        proxy: decides which requests are services'.
        base: uvicorn's protocol for the other requests.
    """

    __slots__ = (
        "_application",
        "_base",
        "_body",
        "_buffer",
        "_discarded",
        "_due",
        "_in_application",
        "_paused",
        "_pumping",
        "_scanned",
        "_started",
        "_state",
        "_tunnel",
        "_unread",
        "_uvicorn",
        "answered",
        "client_full",
        "deadline",
        "exchange",
        "half_closed",
        "held",
        "keep_alive",
        "now",
        "options",
        "peer",
        "proto",
        "proxy",
        "shutting_down",
        "transport",
    )

    transport: asyncio.Transport
    peer: bytes
    """The client's address."""
    proto: bytes

    def __init__(
        self,
        proxy: Router,
        base: type[HttpToolsProtocol],
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        self.proxy = proxy
        self.options: ProxyOptions = proxy.options
        self.now = proxy.now
        self.deadline = math.inf
        self.held = False
        """What arrives is not passed on for now."""
        self.client_full = False
        """The client does not read: what was written waits."""
        self.keep_alive = True
        """The connection goes on after the request under way."""
        self.shutting_down = False
        """The process is: no further request on this connection."""
        self.half_closed = False
        """The client sends nothing any more."""
        self.answered = False
        """The application has written something; reset by whoever looks."""
        self.exchange: Exchange | None = None
        self._base = base
        self._uvicorn = (config, server_state, app_state)
        self._state = server_state
        self._application: Application | None = None
        # Whose the request under way is, if it is not an exchange's.
        self._in_application = False
        self._tunnel = False
        # The request's body that is being read; None when it is complete.
        self._body: Framer | None = None
        # Bytes thrown away; -1 when none are.
        self._discarded = -1
        self._buffer = b""
        self._scanned = 0
        # Bytes that waited for the client when the connection was being closed.
        self._unread = 0
        # Something of the next head has arrived, if only an empty line.
        self._started = False
        self._paused = False
        self._pumping = False
        # `_pump` has been put off to the loop's next turn.
        self._due = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer = address[0].encode() if isinstance(address, tuple) else b"unknown"
        self.proto = b"https" if transport.get_extra_info("sslcontext") else b"http"
        self._state.connections.add(self)  # type: ignore[arg-type]
        self.proxy.connections.add(self)
        self.deadline = self.now() + self.options.head_timeout
        if self.proxy.is_crowded(len(self._state.connections), MOST_REFUSED):
            # Not even told: a file descriptor is worth more than an answer by now.
            self.transport.abort()
            return
        owner = self.options.owner
        if owner is not None and not owner.serves(address, transport.get_extra_info("sockname")):
            # Before a byte of it is read.
            error = owner.rejection()
            rejection = Rejection(403, error.reason, error.message)
            self.write(
                answer(
                    rejection,
                    request_id=self.proxy.new_request_id().decode("ascii"),
                    close=True,
                    head_only=False,
                )
            )
            self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._buffer = b""
        if self.exchange is not None:
            exchange, self.exchange = self.exchange, None
            exchange.on_client_lost()
        if self._application is not None:
            self._application.on_client_lost(exc)
            self._application = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._pump()

    def eof_received(self) -> bool:
        """Whether the connection stays open."""
        idle = self.exchange is None and not self._in_application
        if self.proto == b"https" or self._tunnel or self._discarded >= 0:
            return False
        if idle and not self._buffer:
            return False
        self.half_closed = True
        if self.exchange is not None:
            self.exchange.on_half_closed()
        elif self._in_application:
            self.answered = False
            self.deadline = self.now() + self.options.half_closed
        self._pump()
        return True

    def pause_writing(self) -> None:
        self.client_full = True
        if self.exchange is not None:
            self.exchange.on_client_full(True)
        elif self._application is not None:
            self._application.on_client_full(True)

    def resume_writing(self) -> None:
        self.client_full = False
        if self.exchange is not None:
            self.exchange.on_client_full(False)
        elif self._application is not None:
            self._application.on_client_full(False)
        self._pump()

    # -- uvicorn's side

    def shutdown(self) -> None:
        """The process leaves: the request under way is the last one."""
        self.shutting_down = True
        if self._in_application:
            assert self._application is not None
            self._application.leave()
        elif self.exchange is None or self._tunnel:
            self._close()

    def hand_over(self, protocol: asyncio.BaseProtocol) -> None:
        """The connection becomes a WebSocket of the application's."""
        self._forget()
        self._application = None
        self._in_application = False
        self.transport.set_protocol(protocol)
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        rest, self._buffer = self._buffer, b""
        if rest and isinstance(protocol, asyncio.Protocol):
            protocol.data_received(rest)

    def on_application_over(self) -> None:
        """The application has answered."""
        self._in_application = False
        self._next()

    def _forget(self) -> None:
        self.deadline = math.inf
        self._state.connections.discard(self)
        self.proxy.connections.discard(self)

    # -- reading

    def hold(self) -> None:
        """Whoever has the request cannot take more of it for now."""
        self.held = True
        self._read_or_not()

    def release(self) -> None:
        """It can again."""
        if self.held:
            self.held = False
            self._pump()

    def _read_or_not(self) -> None:
        pause = self.held or len(self._buffer) > MAX_AHEAD
        if self.half_closed:
            return  # there is nothing to read
        if pause != self._paused and not self.transport.is_closing():
            self._paused = pause
            if pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _pump(self) -> None:
        """Pass on what has arrived, as far as it goes."""
        if self._pumping:
            return
        self._pumping = True
        steps = STEPS
        try:
            while self._buffer and not self.held and not self.transport.is_closing():
                if not steps:
                    self._pump_soon()
                    break
                steps -= 1
                if not self._step():
                    break
            if self.half_closed and not self._due:
                self._at_end()
        except Rejection as rejection:
            self._refuse_connection(rejection)
        finally:
            self._pumping = False
        if self._paused or len(self._buffer) > MAX_AHEAD:
            self._read_or_not()

    def _pump_soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._due = False
        if not self.transport.is_closing():
            self._pump()

    def _at_end(self) -> None:
        """All that the client sends has come, and has been read as far as it goes."""
        if self.held or self.client_full or self._discarded >= 0 or self.transport.is_closing():
            return
        if self._body is not None:
            raise malformed("the body ended before it was complete", "MALFORMED_BODY")
        if self.exchange is not None or self._in_application:
            return
        if self._buffer:
            raise malformed("the head ended before it was complete")
        self._close()

    def _step(self) -> bool:
        """One thing with the buffer; whether there may be another."""
        if self._discarded >= 0:
            return self._discard()
        if self._body is not None:
            return self._read_body(self._body)
        if self._tunnel:
            data, self._buffer = self._buffer, b""
            assert self.exchange is not None
            self.exchange.on_tunnel(data)
            return False
        if self.exchange is not None or self._in_application or self.client_full:
            return False
        return self._read_head()

    def _read_head(self) -> bool:
        buffer = self._buffer
        if not self._started:
            self._started = True
            self.deadline = self.now() + self.options.head_timeout
        if buffer[:2] == b"\r\n":
            self._buffer = without_empty_lines(buffer)
            return True
        end = buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0 or end > MAX_HEAD:
            if len(buffer) > MAX_HEAD:
                raise Rejection(
                    431,
                    "HEAD_TOO_LARGE",
                    f"the request's line and headers are larger than {MAX_HEAD} bytes",
                    metadata={"limit": str(MAX_HEAD)},
                )
            if has_bare_lf(buffer, self._scanned):
                raise malformed("a line of the head ends with a bare LF")
            self._scanned = max(1, len(buffer) - 3)
            return False
        self._scanned = 0
        self._started = False
        head = parse_request(buffer[:end])
        self._buffer = buffer[end + 4 :]
        self.keep_alive = head.keep_alive
        self._body = framer_of(head.length, CHUNKS_A_STEP) if head.length else None
        self.deadline = math.inf
        if self.proxy.is_crowded(len(self._state.connections)):
            self.keep_alive = head.keep_alive = False
            rejection = self.proxy.crowded()
            self.refuse(rejection, head, head.request_id, complete=self._body is None)
            return True
        try:
            exchange = self.proxy.exchange_for(self, head)
        except Rejection as rejection:
            self.refuse(rejection, head, head.request_id, complete=self._body is None)
            return True
        if exchange is not None:
            self.exchange = exchange
            exchange.begin()
        else:
            self._to_application(head, buffer[: end + 4])
        return True

    def _to_application(self, head: RequestHead, raw: bytes) -> None:
        if self._application is None:
            self._application = Application(self, self.transport, self._base, *self._uvicorn)
        self._in_application = True
        if not head.upgrade and b"pgrade" in raw.lower():
            # No upgrade but to a WebSocket, or uvicorn's parser would take the rest of the
            # connection for the other protocol.
            raw = _UPGRADE_LINES.sub(b"", raw[:-4])
            raw += b"\r\n\r\n" if head.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self._application.feed(raw)

    def _read_body(self, body: Framer) -> bool:
        try:
            data, taken, done = body.feed(self._buffer)
        except BadFraming as error:
            raise malformed(str(error), "MALFORMED_BODY") from None
        if not taken and not done:
            return False
        self._buffer = self._buffer[taken:]
        if done:
            self._body = None
        if self.exchange is not None:
            self.exchange.on_body(data, done)
        elif self._application is not None:
            if isinstance(body, ChunkedFramer):
                # One chunk of all that came: uvicorn's parser takes each by itself.
                data = chunk(data) + LAST_CHUNK if done else chunk(data)
            answered = not self._in_application
            if data:
                self._application.feed(data)
            if answered and done:
                # It has answered without reading all; its parser had to see the end.
                self._next()
        return True

    def _discard(self) -> bool:
        self._discarded += len(self._buffer)
        self._buffer = b""
        if self._discarded > MAX_DISCARDED:
            self.transport.abort()
        return False

    # -- writing

    def write(self, data: bytes) -> None:
        """To the client."""
        self.transport.write(data)

    def close(self) -> None:
        """End the connection when all is written."""
        self.exchange = None
        self._close()

    def _close(self) -> None:
        self.transport.close()
        # What is written may wait for a client that never reads it.
        self._unread = self.transport.get_write_buffer_size()
        self.deadline = self.now() + self.options.write_timeout

    def abort(self) -> None:
        """End it at once; the client sees a reset."""
        self.exchange = None
        self.transport.abort()

    def on_tunnel(self) -> None:
        """The exchange's connection is upgraded: bytes from now on."""
        self._tunnel = True
        self._pump()

    def refuse(
        self, rejection: Rejection, head: RequestHead, request_id: bytes, *, complete: bool
    ) -> None:
        """Answer a request with a problem.

        Args:
            complete: its body was read, or there is none: the connection can go on.
        """
        self.exchange = None
        self.keep_alive = head.keep_alive and complete and not self.shutting_down
        self.transport.write(
            answer(
                rejection,
                request_id=(request_id or self.proxy.new_request_id()).decode("ascii"),
                close=not self.keep_alive,
                head_only=head.method == b"HEAD",
            )
        )
        if complete:
            self._next()
        else:
            self._linger()

    def _refuse_connection(self, rejection: Rejection) -> None:
        """Where a request begins is unknown from here on."""
        exchange, self.exchange = self.exchange, None
        unanswered = True
        if exchange is not None:
            unanswered = exchange.on_bad_body()
        elif self._in_application:
            assert self._application is not None
            application, self._application = self._application, None
            self._in_application = False
            unanswered = application.give_up()
        elif self._body is not None:
            # The application has answered without reading all.
            unanswered = False
        if not unanswered:
            # There is no place for a second answer.
            self.transport.abort()
            return
        self.proxy.malformed += 1
        self.transport.write(
            answer(
                rejection,
                request_id=self.proxy.new_request_id().decode("ascii"),
                close=True,
                head_only=False,
            )
        )
        self._linger()

    def on_over(self) -> None:
        """The exchange has been answered."""
        self.exchange = None
        if self._body is not None:
            # Answered before its body had come: there is nobody to pass the rest on to.
            self._linger()
        else:
            self._next()

    def _next(self) -> None:
        """The request is over: the next one, or the end."""
        if self.transport.is_closing() or not self.keep_alive or self.shutting_down:
            self._close()
            return
        self.deadline = self.now() + self.options.client_idle
        if self._body is not None:
            # The application answered early: the rest of the body is still to come.
            self.deadline = self.now() + self.options.read_timeout
        if self._buffer:
            self._pump()
        elif self.half_closed:
            self._close()

    def _linger(self) -> None:
        """Read on for a moment before closing: a reset would take the answer from the client."""
        self._body = None
        self._discarded = 0
        self._buffer = b""
        self.held = False
        if self.half_closed:
            self._close()
            return
        self.deadline = self.now() + LINGER
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    # -- time

    def on_deadline(self) -> None:
        """`deadline` has passed."""
        self.deadline = math.inf
        if self.transport.is_closing():
            unread = self.transport.get_write_buffer_size()
            if unread < self._unread:
                self._close()
            else:
                self.transport.abort()
        elif self.exchange is not None:
            self.exchange.on_deadline()
        elif self._in_application:
            # It has its own; but it is not told that the client may be gone.
            if self.answered:
                self.answered = False
                self.deadline = self.now() + self.options.half_closed
            elif self.half_closed:
                self.transport.abort()
        elif self._discarded >= 0:
            self.transport.abort()
        elif not self._started:
            self._close()
        else:
            self._refuse_connection(
                Rejection(408, "REQUEST_TIMEOUT", "the head of the request did not arrive in time")
            )
