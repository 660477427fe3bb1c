"""Deliveries of one queue or stream, in a synchronous program."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from quorate.client.messages.consuming.delivery import Delivery
from quorate.client.messages.consuming.link.link import CLOSE_SECONDS, ConsumerLink
from quorate.client.messages.consuming.private import Private
from quorate.client.messages.consuming.properties import ConsumerProperties
from quorate.client.messages.consuming.subscription import Subscription
from quorate.client.messages.streams.open_streams import OpenStreams
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.transport.calls import Calls
from quorate.v1 import broker_pb2 as pb


class Consumer(ConsumerProperties):
    """Consumes from one message queue or stream; `client.consume` makes it.

        with client.consume("mail") as consumer:
            for delivery in consumer:
                send(delivery.json())
                delivery.ack()

    It ends with its `with` block. Without one it ends when a loop over it is left, in whichever way
    (`break`, an exception, a generator that is closed), and when the program drops it. Either way
    its messages that are not settled go back to the queue.

    Thread-safe: in a `with` block several threads may take deliveries. A change of leaders is a
    pause: the session goes on with what it has, and no message comes again whose acknowledgement
    `flush` waited for.

    Iterating ends after `stop`, or when nothing came for `timeout` seconds, if that was given.
    It raises ConsumerEnded when the leader ended the consumer (its queue was deleted, a delivery
    was not settled in time), and QuorateError when nobody answered for `retry_for` seconds. In a
    child process (`os.fork`) all methods raise QuorateError, FORKED; make a client in each process.
    """

    link: ConsumerLink

    def __init__(
        self,
        calls: Calls,
        streams: OpenStreams,
        subscription: Subscription,
        *,
        timeout: float | None = None,
        private: Private | None = None,
    ) -> None:
        self.link = ConsumerLink(calls, streams, subscription, private)
        self._timeout = timeout
        self._entered = False
        weakref.finalize(self, self.link.abandon).atexit = False

    def get(self, timeout: float | None = None) -> Delivery | None:
        """The next delivery; None after `timeout` seconds without one, or after `stop`.

        Raises as iterating does.
        """
        found = self.link.get(timeout)
        return None if found is None else Delivery(found, self.queue, self)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all settlements are durable: none of these messages comes again.

        Raises:
            DeliveryLost: one was refused since the last flush: the message was not this consumer's
                any more, and may be delivered to another one; `deliveries` has its id.
            TimeoutError: some are not durable after `timeout` seconds.
            QuorateError: why the consumer ended.
        """
        self.link.flush(timeout)

    def stop(self) -> None:
        """End iterating, in whichever thread. In a `with` block the delivery at hand can still be
        settled."""
        self.link.stop()

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Give back what was not taken, wait until settlements are durable, end the session.

        What the program took and did not settle is delivered again, and counts as a delivery in
        vain. Waits for at most `timeout` seconds. Idempotent.
        """
        self.link.close(timeout)

    def __iter__(self) -> Iterator[Delivery]:
        try:
            while (delivery := self.get(self._timeout)) is not None:
                yield delivery
        finally:
            if not self._entered:
                self.close()

    def __enter__(self) -> Self:
        """Returns when the consumer is there. Raises QuorateError: it is refused."""
        self._entered = True
        self.link.until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int) -> None:
        """See `Delivery`."""
        self.link.settle(delivery, outcome, delay_millis)

    def reply(self, to: Received, body: Body, properties: MessageArgs) -> None:
        """See `Delivery.reply`."""
        self.link.reply(to, body, properties)
