"""What one consumer has: deliveries, settlements on their way, and its inventory. No I/O.

    on_deliveries --> held --settle--> unsent --requests--> sent --on_settled--> durable
                                          ^                  |
                                          '--- broken() -----'

A session outlives its streams. The next stream opens with the inventory: all that is held, and all
whose settlement is not durable yet; then those settlements are sent again. So a message is not
delivered again because a leader went, and an acknowledgement that the program made is not lost.

A stream of messages (not of gRPC) has no memory of its readers: the next stream of gRPC reads on
behind the last offset, as another consumer of the same session.

Not thread-safe: the caller holds a lock (`consumer`) or lives in one event loop (`aconsumer`).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import grpc

from quorate.client.errors import ConsumerEnded, DeliveryLost
from quorate.client.messages.consuming.subscription import Subscription
from quorate.client.messages.streams.failures import parts
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

# Ids of one request; the cluster takes 65,535.
MOST_IDS: Final = 8_192
# Settlements that are not durable, by id: past it, `settle` of a consumer waits.
MOST_PENDING: Final = 65_535
# Seconds without an answer after which a sign of life is asked for, and after which, then, the
# scheduler is frozen, or cut off. Together less than a session may be away (10 s).
QUIET: Final = 4.0
SILENCE: Final = 4.0


@dataclass(slots=True)
class _Settlement:
    outcome: pb.Outcome
    delay_millis: int
    serial: int
    ids: list[int] = field(default_factory=list)


class Ledger:
    """One consumer of a queue, which is a session of its own.

    Attributes:
        refused: deliveries that were not this consumer's any more when it settled them.
        skipped: messages of a stream that were gone before they could be read.
        is_stream: it reads a stream.
        reply_to: of direct replies: where they are published; the same under every leader.
    """

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.session = secrets.token_hex(16)
        self.is_stream = subscription.position is not None
        self.refused = self.skipped = 0
        self.reply_to = ""
        self.prefetch = subscription.prefetch
        # Its number in the session; of a stream another one after each break.
        self._consumer = 1
        self._subscribed = False
        self._held: dict[int, None] = {}
        self._unsent: deque[_Settlement] = deque()
        self._sent: dict[int, _Settlement] = {}
        self._number = self._serial = self._durable = 0
        self._credit: int | None = None
        self.is_open = False
        """Whether the leader knows what it has."""
        self.breaks = 0
        """How many of its streams ended."""
        # It takes no more deliveries.
        self.is_draining = False
        # What the leader does not know yet.
        self._subscribes = self._unsubscribes = self._closes = False
        # By delivery, of unsent and sent settlements.
        self._pending: dict[int, _Settlement] = {}
        # Those that a transaction is to settle; held, too.
        self._taken: dict[int, None] = {}
        self._following: int | None = None
        self._lost: QuorateError | None = None
        self._heard = self._asked = 0.0
        self._asks = False

    # -- opening

    def become(self, queue: str) -> None:
        """The name of its private queue."""
        self.subscription = replace(self.subscription, queue=queue)

    def opening(self, now: float) -> pb.ConsumeRequest:
        """The first request of a stream."""
        self._heard, self._asks = now, False
        session = pb.OpenSession(session=self.session, virtual_host=self.subscription.virtual_host)
        if self._subscribed:
            if self.is_stream:
                self._consumer += 1
            session.consumers.append(self._subscribe())
            self._unsubscribes = self.is_draining
            if ids := self._inventory():
                queue = self.subscription.queue
                session.unsettled.add(queue=queue, consumer=self._consumer, ids=ids)
        return pb.ConsumeRequest(open=session)

    @property
    def is_subscribed(self) -> bool:
        """Whether the inventory has the consumer: it was accepted before."""
        return self._subscribed

    def subscribe(self) -> None:
        """For the first time; see `on_subscribed`."""
        self._subscribes = True

    def _subscribe(self) -> pb.Subscribe:
        subscribe = self.subscription.request(self._consumer, self.prefetch)
        if self._following is not None:
            subscribe.position.offset = self._following
        return subscribe

    def begin_anew(self) -> None:
        """Its private queue is gone, with all that was in it: declared again, it is another one."""
        self._subscribed = False
        for one in (self._held, self._taken, self._unsent, self._sent, self._pending):
            one.clear()
        self._durable = self._serial
        self.is_open = False
        self.breaks += 1
        self.session = secrets.token_hex(16)

    def broken(self) -> None:
        """The stream ended: settlements that are not durable go to the next one, in order."""
        self._unsent.extendleft(reversed(self._sent.values()))
        self._sent.clear()
        self._credit = None
        self._subscribes = self.is_open = False
        self.breaks += 1

    # -- in

    def on_answer(self, now: float) -> None:
        """Something came."""
        self._heard, self._asks = now, False

    def on_subscribed(self, answer: pb.Subscribed) -> None:
        """Raises QuorateError: the leader refused it."""
        if answer.HasField("failure"):
            raise QuorateError(**parts(answer.failure))
        self._subscribed = True
        self.reply_to = answer.reply_to
        self.is_stream = answer.stream
        position = self.subscription.position
        if self.is_stream and (position is None or position.next):
            # A stream of gRPC that breaks before the first message must not skip any.
            self._following = answer.offset

    def on_deliveries(self, answer: pb.Deliveries) -> Sequence[message_pb2.Delivery]:
        """Deliveries that the program gets."""
        self.skipped += answer.skipped
        if self.is_stream and answer.deliveries:
            self._following = answer.deliveries[-1].id + 1
        if not self.subscription.auto_ack:
            for one in answer.deliveries:
                settlement = self._pending.pop(one.id, None)
                if settlement is not None:
                    # It comes again: what was asked for it is done.
                    settlement.ids.remove(one.id)
                self._taken.pop(one.id, None)
                self._held[one.id] = None
        return answer.deliveries

    def on_settled(self, number: int) -> None:
        """Settlements up to this number are durable."""
        for sent in [one for one in self._sent if one <= number]:
            settlement = self._sent.pop(sent)
            if settlement.outcome != pb.OUTCOME_TOUCH:
                for delivery in settlement.ids:
                    self._pending.pop(delivery, None)
            self._durable = settlement.serial

    def on_refused(self, answer: pb.SettleRefused) -> None:
        """Deliveries were not this consumer's any more."""
        self.refused += len(answer.ids)
        if self._lost is None:
            self._lost = DeliveryLost.of(answer.ids, parts(answer.failure))

    def take_lost(self) -> QuorateError | None:
        """The first refusal since the last call."""
        lost, self._lost = self._lost, None
        return lost

    def ended(self, answer: pb.ConsumerEnded) -> ConsumerEnded:
        """Why the leader ended the consumer."""
        return ConsumerEnded(**parts(answer.failure))

    # -- out

    def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int = 0) -> bool:
        """Settle a delivery; whether it was there to be settled."""
        if delivery not in self._held:
            return False
        last = self._unsent[-1] if self._unsent else None
        if (
            last is None
            or (last.outcome, last.delay_millis) != (outcome, delay_millis)
            or len(last.ids) >= MOST_IDS
        ):
            self._serial += 1
            last = _Settlement(outcome, delay_millis, self._serial)
            self._unsent.append(last)
        last.ids.append(delivery)
        if outcome != pb.OUTCOME_TOUCH:
            del self._held[delivery]
            self._pending[delivery] = last
        return True

    def ask(self) -> int:
        """Ask for a sign of life; it came once the number that this returns `is_durable`."""
        self._serial += 1
        self._unsent.append(_Settlement(pb.OUTCOME_TOUCH, 0, self._serial))
        return self._serial

    def check_held(self, ids: Iterable[int]) -> None:
        """Raises DeliveryLost: one of them is not held any more."""
        for one in ids:
            if one not in self._held:
                failure = {
                    "code": grpc.StatusCode.FAILED_PRECONDITION,
                    "reason": "UNKNOWN_DELIVERY",
                    "message": f"delivery {one} is not this consumer's any more",
                }
                raise DeliveryLost.of((one,), failure)

    def take(self, ids: Sequence[int]) -> None:
        """A transaction is to settle them. Raises as `check_held`."""
        self.check_held(ids)
        self._taken.update(dict.fromkeys(ids))

    def taken(self, ids: Sequence[int], *, settled: bool) -> None:
        """The transaction has settled them, or not. Those that came again meanwhile are held."""
        for one in ids:
            if one in self._taken:
                del self._taken[one]
                if settled:
                    self._held.pop(one, None)

    @property
    def number(self) -> int:
        """Of the consumer, in its session."""
        return self._consumer

    @property
    def pending(self) -> int:
        """Deliveries whose settlement is not durable."""
        return len(self._pending)

    @property
    def held(self) -> int:
        """Deliveries that are not settled."""
        return len(self._held)

    @property
    def serial(self) -> int:
        """Of the last settlement that was asked for; see `is_durable`."""
        return self._serial

    def is_durable(self, serial: int) -> bool:
        """Whether all settlements up to this one are."""
        return self._durable >= serial

    def drain(self) -> None:
        """Take no more deliveries: they go back, as do those that the program did not get.

        Deliveries may be on their way: all of them came before the answer to the sign of life that
        is asked for behind it.
        """
        self.is_draining = self._unsubscribes = True
        self.ask()

    @property
    def is_drained(self) -> bool:
        """Whether it left, and all its settlements are durable."""
        return self.is_draining and not (self._unsubscribes or self._unsent or self._sent)

    def why_not_settled(self) -> str:
        """Why messages that the program settled may come again; empty: none of them does."""
        if self._pending:
            return f"settlements of {len(self._pending)} messages are not durable"
        return "" if self._lost is None else str(self._lost)

    def close(self) -> None:
        """End the session."""
        self._closes = True

    def change_prefetch(self, prefetch: int) -> None:
        """From now on."""
        self.prefetch = self._credit = prefetch

    @property
    def has_requests(self) -> bool:
        """Whether `requests` has something."""
        asks = self._asks and not self._asked
        others = self._subscribes or self._unsubscribes or self._closes
        return bool(self._unsent or asks or others) or self._credit is not None

    def requests(self, now: float) -> Iterator[pb.ConsumeRequest]:
        """What is sent next; each is taken to be on its way."""
        if self._subscribes:
            self._subscribes = False
            yield pb.ConsumeRequest(subscribe=self._subscribe())
        if self._unsubscribes:
            self._unsubscribes = False
            yield pb.ConsumeRequest(unsubscribe=pb.Unsubscribe(consumer=self._consumer))
        if self._credit is not None:
            credit = pb.Credit(consumer=self._consumer, prefetch=self._credit)
            self._credit = None
            yield pb.ConsumeRequest(credit=credit)
        if self._asks and not self._asked:
            # A settlement of nothing is answered too.
            self._asked = now
            self._number += 1
            yield self._request(_Settlement(pb.OUTCOME_TOUCH, 0, 0))
        while self._unsent:
            settlement = self._unsent.popleft()
            self._number += 1
            self._sent[self._number] = settlement
            yield self._request(settlement)
        if self._closes:
            self._closes = False
            yield pb.ConsumeRequest(close=pb.CloseSession())

    def _request(self, settlement: _Settlement) -> pb.ConsumeRequest:
        return pb.ConsumeRequest(
            settle=pb.Settle(
                number=self._number,
                consumer=self._consumer,
                ids=settlement.ids,
                outcome=settlement.outcome,
                delay_millis=settlement.delay_millis,
            )
        )

    # -- signs of life

    def is_dead(self, now: float, *, paused: bool) -> bool:
        """Whether nothing came for too long, also not after it was asked for.

        Args:
            paused: the program itself does not read.
        """
        if paused:
            self._heard = now
            self._asks = False
        quiet = now - self._heard
        if quiet < QUIET:
            return False
        if not self._asks:
            self._asks, self._asked = True, 0.0
        return quiet >= QUIET + SILENCE

    def _inventory(self) -> list[int]:
        return [*self._held, *self._pending]
