"""A consumer: a session that goes on with the next leader, and settles what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import ConsumerNumber, SessionId, SubscribeSpec
from scheduler.engine.broker.driver import BrokerDriver
from tests.simulation.broker.producers import BROKEN

if TYPE_CHECKING:
    from tests.simulation.broker.world import Messages

_ONE = ConsumerNumber(1)


class Asked(NamedTuple):
    """An acknowledgement on its way."""

    id: int
    message: bytes


class Sink:
    """What the sessions of one term get: the port `MessageSessions` of the engine."""

    outgoing = 0

    def __init__(self, world: Messages) -> None:
        self._world = world
        self.clients: dict[SessionId, Consumer] = {}

    def deliver(self, effect: fx.Deliver) -> None:
        client = self.clients.get(effect.session)
        if client is None:
            return
        for one in effect.deliveries:
            self._world.promises.sent(
                one.payload, redelivered=one.redelivered, ordered=client.alone
            )
        client.comes(partial(client.got, effect.deliveries))

    def settled(self, session: SessionId, number: int) -> None:
        if (client := self.clients.get(session)) is not None:
            client.comes(partial(client.settled, number))

    def refused(self, effect: fx.SettleRefused) -> None:
        if (client := self.clients.get(effect.session)) is not None:
            client.comes(partial(client.refused, effect.number))

    def ended(self, effect: fx.EndConsumer) -> None:
        if (client := self.clients.get(effect.session)) is not None:
            client.comes(client.hang_up)

    def fetched(self, effect: fx.SendFetched) -> None: ...


class Consumer:
    """One session with one consumer.

    Attributes:
        alone: the only one of its queue.
    """

    def __init__(self, world: Messages, name: str, queue: str, *, alone: bool) -> None:
        self._world, self._queue, self.alone = world, queue, alone
        self._id = SessionId(name.ljust(16, "-"))
        self._number = 0
        self._has: dict[int, bytes] = {}
        # Acknowledgements that are not confirmed, by number, in order.
        self._asked: dict[int, Asked] = {}
        # What comes of one stream comes in order, if it comes.
        self._stream = 0
        self._last = 0.0
        self._news = asyncio.Event()
        self._broken = False

    @property
    def idle(self) -> bool:
        return not (self._has or self._asked)

    # -- what it gets

    def comes(self, what: partial[None] | object) -> None:
        """Something is on its way to it; lost if its stream breaks before."""
        world, stream = self._world, self._stream
        self._last = max(self._last, world.loop.time() + world.delay())

        def arrives() -> None:
            if stream == self._stream and not self._broken:
                what()  # type: ignore[operator]
                self._news.set()

        world.at(self._last, arrives)

    def got(self, deliveries: Sequence[fx.Delivery]) -> None:
        for one in deliveries:
            self._has[one.id] = one.payload

    def settled(self, number: int) -> None:
        done = [key for key in self._asked if key <= number]
        for key in done:
            asked = self._asked.pop(key)
            self._has.pop(asked.id, None)
            self._world.promises.acknowledged([asked.message])

    def refused(self, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            # Another consumer may have it.
            self._has.pop(asked.id, None)

    def hang_up(self) -> None:
        """Its stream breaks."""
        self._broken = True
        self._news.set()

    # -- what it does

    async def run(self) -> None:
        world = self._world
        while True:
            term = world.some_leader()
            if term is not None and term.broker is not None:
                try:
                    await self._consume(term.broker)
                except BROKEN:
                    pass
            # Some are away for longer than their sessions last.
            long = world.mischief and world.rng.random() < 0.1
            await asyncio.sleep(world.rng.uniform(0.02, 15.0 if long else 0.5))

    async def _consume(self, broker: BrokerDriver) -> None:
        world = self._world
        self._stream += 1
        self._broken = False
        sink = world.sinks[broker]
        sink.clients[self._id] = self
        inventory = [(self._queue, _ONE, tuple(self._has))] if self._has else []
        spec = SubscribeSpec(_ONE, self._queue, prefetch=world.rng.choice([1, 3, 20]))
        again, self._asked = list(self._asked.values()), {}
        await broker.room()
        opened = broker.ask(
            lambda token: e.SessionOpened(self._id, "caller", "/", (spec,), inventory, token)
        )
        try:
            async with asyncio.timeout(5.0):
                await opened
            for asked in again:
                self._ack(broker, asked)
            while not self._broken:
                self._settle_some(broker)
                self._news.clear()
                # A leader that is gone says nothing.
                async with asyncio.timeout(2.0 if self._has or self._asked else 4.0):
                    await self._news.wait()
                await asyncio.sleep(world.delay())
        finally:
            opened.cancel()
            # What it has not heard of is asked again.
            kept = {one.id for one in self._asked.values()}
            for asked in again:
                if asked.id in self._has and asked.id not in kept:
                    self._number += 1
                    self._asked[self._number] = asked
            if sink.clients.get(self._id) is self:
                del sink.clients[self._id]
            broker.handle((e.SessionLost(self._id),))

    def _settle_some(self, broker: BrokerDriver) -> None:
        rng, waiting = self._world.rng, {one.id for one in self._asked.values()}
        for id, message in list(self._has.items()):
            if id in waiting or (self._world.mischief and rng.random() < 0.3):
                continue
            if self._world.mischief and rng.random() < 0.15:
                outcome = rng.choice([e.Outcome.NACK, e.Outcome.REQUEUE])
                del self._has[id]
                self._settle(broker, id, outcome)
            else:
                self._ack(broker, Asked(id, message))

    def _ack(self, broker: BrokerDriver, asked: Asked) -> None:
        self._world.promises.asked[asked.message] = None
        self._asked[self._number + 1] = asked
        self._settle(broker, asked.id, e.Outcome.ACK)

    def _settle(self, broker: BrokerDriver, id: int, outcome: e.Outcome) -> None:
        self._number += 1
        settled = e.Settled(self._id, self._number, _ONE, self._queue, (id,), outcome)
        broker.handle((settled,))
