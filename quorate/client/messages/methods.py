"""What `Client` has for messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.messages.consuming.consumer import Consumer
from quorate.client.messages.consuming.delivery import Delivery, settled_once
from quorate.client.messages.consuming.private import Private
from quorate.client.messages.consuming.subscription import DEFAULT_PREFETCH, Offset, subscription
from quorate.client.messages.consuming.transacting import transact
from quorate.client.messages.publishing import window
from quorate.client.messages.publishing.producer import Producer
from quorate.client.messages.requesting import DEFAULT_TIMEOUT, Requester
from quorate.client.messages.rpcs import PUBLISH, TRANSACT
from quorate.client.messages.topology import TopologyMethods
from quorate.client.messages.values import requests
from quorate.client.messages.values.declaring import QueueArgs
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.messages.values.transaction import Message, one_consumer, transaction
from quorate.v1 import broker_pb2 as pb

if TYPE_CHECKING:
    from quorate.client.messages.streams.open_streams import OpenStreams


class MessageMethods(TopologyMethods):
    """A part of `Client`: messages to exchanges, and from message queues and streams.

    `virtual_host` of all of them is a name space; "" is the default one, "/".
    """

    if TYPE_CHECKING:

        @property
        def _streams(self) -> OpenStreams: ...

    def publish(
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
        """Publish one message; it is durable when this returns. For many use `producer`.

        It is not published twice: a call that a failover interrupts is repeated with its
        `request_id`, which the cluster knows for 10 minutes.

        Args:
            exchange: "" is the default exchange; see `publish_to_queue`.
            body: bytes as they are, text as UTF-8, any other value as JSON; at most 1 MiB.
            routing_key: what bindings are compared with; "" by default.
            mandatory: raise MessageUnroutable when it reaches no queue; by default it is gone.
            request_id: a call that is repeated with the same one publishes nothing a second time.
            properties: see `MessageArgs`.

        Raises:
            MessageUnroutable: it was mandatory and reached no queue.
            MessageRejected: a queue refused it; `reason` says why (MESSAGE_QUEUE_FULL, ...).
            QuorateError: INVALID_ARGUMENT naming the argument; NOT_FOUND: the virtual host.
        """
        request = requests.publish(
            exchange, body, routing_key, properties, mandatory, virtual_host, request_id
        )
        window.raise_first(list(self.calls.call(PUBLISH, request).results))

    def publish_to_queue(
        self,
        queue: str,
        body: Body,
        *,
        virtual_host: str = "",
        request_id: str = "",
        **properties: Unpack[MessageArgs],
    ) -> None:
        """As `publish`, to one message queue, by way of the default exchange.

        Raises as `publish`: MessageUnroutable where the queue does not exist.
        """
        self.publish(
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
    ) -> Producer:
        """A producer, which sends many messages without waiting for each; use it in a `with` block.

            with client.producer("orders") as producer:
                for order in orders:
                    producer.send(order, routing_key="orders.new")

        The block ends when all is confirmed, and raises the first failure.

        Args:
            queue: publish to this message queue by way of the default exchange, mandatory.
            routing_key, mandatory: of messages for which `send` names none.
            max_messages: messages that are not confirmed at a time, 1 to 100,000: then `send`
                waits; 1,000 by default.
            max_bytes: the same in bytes, 1 to 2^30; 8 MiB by default.
        """
        to = requests.Destination.of(exchange, queue, routing_key, mandatory)
        return Producer(
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
    ) -> Consumer:
        """Consume from a message queue or read a stream; use it in a `with` block, or iterate.

        Each message is delivered at least once: settle it with `ack`, `nack`, `requeue` or
        `reject`. Of a stream nothing is settled for good: `ack` makes room for more.

        Args:
            prefetch: deliveries that are not settled at a time, 1 to 65,535; 0: no limit but
                64 MiB. 100 by default.
            auto_ack: messages count as acknowledged before they are sent: at most once.
            exclusive: nobody else may consume from the queue meanwhile.
            priority: consumers with a higher one get messages first, -128 to 127; 0 by default.
            offset: of a stream, where to begin: a number, "first", "last" (the last chunk of
                messages) or "next" (what is published from now on, the default).
            since: of a stream: with the messages of this instant on.
            offset_name: of a stream: at the offset that `store_offset` stored under this name; at
                the first message if there is none.
            timeout: seconds without a message after which iterating ends; never by default.
            name: for people; at most 255 bytes.
            arguments: `x-` arguments of AMQP.

        Raises QuorateError, when it is entered or iterated: NOT_FOUND; FAILED_PRECONDITION: others
        have it exclusively; INVALID_ARGUMENT at once.
        """
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
        return Consumer(self.calls, self._streams, made, timeout=timeout)

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
    ) -> Consumer:
        """Consume what an exchange gets from now on; the private queue goes with the consumer.

            with client.subscribe("events", "orders.#") as events:
                for event in events: ...

        A consumer that was away for more than 10 s has lost its queue: it goes on with another one,
        and what was published meanwhile is missed. Where nothing may be missed, declare a queue.

        Args:
            routing_keys: one binding each; "" by default, which a fanout exchange needs.
            prefetch, timeout: as of `consume`.
            auto_ack: True by default: what is not settled is lost with the queue anyway.
            binding_arguments: of a headers exchange: what is compared, and `x-match`.
            queue: options of the queue, see `QueueArgs`.
        """
        made = subscription("", prefetch=prefetch, auto_ack=auto_ack, virtual_host=virtual_host)
        private = Private(virtual_host, exchange, routing_keys or ("",), binding_arguments, queue)
        return Consumer(self.calls, self._streams, made, timeout=timeout, private=private)

    def transact(
        self,
        messages: Iterable[Message] = (),
        *,
        ack: Sequence[Delivery] = (),
        reject: Sequence[Delivery] = (),
        requeue: Sequence[Delivery] = (),
        virtual_host: str = "",
        request_id: str = "",
    ) -> None:
        """Publish messages and settle deliveries in one commit: all of it, or nothing.

            client.transact([Message(total, queue="totals")], ack=[delivery])

        So a program that consumes, transforms and produces has the effect of each message once. A
        call that a failover interrupts is repeated, and done once.

        Args:
            messages: at most 512 of together 512 KiB, counted once for each queue that gets them.
            ack, reject, requeue: deliveries of one consumer, which are settled by this call alone;
                at most 5,000.
            virtual_host: of the messages; that of the consumer where deliveries are settled.
            request_id: a call that is repeated with the same one is done once.

        Raises QuorateError, and nothing was done: ROUTE_NOT_FOUND, MESSAGE_QUEUE_FULL, ... naming
        the message; UNKNOWN_DELIVERY: one was not the consumer's any more; TRANSACTION_TOO_LARGE.
        UNAVAILABLE: nobody answered for `retry_for` seconds; it may be done or not.
        """
        deliveries = [*ack, *reject, *requeue]
        consumer: Consumer | None = one_consumer(deliveries)
        settles = (
            (pb.OUTCOME_ACK, ack),
            (pb.OUTCOME_REJECT, reject),
            (pb.OUTCOME_REQUEUE, requeue),
        )
        session, number, host = ("", 0, virtual_host) if consumer is None else consumer.place
        request = transaction(messages, settles, session, number, host, request_id)
        if consumer is None:
            self.calls.call(TRANSACT, request)
            return
        with settled_once(deliveries):
            transact(self.calls, consumer.link, request, [one.id for one in deliveries])

    def request(
        self,
        exchange: str,
        body: Body,
        *,
        routing_key: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        virtual_host: str = "",
        **properties: Unpack[MessageArgs],
    ) -> Received:
        """Publish a request and wait for its reply (`Delivery.reply`).

        Replies come on one private queue of the client. A reply is lost with the client; whoever
        replies gets MessageUnroutable then.

        Args:
            timeout: seconds until it is given up; 30 by default.

        Raises:
            TimeoutError: no reply came.
            MessageUnroutable: the request reached no queue.
            QuorateError: as `publish`; TOO_MANY_REQUESTS: 10,000 wait already.
        """
        timeout = requests.checked_timeout(timeout)
        requester = self._streams.requester(
            virtual_host, lambda: Requester(self.calls, self._streams, virtual_host)
        )
        found: Received = requester.request(exchange, routing_key, body, properties, timeout)
        return found
