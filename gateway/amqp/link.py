"""What a channel knows of its connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.amqp.cluster.calls import Calls
from gateway.amqp.cluster.outbox import Settled
from gateway.amqp.cluster.publisher import Publisher
from gateway.amqp.cluster.session import Session
from gateway.amqp.flow import Holder
from gateway.amqp.hall import Counts
from gateway.amqp.wire.replies import AmqpError
from quorate.runtime.errors import QuorateError


class Link(Protocol):
    """The connection of a channel."""

    @property
    def counts(self) -> Counts: ...

    @property
    def calls(self) -> Calls: ...

    @property
    def owner(self) -> Session:
        """Owns the exclusive queues of the connection. Not open before it is needed."""

    @property
    def owner_id(self) -> str:
        """Of `owner`; empty if it was never needed."""

    def session(self, failed: Callable[[QuorateError], None]) -> Session:
        """A new session."""

    def publisher(
        self,
        number: int,
        failed: Callable[[QuorateError], None],
        settled: Callable[[Sequence[Settled]], None],
    ) -> Publisher:
        """A new producer."""

    def send(self, data: bytes) -> None:
        """Frames for the client."""

    def close_channel(self, number: int, error: AmqpError) -> None:
        """An error ends the channel, or the connection."""

    async def drained(self) -> None:
        """Wait until what was published so far on any channel is settled."""

    def channel_closed(self, number: int, channel: Holder) -> None:
        """The client closed the channel, and all is done."""

    def relieved(self, channel: Holder) -> None:
        """It may hold less than before."""
