"""One session of a broker, as its client sees it. For `tests.support.consuming`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import (
    ConsumerNumber,
    SessionId,
    StreamPosition,
    SubscribeSpec,
)
from tests.support.broker import HOST, Broker, Waiting

CALLER = "caller"


def session_id(name: str) -> SessionId:
    """A session's id, long enough."""
    return SessionId(name.ljust(16, "-"))


def body_of(delivery: fx.Delivery) -> str:
    """What a consumer got."""
    return MessageEnvelope.FromString(delivery.payload).body.decode()


class Client:
    """One session, as its client sees it.

    Attributes:
        got: all deliveries, by consumer, oldest first; `has`: ids of those not settled.
        fetched: answers to fetches, by number.
        settled: the number up to which settlements are durable.
        refused: numbers of settlements that were refused.
        ended: why consumers ended, by number.
        skipped: of streams, by consumer.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker, self.id = broker, session_id(name)
        self.specs: dict[int, SubscribeSpec] = {}
        self.got: dict[int, list[fx.Delivery]] = {}
        self.has: dict[int, dict[int, fx.Delivery]] = {}
        self.fetched: dict[int, fx.SendFetched] = {}
        self.settled = self.number = 0
        self.refused: list[int] = []
        self.ended: dict[int, str] = {}
        self.skipped: dict[int, int] = {}
        # Of fetches: queue name by id.
        self.fetch_queues: dict[int, str] = {}

    # -- what it does ------------------------------------------------------------------------------

    def open(self, *, inventory: bool = False) -> Any:
        """Open the session; with its consumers and what it has, if it goes on."""
        consumers: Sequence[SubscribeSpec] = ()
        unsettled: list[tuple[str, ConsumerNumber, Sequence[int]]] = []
        if inventory:
            consumers = [spec for n, spec in self.specs.items() if n not in self.ended]
            for number, ids in self.has.items():
                if number:
                    unsettled.append((self.specs[number].queue, ConsumerNumber(number), list(ids)))
                else:
                    for one in ids:
                        unsettled.append((self.fetch_queues[one], ConsumerNumber(0), [one]))
        token = Waiting()
        self.broker.step(e.SessionOpened(self.id, CALLER, HOST, consumers, unsettled, token))
        return token

    def subscribe(
        self, queue: str, consumer: int = 1, *, prefetch: int = 0, **more: Any
    ) -> Waiting:
        """Subscribe; the answer is there once it is committed."""
        spec = SubscribeSpec(ConsumerNumber(consumer), queue, prefetch=prefetch, **more)
        token = Waiting()
        self.specs[consumer] = spec
        self.got.setdefault(consumer, [])
        self.broker.step(e.Subscribed(self.id, spec, token))
        return token

    def read(self, queue: str, position: StreamPosition, **more: Any) -> Waiting:
        return self.subscribe(queue, position=position, **more)

    def unsubscribe(self, consumer: int = 1) -> None:
        self.broker.step(e.Unsubscribed(self.id, ConsumerNumber(consumer)))

    def credit(self, prefetch: int, consumer: int = 1) -> None:
        self.broker.step(e.CreditChanged(self.id, ConsumerNumber(consumer), prefetch))

    def fetch(self, queue: str, *, automatic_ack: bool = False) -> fx.SendFetched | None:
        self.number += 1
        self.broker.step(e.Fetched(self.id, self.number, queue, automatic_ack))
        answer = self.fetched.get(self.number)
        if answer is not None and answer.delivery is not None and not automatic_ack:
            self.has.setdefault(0, {})[answer.delivery.id] = answer.delivery
            self.fetch_queues[answer.delivery.id] = queue
        return answer

    def settle(
        self,
        outcome: e.Outcome,
        *ids: int,
        consumer: int = 1,
        queue: str = "",
        delay: float = 0.0,
    ) -> int:
        """Settle deliveries; without ids: all that the consumer has. The number."""
        self.number += 1
        known = self.has.get(consumer, {})
        ids = ids or tuple(known)
        if outcome is not e.Outcome.TOUCH:
            for one in ids:
                known.pop(one, None)
        number = ConsumerNumber(consumer)
        self.broker.step(e.Settled(self.id, self.number, number, queue, ids, outcome, delay))
        return self.number

    def ack(self, *ids: int, **more: Any) -> int:
        return self.settle(e.Outcome.ACK, *ids, **more)

    def nack(self, *ids: int, **more: Any) -> int:
        return self.settle(e.Outcome.NACK, *ids, **more)

    def requeue(self, *ids: int, **more: Any) -> int:
        return self.settle(e.Outcome.REQUEUE, *ids, **more)

    def reject(self, *ids: int, **more: Any) -> int:
        return self.settle(e.Outcome.REJECT, *ids, **more)

    def touch(self, *ids: int, **more: Any) -> int:
        return self.settle(e.Outcome.TOUCH, *ids, **more)

    def lose(self) -> None:
        """Its stream breaks."""
        self.broker.step(e.SessionLost(self.id))

    def close(self) -> None:
        self.has.clear()
        self.broker.step(e.SessionClosed(self.id))

    # -- what it sees ------------------------------------------------------------------------------

    def bodies(self, consumer: int = 1) -> list[str]:
        """All that a consumer got."""
        return [body_of(delivery) for delivery in self.got.get(consumer, ())]

    def take(self, consumer: int = 1) -> list[str]:
        """What a consumer got since the last call."""
        found = self.bodies(consumer)
        self.got[consumer] = []
        return found

    def ids(self, consumer: int = 1) -> list[int]:
        """What a consumer has not settled."""
        return list(self.has.get(consumer, {}))
