"""One client's WebSocket: an asyncio protocol to which uvicorn hands connections that upgrade.

It stands beside the ASGI app, not in it, because of three things that ASGI cannot say: how much of
what was sent the client has not read, one text that goes to many connections as the same bytes, and
"drop this connection, whose buffer will never drain". The handshake and the frames of clients are
read by `websockets`' sans-I/O `ServerProtocol` (RFC 6455); no compression, which would cost memory
for each connection and encode each message for each.

    unread bytes > HIGH   no deltas any more       unread < LOW   a snapshot instead
    > HIGH for STALL s    1013, and dropped        silent for SILENCE s    dropped

State dies with the connection. The clock that looks at deadlines is `endpoint.Live`'s.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

import grpc
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.auth.credentials import SUBPROTOCOL
from gateway.http.jsonwrite import dump
from gateway.http.problems import MEDIA_TYPE, HttpError, no_route, printable, problem
from gateway.live import limits
from gateway.live.messages import frames
from gateway.live.session import POLICY, TRY_AGAIN, Session, Topics
from quorate.runtime.timing.token_bucket import TokenBucket

AWAY: Final = 1001
UNSUPPORTED: Final = 1003
BAD_TEXT: Final = 1007


class Acceptor(Protocol):
    """Lets clients in, and knows who is connected: `endpoint.Live`."""

    def admit(self, target: str, headers: Headers) -> Topics:
        """What the client of a handshake may subscribe to. Raises HttpFault."""

    def join(self, connection: LiveProtocol) -> None:
        """The connection is open."""

    def leave(self, connection: LiveProtocol) -> None:
        """The connection has ended."""


class LiveProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, live: Acceptor, server_state: Any) -> None:
        self._live = live
        self._connections: set[Any] = server_state.connections
        self._protocol = ServerProtocol(max_size=limits.MESSAGE, select_subprotocol=_subprotocol)
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._parts: list[bytes] = []
        self._text = True
        self._paused = False
        self._paused_at = 0.0
        self._drain_due = False
        self._closing = False
        self._drop: asyncio.TimerHandle | None = None
        now = self._loop.time()
        self._heard = self._pinged = now
        self._messages = TokenBucket(limits.MESSAGES_A_SECOND, limits.MESSAGES_A_SECOND, now)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not of this type, but have its methods.
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._live.leave(self)
        if self._drop is not None:
            self._drop.cancel()
        if self._session is not None:
            session, self._session = self._session, None
            session.end()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._closing and self._protocol.state is CONNECTING:
            # The handshake was refused.
            return
        # The rate of frames is looked at between slices: a read may hold tens of thousands.
        for at in range(0, len(data), limits.SLICE):
            self._receive(data[at : at + limits.SLICE])
            if self._closing:
                break
        self._flush()
        if self._protocol.close_expected():
            self._end_soon()

    def _receive(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                try:
                    self._on_request(event)
                except Exception as error:
                    # Uvicorn hands the connection over after this: nobody else would let it go.
                    self.connection_lost(error)
                    self._transport.abort()
                    raise
            elif isinstance(event, Frame) and not self._closing:
                self._on_frame(event)
        unreadable = self._protocol.handshake_exc
        if isinstance(unreadable, InvalidMessage) and self._session is None and not self._closing:
            self._transport.write(_refused(_unreadable(unreadable)).serialize())

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()
        if self._session is not None:
            # What it does not read must not keep the connection.
            self._end_soon()

    def pause_writing(self) -> None:
        self._paused = True
        self._paused_at = self._loop.time()

    def resume_writing(self) -> None:
        self._paused = False
        if not self._drain_due and self._session is not None:
            # Not from within a write: a snapshot is written then.
            self._drain_due = True
            self._loop.call_soon(self._on_drained)

    # -- uvicorn's side

    def shutdown(self) -> None:
        """The gateway leaves: clients go on at another one."""
        self.close(AWAY, "this gateway leaves")

    # -- handshake

    def _on_request(self, request: Request) -> None:
        try:
            topics = self._live.admit(request.path, request.headers)
            response = self._protocol.accept(request)
            if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
                raise _not_upgraded(response)
        except HttpError as failure:
            self._protocol.send_response(_refused(failure))
            self._closing = True
            return
        self._protocol.send_response(response)
        self._flush()
        self._transport.set_write_buffer_limits(high=limits.HIGH, low=limits.LOW)
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            # What the kernel holds of it is bounded too.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SOCKET_BUFFER)
        self._live.join(self)
        self._session = Session(topics, self)
        self._session.begin()

    # -- the client's messages

    def _on_frame(self, frame: Frame) -> None:
        if self._messages.take(self._heard):
            self.close(POLICY, f"more than {limits.MESSAGES_A_SECOND} messages a second")
            return
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._text = frame.opcode is Opcode.TEXT
            self._parts = []
        elif frame.opcode is not Opcode.CONT:
            # Pings are answered, and closing is, by `websockets`.
            return
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        data, self._parts = b"".join(self._parts), []
        if not self._text:
            self.close(UNSUPPORTED, "messages are text")
        elif not _is_text(data):
            self.close(BAD_TEXT, "a message is not UTF-8")
        elif self._session is not None:
            self._session.on_message(data)

    # -- Wire

    def keeps_up(self) -> bool:
        """Whether the client reads what it is sent."""
        return not self._paused and not self._closing

    def send(self, *parts: bytes) -> None:
        """Send one text message, in parts. The last part is not copied."""
        if self._closing or self._transport.is_closing():
            return
        *first, last = parts
        head = frames.frame_head(sum(map(len, parts)))
        self._transport.writelines((b"".join((head, *first)), last))

    def close(self, code: int, reason: str) -> None:
        """Say why, and end the connection soon, whether the client listens or not."""
        if self._closing:
            return
        if self._protocol.state is not OPEN:
            self._transport.close()
            self._end_soon()
            return
        try:
            self._protocol.send_close(code, reason)
        except InvalidState:
            # The client was faster.
            pass
        self._flush()
        self._end_soon()

    def _end_soon(self) -> None:
        self._closing = True
        if self._drop is None:
            self._drop = self._loop.call_later(limits.FAREWELL, self._transport.abort)
        if self._session is not None:
            session, self._session = self._session, None
            session.end()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                # The server ends the TCP connection.
                self._transport.close()

    def _on_drained(self) -> None:
        self._drain_due = False
        if self._session is not None and not self._paused:
            self._session.on_drained()

    # -- the clock

    @property
    def unread(self) -> int:
        """Bytes that wait for the client."""
        return self._transport.get_write_buffer_size()

    def look(self, now: float) -> None:
        """What time demands: pings, and ends of those that are stalled or gone."""
        if self._closing:
            return
        if self._paused and now - self._paused_at > limits.STALL:
            self.close(TRY_AGAIN, f"what was sent is not read for {limits.STALL:g} s")
        elif now - self._heard > limits.SILENCE:
            self._closing = True
            self._transport.abort()
        elif now - self._pinged >= limits.PING:
            self._pinged = now
            self._protocol.send_ping(b"")
            self._flush()


def _subprotocol(protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Never the one that carries a token: the answer must not repeat it."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_upgraded(response: Response) -> HttpError:
    """What `websockets` found wrong with a handshake."""
    why = (response.body or b"").decode(errors="replace").strip()
    upgrade = {"Upgrade": "websocket"} if response.status_code == 426 else {}
    return HttpError(
        response.status_code,
        grpc.StatusCode.INVALID_ARGUMENT,
        "BAD_HANDSHAKE",
        f"this is no WebSocket handshake: {why[:200]}",
        headers=upgrade,
    )


def _unreadable(error: Exception) -> HttpError:
    """A handshake that `websockets` does not read."""
    why = str(error.__cause__ or error)
    return HttpError(
        400,
        grpc.StatusCode.INVALID_ARGUMENT,
        "BAD_HANDSHAKE",
        f"this is no WebSocket handshake: {printable(why)}",
    )


def _refused(failure: HttpError) -> Response:
    body = dump(problem(failure))
    headers = Headers()
    for name, value in (
        ("Content-Type", MEDIA_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
        *failure.headers.items(),
    ):
        headers[name] = value
    return Response(failure.status, HTTPStatus(failure.status).phrase, headers, body)


def path_of(target: str, root_path: str) -> str:
    """The path of a request's target, without the prefix of a proxy in front.

    Targets are what anybody sends; this raises for none of them.
    """
    path = target.partition("?")[0]
    if not path.startswith("/"):
        # RFC 9112 section 3.2.2: the absolute form.
        path = "/" + path.partition("://")[2].partition("/")[2]
    if root_path and path.startswith(f"{root_path}/"):
        return path[len(root_path) :]
    return path


def not_here(target: str) -> HttpError:
    """404 for a WebSocket of another path."""
    return no_route(target.partition("?")[0])
