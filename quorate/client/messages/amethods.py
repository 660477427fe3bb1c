"""What `AsyncClient` has for messages. The twin of `methods`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.messages.arequesting import AsyncRequester
from quorate.client.messages.atopology import AsyncTopologyMethods
from quorate.client.messages.consuming.aconsumer import AsyncConsumer
from quorate.client.messages.consuming.delivery import AsyncDelivery, settled_once
from quorate.client.messages.consuming.private import Private
from quorate.client.messages.consuming.subscription import DEFAULT_PREFETCH, Offset, subscription
from quorate.client.messages.consuming.transacting import transact_async
from quorate.client.messages.publishing import window
from quorate.client.messages.publishing.aproducer import AsyncProducer
from quorate.client.messages.requesting import DEFAULT_TIMEOUT
from quorate.client.messages.rpcs import PUBLISH, TRANSACT
from quorate.client.messages.values import requests
from quorate.client.messages.values.declaring import QueueArgs
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.messages.values.transaction import Message, one_consumer, transaction
from quorate.v1 import broker_pb2 as pb

if TYPE_CHECKING:
    from quorate.client.messages.streams.open_streams import OpenStreams


class AsyncMessageMethods(AsyncTopologyMethods):
    """A part of `AsyncClient`: messages to exchanges, and from message queues and streams.

    `virtual_host` of all of them is a name space; "" is the default one, "/".
    """

    if TYPE_CHECKING:

        @property
        def _streams(self) -> OpenStreams: ...

    async def publish(
        self,
        exchange: str,
        body: Body,
        *,
        routing_key: str = "",
        mandatory: bool = False,
        virtual_host: str = "",
        request_id: str = "",
        **properties: Unpack[MessageArgs],
    ) -> None:
        """As `Client.publish`."""
        request = requests.publish(
            exchange, body, routing_key, properties, mandatory, virtual_host, request_id
        )
        answer = await self.calls.call(PUBLISH, request)
        window.raise_first(list(answer.results))

    async def publish_to_queue(
        self,
        queue: str,
        body: Body,
        *,
        virtual_host: str = "",
        request_id: str = "",
        **properties: Unpack[MessageArgs],
    ) -> None:
        """As `Client.publish_to_queue`."""
        await self.publish(
            "",
            body,
            routing_key=queue,
            mandatory=True,
            virtual_host=virtual_host,
            request_id=request_id,
            **properties,
        )

    def producer(
        self,
        exchange: str = "",
        *,
        queue: str = "",
        routing_key: str = "",
        mandatory: bool | None = None,
        max_messages: int = window.DEFAULT_MESSAGES,
        max_bytes: int = window.DEFAULT_BYTES,
        virtual_host: str = "",
    ) -> AsyncProducer:
        """As `Client.producer`."""
        to = requests.Destination.of(exchange, queue, routing_key, mandatory)
        return AsyncProducer(
            self.calls, self._streams, window.Window(virtual_host, max_messages, max_bytes), *to
        )

    def consume(
        self,
        queue: str,
        *,
        prefetch: int = DEFAULT_PREFETCH,
        auto_ack: bool = False,
        exclusive: bool = False,
        priority: int = 0,
        offset: Offset | None = None,
        since: dt.datetime | None = None,
        offset_name: str = "",
        timeout: float | None = None,
        name: str = "",
        virtual_host: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> AsyncConsumer:
        """As `Client.consume`."""
        made = subscription(
            queue,
            prefetch=prefetch,
            auto_ack=auto_ack,
            exclusive=exclusive,
            priority=priority,
            offset=offset,
            since=since,
            offset_name=offset_name,
            name=name,
            virtual_host=virtual_host,
            arguments=arguments,
        )
        return AsyncConsumer(self.calls, self._streams, made, timeout=timeout)

    def subscribe(
        self,
        exchange: str,
        *routing_keys: str,
        prefetch: int = DEFAULT_PREFETCH,
        auto_ack: bool = True,
        timeout: float | None = None,
        binding_arguments: Mapping[str, Any] | None = None,
        virtual_host: str = "",
        **queue: Unpack[QueueArgs],
    ) -> AsyncConsumer:
        """As `Client.subscribe`."""
        made = subscription("", prefetch=prefetch, auto_ack=auto_ack, virtual_host=virtual_host)
        private = Private(virtual_host, exchange, routing_keys or ("",), binding_arguments, queue)
        return AsyncConsumer(self.calls, self._streams, made, timeout=timeout, private=private)

    async def transact(
        self,
        messages: Iterable[Message] = (),
        *,
        ack: Sequence[AsyncDelivery] = (),
        reject: Sequence[AsyncDelivery] = (),
        requeue: Sequence[AsyncDelivery] = (),
        virtual_host: str = "",
        request_id: str = "",
    ) -> None:
        """As `Client.transact`."""
        deliveries = [*ack, *reject, *requeue]
        consumer: AsyncConsumer | None = one_consumer(deliveries)
        settles = (
            (pb.OUTCOME_ACK, ack),
            (pb.OUTCOME_REJECT, reject),
            (pb.OUTCOME_REQUEUE, requeue),
        )
        session, number, host = ("", 0, virtual_host) if consumer is None else consumer.place
        request = transaction(messages, settles, session, number, host, request_id)
        if consumer is None:
            await self.calls.call(TRANSACT, request)
            return
        with settled_once(deliveries):
            await transact_async(self.calls, consumer.link, request, [one.id for one in deliveries])

    async def request(
        self,
        exchange: str,
        body: Body,
        *,
        routing_key: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        virtual_host: str = "",
        **properties: Unpack[MessageArgs],
    ) -> Received:
        """As `Client.request`."""
        timeout = requests.checked_timeout(timeout)
        requester = self._streams.requester(
            virtual_host, lambda: AsyncRequester(self.calls, self._streams, virtual_host)
        )
        found: Received = await requester.request(exchange, routing_key, body, properties, timeout)
        return found
