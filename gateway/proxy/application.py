"""Requests that are not a service's: uvicorn's protocol, on a connection that it shares.

The `ClientConnection` owns the socket and reads every request head. When one is the application's,
its bytes are fed to a uvicorn protocol that is made for this connection when first needed, and
whose transport is a `Lent` one: writes go through, pausing goes to the front, which holds bytes
back. The front feeds one request at a time, so uvicorn never sees the next one before it has
answered.

A WebSocket takes the connection over for good: uvicorn's WebSocket protocol becomes the socket's
protocol, and the front is out of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Final, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.proxy.http1.framing import LAST_CHUNK, chunk
from gateway.proxy.http1.heads import RequestHead

_UPGRADE_LINES: Final = re.compile(rb"\r\n(?:upgrade|connection|http2-settings):[^\r]*", re.I)


class Lender(Protocol):
    """The connection that the application answers on: `client_connection.Front`."""

    answered: bool
    """The application has written something."""

    def hand_over(self, protocol: asyncio.BaseProtocol) -> None:
        """The connection is a WebSocket of the application from now on."""

    def hold(self) -> None:
        """The application takes no more of the request for now."""

    def release(self) -> None:
        """It can again."""

    def close(self) -> None:
        """End the connection when all is written."""

    def on_application_over(self) -> None:
        """The application has answered."""


class Lent(asyncio.Transport):
    """The front's transport as the application's protocol may use it."""

    def __init__(self, client: Lender, transport: asyncio.Transport) -> None:
        super().__init__()
        self.client = client
        self._transport = transport
        self._taken = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The connection is this protocol's from now on."""
        self._taken = True
        self.client.hand_over(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def pause_reading(self) -> None:
        if self._taken:
            self._transport.pause_reading()
        else:
            self.client.hold()

    def resume_reading(self) -> None:
        if self._taken:
            self._transport.resume_reading()
        else:
            self.client.release()

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.client.answered = True
        self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.client.answered = True
        self._transport.writelines(list_of_data)

    def close(self) -> None:
        if self._taken:
            self._transport.close()
        else:
            self.client.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        self._transport.write_eof()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._transport.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)


class Application:
    """The application's side of one connection."""

    __slots__ = ("_protocol", "_state")

    def __init__(
        self,
        client: Lender,
        transport: asyncio.Transport,
        base: type[HttpToolsProtocol],
        config: Config,
        state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        self._protocol = _telling(base)(config, state, app_state)
        self._state = state
        self._protocol.connection_made(Lent(client, transport))
        # The front stands for the connection, whoever has it at the time.
        state.connections.discard(self._protocol)

    def begin(self, head: RequestHead, raw: bytes) -> None:
        """The next request: its head, and the bytes that it came in."""
        if not head.upgrade and b"pgrade" in raw.lower():
            # No upgrade but to a WebSocket, or uvicorn's parser would take the rest of the
            # connection for the other protocol.
            raw = _UPGRADE_LINES.sub(b"", raw[:-4])
            raw += b"\r\n\r\n" if head.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self._protocol.data_received(raw)

    def body(self, data: bytes, done: bool, *, chunked: bool) -> None:
        """The next part of the request's body."""
        if chunked:
            # One chunk of all that came: uvicorn's parser takes each by itself.
            data = chunk(data) + LAST_CHUNK if done else chunk(data)
        if data:
            self._protocol.data_received(data)

    def on_client_full(self, full: bool) -> None:
        """The client does not read, or reads again."""
        if full:
            self._protocol.pause_writing()
        else:
            self._protocol.resume_writing()

    def on_client_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self._protocol.connection_lost(error)

    def give_up(self) -> bool:
        """Its request cannot be read further. Whether nothing of an answer was passed on."""
        cycle = self._protocol.cycle
        started = cycle is not None and cycle.response_started
        # With an error, or it would close the connection.
        self._protocol.connection_lost(ConnectionAbortedError())
        return not started

    def leave(self) -> None:
        """Close the connection with the answer under way."""
        self._protocol.shutdown()


def _telling(base: type[HttpToolsProtocol]) -> type[HttpToolsProtocol]:
    """`base`, telling the front of the end of each answer."""
    known = _CLASSES.get(base)
    if known is None:

        class Telling(base):  # type: ignore[valid-type, misc]
            def on_response_complete(self) -> None:
                super().on_response_complete()
                # Between requests the connection is the front's, and so is its time.
                self._unset_keepalive_if_required()
                lent: Lent = self.transport
                lent.client.on_application_over()

        known = _CLASSES[base] = Telling
    return known


_CLASSES: dict[type[HttpToolsProtocol], type[HttpToolsProtocol]] = {}
