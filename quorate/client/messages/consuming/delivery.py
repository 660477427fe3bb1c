"""Messages that a consumer has, to be settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Unpack

from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs, Seconds, span
from quorate.runtime.errors import precondition
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

if TYPE_CHECKING:
    from typing import Protocol

    class Consumer(Protocol):
        """What a delivery needs of its consumer."""

        def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int) -> None: ...
        def reply(self, to: Received, body: Body, properties: MessageArgs) -> None: ...

    class AsyncConsumer(Protocol):
        """As `Consumer`."""

        async def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int) -> None: ...
        async def reply(self, to: Received, body: Body, properties: MessageArgs) -> None: ...


_SETTLED: Final = "DELIVERY_SETTLED"


class _Once(Received):
    __slots__ = ("settled",)

    def __init__(self, delivery: message_pb2.Delivery, queue: str) -> None:
        super().__init__(delivery, queue)
        self.settled = False
        """Whether the program settled it."""

    def settle_once(self) -> None:
        """Raises QuorateError: it is settled already."""
        if self.settled:
            raise precondition(
                _SETTLED, f"delivery {self.id} of {self.queue!r} is settled already", id=self.id
            )
        self.settled = True


def _millis(delay: Seconds) -> int:
    return round(span("delay", delay) * 1e3)


@contextmanager
def settled_once(deliveries: Sequence[Delivery | AsyncDelivery]) -> Iterator[None]:
    """They are settled in the `with` block, unless it raises.

    Raises QuorateError: one is settled already.
    """
    settled: list[Delivery | AsyncDelivery] = []
    try:
        for one in deliveries:
            one.settle_once()
            settled.append(one)
        yield
    except BaseException:
        for one in settled:
            one.settled = False
        raise


class Delivery(_Once):
    """A message that a consumer has; settle it once.

    Settling returns at once: it is sent with others, sent again to the next leader, and durable
    soon after (`Consumer.flush` waits for it). A message that is never settled is delivered again
    when its consumer goes, or its consumer timeout has passed (30 minutes by default). With
    `auto_ack` settling does nothing.

    Raises QuorateError: DELIVERY_SETTLED; or why the consumer ended.
    """

    __slots__ = ("consumer",)

    def __init__(self, delivery: message_pb2.Delivery, queue: str, consumer: Consumer) -> None:
        super().__init__(delivery, queue)
        self.consumer = consumer

    def ack(self) -> None:
        """It is done: the message is gone."""
        self.settle_once()
        self.consumer.settle(self.id, pb.OUTCOME_ACK, 0)

    def nack(self, delay: Seconds = 0.0) -> None:
        """Put it back in its place; this does not count as a delivery in vain.

        Args:
            delay: seconds before which it is not delivered again, at most 365 days.
        """
        millis = _millis(delay)
        self.settle_once()
        self.consumer.settle(self.id, pb.OUTCOME_NACK, millis)

    def requeue(self, delay: Seconds = 0.0) -> None:
        """Put it back in its place; counts towards the queue's `delivery_limit` (20 by default),
        after which it is dead lettered.

        Args:
            delay: as of `nack`.
        """
        millis = _millis(delay)
        self.settle_once()
        self.consumer.settle(self.id, pb.OUTCOME_REQUEUE, millis)

    def reject(self) -> None:
        """To the dead letter exchange of its queue, if that has one; else it is gone."""
        self.settle_once()
        self.consumer.settle(self.id, pb.OUTCOME_REJECT, 0)

    def touch(self) -> None:
        """It takes longer: the consumer timeout begins anew. It stays to be settled."""
        self.consumer.settle(self.id, pb.OUTCOME_TOUCH, 0)

    def reply(self, body: Body, **properties: Unpack[MessageArgs]) -> None:
        """Publish an answer to `reply_to`, with the request's `correlation_id`; confirmed when this
        returns. See `Client.request`.

        Raises QuorateError: NO_REPLY_TO: nobody waits for an answer; MessageUnroutable: whoever
        waited is gone.
        """
        self.consumer.reply(self, body, properties)


class AsyncDelivery(_Once):
    """As `Delivery`; its methods are coroutines."""

    __slots__ = ("consumer",)

    def __init__(self, delivery: message_pb2.Delivery, queue: str, consumer: AsyncConsumer) -> None:
        super().__init__(delivery, queue)
        self.consumer = consumer

    async def ack(self) -> None:
        """As `Delivery.ack`."""
        self.settle_once()
        await self.consumer.settle(self.id, pb.OUTCOME_ACK, 0)

    async def nack(self, delay: Seconds = 0.0) -> None:
        """As `Delivery.nack`."""
        millis = _millis(delay)
        self.settle_once()
        await self.consumer.settle(self.id, pb.OUTCOME_NACK, millis)

    async def requeue(self, delay: Seconds = 0.0) -> None:
        """As `Delivery.requeue`."""
        millis = _millis(delay)
        self.settle_once()
        await self.consumer.settle(self.id, pb.OUTCOME_REQUEUE, millis)

    async def reject(self) -> None:
        """As `Delivery.reject`."""
        self.settle_once()
        await self.consumer.settle(self.id, pb.OUTCOME_REJECT, 0)

    async def touch(self) -> None:
        """As `Delivery.touch`."""
        await self.consumer.settle(self.id, pb.OUTCOME_TOUCH, 0)

    async def reply(self, body: Body, **properties: Unpack[MessageArgs]) -> None:
        """As `Delivery.reply`."""
        await self.consumer.reply(self, body, properties)
