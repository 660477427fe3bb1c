"""Whether a connection is read: by what it holds, and by what its client does not take.

Past `MOST_HELD` bytes that are published and not durable, or wait for the cluster, the socket is
not read; TCP then holds the client. What channels that are closed still publish counts too. A
client that does not read holds its own consumers: the cluster sends no more until what is written
for it is taken. If it sends on and `MOST_ANSWERS` bytes of answers wait too, it is not read either.

What a connection holds when it is lost is still published, if that of all lost ones is at most
`MOST_DRAINING`. Otherwise it is dropped: none of it was confirmed.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from gateway.amqp.hall import MOST_DRAINING, Hall

log = structlog.get_logger(__name__)

# Bytes that one connection holds, unless there are many (`Hall.share`); below half of that it is
# read again.
MOST_HELD: Final = 8 << 20
# Bytes written and not taken by the client, past which its consumers get nothing.
MOST_UNREAD: Final = 1 << 20
# Bytes of answers written while its consumers get nothing, past which it is not read. Not at once:
# a client may have to send before it reads again.
MOST_ANSWERS: Final = 64 << 10


class Holder(Protocol):
    """Holds bytes for a connection: a channel."""

    @property
    def held(self) -> int:
        """How many."""


class Flow:
    """Of one connection.

    Attributes:
        writable: set while the client takes what is written for it.
        held: bytes of all channels, as counted last.
        paused: the socket is not read.
    """

    def __init__(self, hall: Hall) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.held = 0
        self.paused = False
        self._hall = hall
        self._lost = False
        # By channel: a sum over all at each read would be long. At most those that hold something.
        self._counted: dict[Holder, int] = {}
        self._answers = 0
        # Bytes that the client has not taken, at the last look.
        self._unread = 0

    def count(self, holder: Holder) -> None:
        """A channel may hold another number of bytes than before."""
        held = holder.held
        self._change(held - self._counted.get(holder, 0))
        if held:
            self._counted[holder] = held
        else:
            self._counted.pop(holder, None)

    def forget(self, holder: Holder) -> None:
        """A channel is done with all."""
        self._change(-self._counted.pop(holder, 0))

    def lose(self) -> bool:
        """The socket is closed: whether what is held may still be published (`MOST_DRAINING`)."""
        self._lost = True
        counts = self._hall.counts
        counts.draining += self.held
        if counts.draining <= MOST_DRAINING:
            return True
        log.warning("amqp_publications_dropped", bytes=self.held, limit=MOST_DRAINING)
        return False

    def _change(self, size: int) -> None:
        self.held += size
        if self._lost:
            self._hall.counts.draining += size

    def writes(self, size: int) -> None:
        """Bytes are written for the client."""
        if not self.writable.is_set():
            self._answers += size

    def taken(self) -> None:
        """The client has taken most of what was written."""
        self._answers = 0
        self.writable.set()

    def hold(self, transport: asyncio.Transport) -> None:
        """Read the socket, or do not, as it follows from all this."""
        most = self._hall.share(MOST_HELD)
        unread = self._answers > MOST_ANSWERS
        if not self.paused and (unread or self.held > most):
            self.paused = True
            transport.pause_reading()
        elif self.paused and not unread and self.held <= most // 2:
            self.paused = False
            transport.resume_reading()

    def silence_counts(self, transport: asyncio.Transport) -> bool:
        """Whether it is the client's if nothing comes from it: the socket is read, or it is not
        because the client has taken nothing since the last look."""
        unread, before = transport.get_write_buffer_size(), self._unread
        self._unread = unread
        return not self.paused or (self._answers > MOST_ANSWERS and unread >= before)
