"""Deliveries of one queue or stream, in an asyncio program. The twin of `consumer`."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from quorate.client.messages.consuming.delivery import AsyncDelivery
from quorate.client.messages.consuming.link.alink import AsyncConsumerLink
from quorate.client.messages.consuming.link.link import CLOSE_SECONDS
from quorate.client.messages.consuming.private import Private
from quorate.client.messages.consuming.properties import ConsumerProperties
from quorate.client.messages.consuming.subscription import Subscription
from quorate.client.messages.streams.open_streams import OpenStreams
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.transport.acalls import AsyncCalls
from quorate.v1 import broker_pb2 as pb


class AsyncConsumer(ConsumerProperties):
    """As `Consumer`, for one event loop; `client.consume` makes it.

    async with client.consume("mail") as consumer:
        async for delivery in consumer:
            await send(delivery.json())
            await delivery.ack()

    Without an `async with` block a loop that is left ends the consumer soon after, not at once:
    Python leaves that to the event loop.
    """

    link: AsyncConsumerLink

    def __init__(
        self,
        calls: AsyncCalls,
        streams: OpenStreams,
        subscription: Subscription,
        *,
        timeout: float | None = None,
        private: Private | None = None,
    ) -> None:
        self.link = AsyncConsumerLink(calls, streams, subscription, private)
        self._timeout = timeout
        self._entered = False
        weakref.finalize(self, self.link.abandon).atexit = False

    async def get(self, timeout: float | None = None) -> AsyncDelivery | None:
        """As `Consumer.get`."""
        found = await self.link.get(timeout)
        return None if found is None else AsyncDelivery(found, self.queue, self)

    async def flush(self, timeout: float | None = None) -> None:
        """As `Consumer.flush`."""
        await self.link.flush(timeout)

    def stop(self) -> None:
        """As `Consumer.stop`; from the same event loop."""
        self.link.stop()

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """As `Consumer.close`. Cancelled, it ends the consumer all the same, without waiting."""
        await self.link.close(timeout)

    async def __aiter__(self) -> AsyncIterator[AsyncDelivery]:
        try:
            while (delivery := await self.get(self._timeout)) is not None:
                yield delivery
        finally:
            if not self._entered:
                await self.close()

    async def __aenter__(self) -> Self:
        """As `Consumer.__enter__`."""
        self._entered = True
        try:
            await self.link.until_ready()
        except BaseException:
            # Nobody calls `__aexit__` then.
            self.link.leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int) -> None:
        """See `AsyncDelivery`."""
        await self.link.settle(delivery, outcome, delay_millis)

    async def reply(self, to: Received, body: Body, properties: MessageArgs) -> None:
        """See `AsyncDelivery.reply`."""
        await self.link.reply(to, body, properties)
