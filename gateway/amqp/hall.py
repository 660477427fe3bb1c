"""What all AMQP connections of a gateway share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from gateway.amqp.seen import ConnectionSeen
from gateway.auth.credentials import Access
from gateway.cluster.calls import Upstream
from quorate.security.same_user import SameUser

log = structlog.get_logger(__name__)

# Bytes that all connections together hold of one kind: published and not durable, or bodies that
# are not complete, or not read by clients. Of a connection at least that; one message of it may be
# larger (`Connection.most_body`).
MOST_TOGETHER: Final = 512 << 20
LEAST_SHARE: Final = 1 << 20
# Bytes that connections which are lost hold until it is durable, all together.
MOST_DRAINING: Final = 128 << 20


@dataclass(slots=True)
class Counts:
    """Of all connections of a gateway, since it began: messages, and logins that were refused.

    Attributes:
        draining: bytes that lost connections hold now.
    """

    published: int = 0
    delivered: int = 0
    refused: int = 0
    draining: int = 0


class Open(Protocol):
    """A connection that is open.

    Attributes:
        gone: its socket is closed.
    """

    gone: asyncio.Event

    @property
    def channels(self) -> int:
        """How many are open."""

    @property
    def held(self) -> int:
        """Bytes that are published and not durable, or wait for the cluster."""

    @property
    def seen(self) -> ConnectionSeen:
        """For the management API."""

    def shut_down(self) -> None:
        """The gateway ends."""

    def abort(self) -> None:
        """Close the socket at once."""


@dataclass(frozen=True, slots=True)
class Hall:
    """What all connections of a gateway share.

    Attributes:
        instance: of the gateway; `version`: of the product.
        counts: for the metrics.
        connections: those that are open.
        tasks: what is still to do for those that are not.
        most: connections that may be open.
        owner: decides whom to serve; None: everybody who reaches the port.
    """

    upstream: Upstream
    access: Access
    instance: str
    version: str
    most: int
    owner: SameUser | None
    counts: Counts
    connections: dict[Open, None]
    tasks: set[asyncio.Task[None]]
    numbers: itertools.count[int]

    def share(self, most: int) -> int:
        """What one connection may hold: `most`, or its share of what all may."""
        return min(most, max(LEAST_SHARE, MOST_TOGETHER // max(1, len(self.connections))))

    def refuses(self, transport: asyncio.Transport) -> bool:
        """Whether a connection is one too many, or of somebody else; that is logged."""
        name = transport.get_extra_info
        if len(self.connections) >= self.most:
            log.warning("amqp_too_many_connections", limit=self.most)
            return True
        if self.owner is not None and not self.owner.serves(name("peername"), name("sockname")):
            log.warning("amqp_other_user_refused")
            return True
        return False

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """See `tasks`."""
        task = asyncio.create_task(work, name="amqp")
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("amqp_task_failed", exc_info=error)
