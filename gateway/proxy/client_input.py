"""What a client sends, in a bounded buffer, and how its connection ends.

Bytes wait in the buffer until `_step` takes them, and past `MAX_AHEAD` in the socket. `hold` stops
the steps while whoever has the request under way cannot take more of it. What the steps do is
decided in `client_connection`; this is its base class, and not an object beside it, since it is on
the path of every byte.

A connection ends in one of three ways: `_close` when all is written, `_linger` when the client has
to read an answer although it still sends, or the transport's `abort`.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from gateway.proxy.http1.problems import Rejection
from gateway.proxy.options import ProxyOptions

# Bytes of following requests that are read before the one under way is answered.
MAX_AHEAD: Final = 65_536
# The body of a request that was answered early is read and thrown away, so that the client gets to
# read the answer: so many bytes at most, for so many seconds.
MAX_DISCARDED: Final = 64 << 20
LINGER: Final = 2.0
# Heads and parts of bodies that are read before other connections have their turn.
STEPS: Final = 16


class ClientInput(asyncio.Protocol):
    """The buffer of one connection, and the timer `deadline`."""

    __slots__ = (
        "_buffer",
        "_discarded",
        "_due",
        "_paused",
        "_pumping",
        "_unread",
        "client_full",
        "deadline",
        "half_closed",
        "held",
        "now",
        "options",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, options: ProxyOptions, now: Callable[[], float]) -> None:
        self.options = options
        self.now = now
        self.deadline = math.inf
        self.held = False
        """What arrives is not passed on for now."""
        self.client_full = False
        """The client does not read: what was written waits."""
        self.half_closed = False
        """The client sends nothing any more."""
        self._buffer = b""
        # Bytes thrown away; -1 when none are.
        self._discarded = -1
        # Bytes that waited for the client when the connection was being closed.
        self._unread = 0
        self._paused = False
        self._pumping = False
        # `_pump` has been put off to the loop's next turn.
        self._due = False

    @abstractmethod
    def _step(self) -> bool:
        """Do one thing with the buffer; whether there may be another. Raises Rejection."""

    @abstractmethod
    def _at_end(self) -> None:
        """All that the client sends has come, and has been read as far as it goes. Raises
        Rejection."""

    @abstractmethod
    def _on_client_full(self, full: bool) -> None:
        """The client does not read, or reads again."""

    @abstractmethod
    def _refuse_connection(self, rejection: Rejection) -> None:
        """Where a request begins is unknown from here on."""

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        self._pump()

    def pause_writing(self) -> None:
        self.client_full = True
        self._on_client_full(True)

    def resume_writing(self) -> None:
        self.client_full = False
        self._on_client_full(False)
        self._pump()

    def write(self, data: bytes) -> None:
        """To the client."""
        self.transport.write(data)

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

    def _discard(self) -> bool:
        self._discarded += len(self._buffer)
        self._buffer = b""
        if self._discarded > MAX_DISCARDED:
            self.transport.abort()
        return False

    # -- ends

    def _close(self) -> None:
        self.transport.close()
        # What is written may wait for a client that never reads it.
        self._unread = self.transport.get_write_buffer_size()
        self.deadline = self.now() + self.options.write_timeout

    def _linger(self) -> None:
        """Read on for a moment before closing: a reset would take the answer from the client."""
        self._discarded = 0
        self._buffer = b""
        self.held = False
        if self.half_closed:
            self._close()
            return
        self.deadline = self.now() + LINGER
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def _unread_for_too_long(self) -> None:
        """The deadline of a connection that is being closed."""
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread:
            self._close()
        else:
            self.transport.abort()
