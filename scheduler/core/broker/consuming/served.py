"""What a message queue knows of its consumers, as long as it has any or waits for some.

A queue under a new leader waits for the sessions whose records name it: until each has said what it
has, or is gone. After `reattach_within` it delivers all the same, unless the order or the number of
its consumers matters: an exclusive queue, one with a single active consumer, a message with an
ordering key. What no session has is delivered as `redelivered` then.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import NamedTuple

from scheduler.core.broker.consuming.ordering import OrderingKeys
from scheduler.core.broker.consuming.sessions import Consumer, Tally, Total
from scheduler.core.broker.consuming.turns import Turns
from scheduler.core.broker.rows import MessageQueueRow, SessionId


class WaitingFetch(NamedTuple):
    """A `Fetch` that waits for a body to be read, or for other sessions."""

    session: SessionId
    number: int
    automatic_ack: bool


class Fresh(NamedTuple):
    """Deliveries of one consumer that go on record if they are not settled soon."""

    time: float
    consumer: Consumer
    deliveries: list[int]


class Served:
    """Owned by `Consuming`.

    Attributes:
        consumers: those that did not end, in order of subscription.
        members: they, and those that ended or fetched and have unsettled deliveries.
        turns: consumers that may have room; with `single`, the active one alone.
        single: there is one active consumer at a time; `active`: which; `handover`: another one
            takes over when all is settled.
        exclusive: the one that excludes others.
        keys: ordering keys.
        unread: deliveries that a client has from a leader before this one, whose ordering keys are
            not known yet: until they are, no message with a key is delivered.
        fetches: waiting ones, oldest first.
        fresh: deliveries that are not on record, oldest first.
        awaited: sessions of which this leader has to hear; `reattach_at`: until when, unless
            `strict`.
        committing: consumers with an automatic acknowledgement under way: they take more after it.
        tally: deliveries of all of its members.
    """

    __slots__ = (
        "active",
        "awaited",
        "committing",
        "consumers",
        "exclusive",
        "fetches",
        "fresh",
        "handover",
        "keys",
        "members",
        "reattach_at",
        "single",
        "strict",
        "tally",
        "turns",
        "unread",
    )

    def __init__(self, row: MessageQueueRow, total: Total) -> None:
        self.consumers: dict[Consumer, None] = {}
        self.members: dict[Consumer, None] = {}
        self.turns = Turns()
        self.single = row.spec.single_active_consumer
        self.strict = self.single or row.spec.exclusive
        self.active: Consumer | None = None
        self.exclusive: Consumer | None = None
        self.handover = False
        self.keys = OrderingKeys()
        self.unread: dict[int, Consumer] = {}
        self.fetches: deque[WaitingFetch] = deque()
        self.fresh: deque[Fresh] = deque()
        self.awaited: dict[SessionId, None] = {}
        self.reattach_at = -inf
        self.committing: dict[Consumer, None] = {}
        self.tally = Tally(total)

    def waits(self, now: float) -> bool:
        """Nothing is delivered yet: this leader does not know what sessions have."""
        return bool(self.awaited) and (self.strict or now < self.reattach_at)

    @property
    def orders(self) -> OrderingKeys | None:
        """The ordering keys, if it is known which are held."""
        return None if self.awaited or self.unread else self.keys

    @property
    def idle(self) -> bool:
        """Nobody needs it."""
        return not (self.members or self.awaited or self.fetches or self.keys.aside)

    def add(self, consumer: Consumer) -> None:
        """It consumes from now on."""
        self.consumers[consumer] = self.members[consumer] = None
        if consumer.spec.exclusive:
            self.exclusive = consumer
            self.strict = True
        if not self.single:
            self.turns.put(consumer)
        elif consumer.spec.active and self.active is None:
            # It was under the leader before.
            self._activate(consumer)
        self.choose_active()

    def remove(self, consumer: Consumer) -> None:
        """It ended; what it has stays its own."""
        consumer.ended = True
        self.consumers.pop(consumer, None)
        if self.exclusive is consumer:
            self.exclusive = None
        if self.active is consumer:
            self.active = None
        self.choose_active()

    def may_have_room(self, consumer: Consumer) -> None:
        """It is to be looked at when there are messages."""
        if not self.single or consumer is self.active:
            self.turns.put(consumer)

    def choose_active(self) -> None:
        """Hand over to another consumer, once all deliveries are settled and all sessions are here.

        The highest priority, and of those the first one. One that came later with a higher priority
        takes over from the active one in the same way: nothing is delivered meanwhile.
        (https://www.rabbitmq.com/docs/consumers#single-active-consumer)
        """
        if not self.single:
            return
        best = max(self.consumers, key=lambda one: (one.spec.priority, -one.order), default=None)
        current = self.active
        self.handover = best is not None and (
            current is None or best.spec.priority > current.spec.priority
        )
        if best is not None and self.handover and not self.tally.unsettled and not self.awaited:
            self.handover = False
            self._activate(best)

    def _activate(self, consumer: Consumer) -> None:
        self.turns.clear()
        self.active = consumer
        self.turns.put(consumer)
