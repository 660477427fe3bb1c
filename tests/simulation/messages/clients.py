"""Clients of the simulated broker: sessions with consumers, which outlive leaders."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import TYPE_CHECKING

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import ConsumerNumber, SessionId, SubscribeSpec
from tests.simulation.messages.model import ORDERED, Copy

if TYPE_CHECKING:
    from tests.simulation.messages.world import World

FINAL = (e.Outcome.ACK, e.Outcome.REJECT)


@dataclass(slots=True)
class Asked:
    """A settlement on its way: consumer, delivery ids, and what they are."""

    consumer: int
    outcome: e.Outcome
    delay: float
    copies: dict[int, Copy]
    refused: bool = False


@dataclass(slots=True)
class Held:
    """What one consumer has."""

    spec: SubscribeSpec
    copies: dict[int, Copy] = field(default_factory=dict)
    # Those of transactions that are not answered.
    busy: dict[int, Copy] = field(default_factory=dict)


class Client:
    """One session.

    Attributes:
        connected: the leader of now has its stream.
        waited_for: until when nobody else may get what it has.
        asked: settlements that are not known durable, by number.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.random: Random = world.random
        self.lives = 0
        self.begin()

    def begin(self) -> None:
        """A new process with a session of its own."""
        self.lives += 1
        self.id = SessionId(f"session of {self.name}, {self.lives:03d}")
        self.consumers: dict[int, Held] = {}
        self.asked: dict[int, Asked] = {}
        self.number = self.last = 0
        self.connected = False
        self.on_record = False
        self.reopen_at = -inf
        self.waited_for = -inf

    # -- its stream

    def open(self) -> None:
        """Open the session, or go on with what it has."""
        pending = [one for one in self.asked.values() if one.outcome in FINAL and not one.refused]
        self.asked = {}
        unsettled = []
        for number, held in self.consumers.items():
            asked = [id for one in pending if one.consumer == number for id in one.copies]
            if ids := [*held.copies, *held.busy, *asked]:
                unsettled.append((held.spec.queue, ConsumerNumber(number), ids))
        specs = [held.spec for held in self.consumers.values()]
        self.connected = True
        opening, self.on_record = self.id, False
        token = self.world.must(
            lambda token: e.SessionOpened(self.id, "alice", "/", specs, unsettled, token)
        )
        token.add_done_callback(lambda done: self._opened(opening, done))
        self.forget()
        for one in pending:
            for copy in one.copies.values():
                # Too late: what was settled may be another death, or another client's delivery.
                copy.shared |= self.world.now >= self.waited_for
            self._send(one)

    def _opened(self, id: SessionId, token: asyncio.Future[object]) -> None:
        if not token.cancelled() and token.exception() is None and id == self.id:
            self.on_record = self.connected

    def forget(self) -> None:
        """What the leader knows as somebody else's is not this client's any more."""
        session = self.world.term.broker.state.consuming.sessions.get(self.id)
        for number, held in self.consumers.items():
            consumer = session.consumers.get(ConsumerNumber(number)) if session else None
            known = consumer.unsettled if consumer else {}
            held.copies = {id: copy for id, copy in held.copies.items() if id in known}

    def lost(self, waited_for: float, back_in: float) -> None:
        """Its stream breaks. What it gave back meanwhile it does not give back again."""
        if not self.connected:
            return
        self.connected = False
        if self.on_record:
            self.waited_for = waited_for
        self.reopen_at = self.world.now + back_in
        self.asked = {n: one for n, one in self.asked.items() if one.outcome in FINAL}
        self._displace()

    def _displace(self) -> None:
        """What it has may come again, behind others."""
        self.world.order.clear()
        mine = [one.copies for one in self.asked.values()]
        mine += [some for held in self.consumers.values() for some in (held.copies, held.busy)]
        for copies in mine:
            for copy in copies.values():
                copy.displaced = True

    def end(self) -> None:
        """Its process ends; another one begins."""
        if self.connected:
            self.world.handle(e.SessionClosed(self.id))
        self._displace()
        for held in self.consumers.values():
            self.world.let_go({**held.copies, **held.busy})
        for one in self.asked.values():
            self.world.let_go(one.copies)
        del self.world.clients[self.id]
        self.begin()
        self.world.clients[self.id] = self

    def subscribe(self, queue: str) -> None:
        self.last += 1
        spec = SubscribeSpec(ConsumerNumber(self.last), queue, prefetch=self.random.choice((1, 3)))
        self.consumers[self.last] = Held(spec)
        self.world.must(lambda token: e.Subscribed(self.id, spec, token))

    # -- what it does

    def settle(self, number: int, outcome: e.Outcome, delay: float = 0.0) -> None:
        """Settle some of what a consumer has."""
        held = self.consumers[number]
        ids = self.random.sample(list(held.copies), self.random.randint(1, len(held.copies)))
        copies = {id: held.copies.pop(id) for id in ids}
        for copy in copies.values():
            if outcome in FINAL:
                copy.unsure += 1
            else:
                copy.displaced = True
                copy.postponed |= delay > 0
                copy.holder = None
            if outcome is e.Outcome.REJECT:
                copy.asked[held.spec.queue] += 1
        self._send(Asked(number, outcome, delay, copies))

    def _send(self, asked: Asked) -> None:
        self.number += 1
        self.asked[self.number] = asked
        self.world.handle(
            e.Settled(
                self.id,
                self.number,
                ConsumerNumber(asked.consumer),
                "",
                list(asked.copies),
                asked.outcome,
                asked.delay,
            )
        )

    # -- what it gets

    def on_delivered(self, effect: fx.Deliver) -> None:
        held = self.consumers.get(int(effect.consumer))
        if held is None or not self.connected:
            return
        queue = held.spec.queue
        for one in effect.deliveries:
            copy = self.world.found(queue, one, self)
            assert one.id not in held.copies, f"{one.id} of {queue} is there already"
            held.copies[one.id] = copy
            if not all(other.connected for other in self.world.clients.values()):
                # What those have may come again.
                self.world.order.clear()
            elif queue in ORDERED and copy.is_in_order:
                place = (self.id, int(effect.consumer))
                last = self.world.order.get(place, 0)
                assert copy.sent.number > last, f"{copy.sent.number} behind {last} in {queue}"
                self.world.order[place] = copy.sent.number
        limit = held.spec.prefetch
        assert len(held.copies) <= limit, f"{len(held.copies)} of {queue}, not {limit}"

    def on_settled(self, number: int) -> None:
        for one in [one for one in self.asked if one <= number]:
            self._confirmed(self.asked.pop(one))

    def _confirmed(self, asked: Asked) -> None:
        if asked.refused or not self.connected:
            return
        held = self.consumers.get(asked.consumer)
        queue = held.spec.queue if held else ""
        for copy in asked.copies.values():
            if asked.outcome is e.Outcome.ACK:
                copy.acked = True
            elif asked.outcome is e.Outcome.REJECT:
                copy.unsure -= 1
                copy.rejected[queue] += 1
        if asked.outcome in FINAL:
            self.world.let_go(asked.copies)

    def on_refused(self, number: int) -> None:
        asked = self.asked[number]
        asked.refused = True
        self.world.let_go(asked.copies)

    def on_ended(self, consumer: int) -> None:
        held = self.consumers.pop(consumer, None)
        if held is not None:
            self.world.let_go(held.copies)
