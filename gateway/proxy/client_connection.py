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
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.proxy.application import Application
from gateway.proxy.client_input import ClientInput
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.framing import CHUNKS_A_STEP, BadFraming, ChunkedFramer, Framer, framer_of
from gateway.proxy.http1.heads import (
    MAX_HEAD,
    RequestHead,
    check_unfinished,
    parse_request,
    without_empty_lines,
)
from gateway.proxy.http1.problems import Rejection, answer, malformed
from gateway.proxy.router import Router

# Connections beyond those that are served which at least get an answer.
MOST_REFUSED: Final = 64


class ClientConnection(ClientInput):
    """One client's connection. What uvicorn's `Server` sees in its list of connections.

    Args:
        proxy: decides which requests are services'.
        base: uvicorn's protocol for the other requests.
    """

    __slots__ = (
        "_application",
        "_body",
        "_in_application",
        "_scanned",
        "_started",
        "_state",
        "_tunnel",
        "_uvicorn",
        "answered",
        "exchange",
        "keep_alive",
        "peer",
        "proto",
        "proxy",
        "shutting_down",
    )

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
        super().__init__(proxy.options, proxy.now)
        self.keep_alive = True
        """The connection goes on after the request under way."""
        self.shutting_down = False
        """The process is: no further request on this connection."""
        self.answered = False
        """The application has written something; reset by whoever looks."""
        self.exchange: Exchange | None = None
        self._uvicorn = (base, config, server_state, app_state)
        self._state = server_state
        self._application: Application | None = None
        # Whose the request under way is, if it is not an exchange's.
        self._in_application = False
        self._tunnel = False
        # The request's body that is being read; None when it is complete.
        self._body: Framer | None = None
        self._scanned = 0
        # Something of the next head has arrived, if only an empty line.
        self._started = False

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
            # Without an answer: a file descriptor is worth more than an answer by now.
            self.transport.abort()
            return
        owner = self.options.owner
        if owner is not None and not owner.serves(address, transport.get_extra_info("sockname")):
            # Before a byte of it is read.
            error = owner.rejection()
            self._answer(Rejection(403, error.reason, error.message))
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

    def _on_client_full(self, full: bool) -> None:
        if self.exchange is not None:
            self.exchange.on_client_full(full)
        elif self._application is not None:
            self._application.on_client_full(full)

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
            check_unfinished(buffer, self._scanned)
            self._scanned = max(1, len(buffer) - 3)
            return False
        self._scanned = 0
        self._started = False
        head = parse_request(buffer[:end])
        self._buffer = buffer[end + 4 :]
        self.keep_alive = head.keep_alive
        self._body = framer_of(head.length, CHUNKS_A_STEP) if head.length else None
        self.deadline = math.inf
        try:
            if self.proxy.is_crowded(len(self._state.connections)):
                self.keep_alive = head.keep_alive = False
                raise self.proxy.crowded()
            exchange = self.proxy.exchange_for(self, head)
        except Rejection as rejection:
            self.refuse(rejection, head, head.request_id, complete=self._body is None)
            return True
        self.exchange = exchange
        if exchange is not None:
            exchange.begin()
            return True
        if self._application is None:
            self._application = Application(self, self.transport, *self._uvicorn)
        self._in_application = True
        self._application.begin(head, buffer[: end + 4])
        return True

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
            answered = not self._in_application
            self._application.body(data, done, chunked=isinstance(body, ChunkedFramer))
            if answered and done:
                # It has answered without reading all; its parser had to see the end.
                self._next()
        return True

    # -- writing

    def close(self) -> None:
        """End the connection when all is written."""
        self.exchange = None
        self._close()

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
        head_only = head.method == b"HEAD"
        self._answer(rejection, request_id, close=not self.keep_alive, head_only=head_only)
        if complete:
            self._next()
        else:
            self._linger()

    def _answer(
        self,
        rejection: Rejection,
        request_id: bytes = b"",
        *,
        close: bool = True,
        head_only: bool = False,
    ) -> None:
        text = (request_id or self.proxy.new_request_id()).decode("ascii")
        self.write(answer(rejection, request_id=text, close=close, head_only=head_only))

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
        self._answer(rejection)
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
        self._body = None
        super()._linger()

    # -- time

    def on_deadline(self) -> None:
        """`deadline` has passed."""
        self.deadline = math.inf
        if self.transport.is_closing():
            self._unread_for_too_long()
        elif self.exchange is not None:
            self.exchange.on_deadline()
        elif self._in_application:
            # It has its own; but it does not learn that the client may be gone.
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
