"""Histories of a broker: declared, bound, published, consumed, settled, expired, with leaders that
die in the middle of a Txn. Everything is drawn from one seed.

Real are the machine, the driver, the journal, the codec and the fold; the store is the twin of
etcd, and time jumps. Each message that a client gets is compared with the `Model`; `World.settle`
looks for what was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.rows import SessionId
from tests.simulation.messages import checks
from tests.simulation.messages.clients import Client
from tests.simulation.messages.model import (
    EXACT,
    KINDS,
    ROOTS,
    Copy,
    Model,
    Sent,
)
from tests.simulation.messages.mortal import Dies, Mortal
from tests.simulation.messages.topology import EXCHANGES, KEYS, Topology
from tests.simulation.messages.transactions import Transactions
from tests.support.broker import publication
from tests.support.broker_term import BrokerTerm, Follower, begin
from tests.support.core_specs import START
from tests.support.jumping_loop import JumpingLoop

REATTACH: Final = BrokerLimits().reattach_within
GRACE: Final = BrokerLimits().session_grace
# Of answers that say nothing: the leader is gone, or another stream has the session.
UNKNOWN: Final = ("LEADER_LOST", "SESSION_TAKEN_OVER")
# How often each step is taken.
STEPS: Final[Mapping[str, float]] = {
    "publish": 14,
    "settle": 22,
    "transact": 3,
    "turns": 14,
    "time": 5,
    "subscribe": 3,
    "unsubscribe": 0.5,
    "break_stream": 1,
    "end_client": 0.7,
    "bind": 1.5,
    "unbind": 0.7,
    "delete_extra": 0.3,
    "purge": 0.2,
    "read_log": 0.5,
    "forget_bodies": 1,
    "kill": 1.2,
}


class _Clock:
    """Wall time is that of the loop, from a date of today on."""

    def __init__(self, loop: JumpingLoop) -> None:
        self._loop = loop

    def wall(self) -> float:
        return START + self._loop.now

    def monotonic(self) -> float:
        return self._loop.now


class World:
    """One history."""

    machine_type: type[BrokerMachine] = BrokerMachine
    outgoing = 0

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        self.random = Random(seed)
        self.clock = _Clock(loop)
        self.store = Mortal(loop)
        self.model = Model()
        self.ops = self.random.choice((64, 128))
        # In every other history all bodies are stored apart from their messages.
        self.inline_bytes = 0 if seed % 2 else BrokerLimits().inline_bytes
        # By session and consumer: the number of the message that was delivered last, if only later
        # ones may come.
        self.order: dict[tuple[SessionId, int], int] = {}
        self.clients: dict[SessionId, Client] = {}
        self.number = self.produced = self.uids = self.terms = 0
        self.delivered = 0
        # What was seen of `x-death`, for those who look at whole histories.
        self.reasons: dict[str, int] = {}
        # The publishes without an answer, oldest first.
        self.publishes: dict[int, tuple[list[Sent], list[e.Publication]]] = {}
        self.transactions = Transactions(self)
        self.topology = Topology(self)
        self.failure: BaseException | None = None

    @property
    def now(self) -> float:
        return self.clock.wall()

    # -- leaders

    async def start(self) -> None:
        await self._lead()
        await self.topology.start()
        for name in ("one", "two", "three"):
            client = Client(self, name)
            self.clients[client.id] = client
            client.open()
            for queue in self.random.sample(ROOTS[:-1], 3):
                client.subscribe(queue)

    async def _lead(self) -> None:
        self.terms += 1
        fold = Follower(self.store).follow()
        limits = BrokerLimits(step_writes=self.ops // 3, inline_bytes=self.inline_bytes)
        machine = self.machine_type(fold.broker.state, limits)
        self.term: BrokerTerm = await begin(self.store, fold, machine, self.ops, self.clock)
        self.term.broker.serve(self)

    async def fail_over(self) -> None:
        """The leader is dead; the next one leads."""
        await self.term.end()
        self.store.revive()
        await self._lead()
        await self.store.come_late()
        for client in self.clients.values():
            client.waited_for = min(client.waited_for, self.now + REATTACH)
            client.lost(self.now + REATTACH, self.random.choice((0.0, 0.0, 0.5, 2.5, 5.0)))
        for number in list(self.publishes):
            self._publish(number)

    async def turn(self, seconds: float = 0.0) -> None:
        """Let things happen; raises what went wrong meanwhile."""
        await asyncio.sleep(seconds)
        if self.failure is not None:
            raise self.failure
        if self.store.dead.is_set():
            await self.fail_over()
        for client in self.clients.values():
            if not client.connected and self.now >= client.reopen_at:
                client.open()
                self.transactions.repeat(client)

    # -- calls

    def handle(self, event: object) -> None:
        self.term.broker.handle((event,))

    def ask(self, make: Callable[[asyncio.Future[object]], object]) -> asyncio.Future[object]:
        token = self.term.broker.ask(make)
        # Retrieved: whoever wants it looks at it.
        token.add_done_callback(lambda one: one.cancelled() or one.exception())
        return token

    def must(self, make: Callable[[asyncio.Future[object]], object]) -> asyncio.Future[object]:
        """Ask for what no leader refuses."""
        token = self.ask(make)
        token.add_done_callback(self._not_refused)
        return token

    def _not_refused(self, token: asyncio.Future[object]) -> None:
        error = None if token.cancelled() else token.exception()
        if error is not None and getattr(error, "reason", "") not in UNKNOWN:
            self.failure = self.failure or error

    async def call(self, make: Callable[[asyncio.Future[object]], object]) -> Any:
        """Ask until a leader answers. Raises a refusal."""
        while True:
            token, term = self.ask(make), self.term
            while not token.done() and term is self.term:
                await self.turn(0.001)
            if token.done() and not _is_lost(token):
                return token.result()
            await self.turn(0.001)

    async def quiet(self) -> None:
        """Wait until all that is published has its answer: each is routed as the model says."""
        while self.publishes or self.transactions.open:
            await self.turn(0.001)

    # -- what happens

    def publish(self) -> None:
        """Some messages of one producer, which repeats what has no answer."""
        sent: list[Sent] = []
        publications = []
        for _ in range(self.random.choice((1, 1, 2, 3, 8))):
            self.produced += 1
            one, made = self.message(self.produced)
            sent.append(one)
            publications.append(made)
        self.publishes[sent[-1].number] = (sent, publications)
        self._publish(sent[-1].number)

    def message(self, producer: int = 0) -> tuple[Sent, e.Publication]:
        """A new message, on its way to some queues. `producer`: its number among those of the
        producer; 0: it is not the producer's."""
        rng = self.random
        self.number += 1
        exchange = rng.choice(("", *EXCHANGES))
        key = rng.choice(ROOTS) if not exchange else rng.choice(KEYS)
        sent = Sent(self.number, exchange, key, self.now, ordered=bool(producer))
        roots = self.model.routes(exchange, key)
        more: dict[str, Any] = {"priority": rng.randint(0, 4)}
        # In a stream nothing expires or waits; a message that came to `work` again because it
        # expired twice is dropped: it went in a circle.
        if rng.random() < 0.3 and not {"work", "log"} & set(roots):
            sent.expiration = float(rng.randint(1, 15))
            more["expiration"] = Duration(seconds=int(sent.expiration))
        if rng.random() < 0.15 and "log" not in roots:
            sent.delay = float(rng.randint(1, 6))
            more["deliver_after"] = Duration(seconds=int(sent.delay))
        self.model.publish(sent)
        body = b"%d" % self.number
        return sent, publication(body, key, exchange, number=producer, **more)

    def _publish(self, number: int) -> None:
        _, publications = self.publishes[number]
        token = self.ask(partial(e.MessagesPublished, "/", "alice/p", publications))
        token.add_done_callback(partial(self._published, number))

    def _published(self, number: int, token: asyncio.Future[Any]) -> None:
        if not token.cancelled() and token.exception() is None and number in self.publishes:
            if token.result().results:
                self.failure = AssertionError(f"{number}: {token.result()}")
            for one in self.publishes.pop(number)[0]:
                one.until = self.now

    def settle(self) -> None:
        found = [
            (client, number)
            for client in self.clients.values()
            if client.connected
            for number, held in client.consumers.items()
            if held.copies
        ]
        if not found:
            return
        client, number = self.random.choice(found)
        outcomes = (e.Outcome.ACK, e.Outcome.REJECT, e.Outcome.NACK, e.Outcome.REQUEUE)
        (outcome,) = self.random.choices(outcomes, (12, 5, 2, 5))
        delay = self.random.choice((0.0, 0.0, 3.0)) if outcome is e.Outcome.NACK else 0.0
        client.settle(number, outcome, delay)

    def transact(self) -> None:
        self.transactions.begin()

    def subscribe(self) -> None:
        client = self.some_client()
        if client.connected and len(client.consumers) < 4:
            client.subscribe(self.random.choice([one for one in KINDS if one != "log"]))

    def unsubscribe(self) -> None:
        client = self.some_client()
        done = [number for number, held in client.consumers.items() if not held.copies]
        if client.connected and done and not client.asked and not self.transactions.open:
            number = self.random.choice(done)
            del client.consumers[number]
            self.order.clear()
            self.handle(e.Unsubscribed(client.id, number))  # type: ignore[arg-type]

    def break_stream(self) -> None:
        client = self.some_client()
        if client.connected:
            self.handle(e.SessionLost(client.id))
            client.lost(self.now + GRACE, self.random.choice((0.0, 1.0, 12.0)))

    def end_client(self) -> None:
        client = self.some_client()
        self.transactions.forget(client)
        client.end()

    def some_client(self) -> Client:
        return self.random.choice(list(self.clients.values()))

    def forget_bodies(self) -> None:
        self.term.broker.state.window.clear()

    async def read_log(self) -> None:
        await checks.read_log(self)

    async def turns(self) -> None:
        for _ in range(self.random.randint(1, 8)):
            await self.turn()

    async def time(self) -> None:
        await self.turn(self.random.choice((0.05, 0.5, 2.0, 6.0)))

    def kill(self) -> None:
        if not self.store.is_doomed:
            self.store.doom(self.random.randint(0, 4), self.random.choice(list(Dies)))

    # -- what clients get: see `MessageSessions`

    def deliver(self, effect: fx.Deliver) -> None:
        self._safely(lambda: self.clients[effect.session].on_delivered(effect), effect.session)

    def fetched(self, effect: fx.SendFetched) -> None:
        raise AssertionError("nobody fetches")

    def ended(self, effect: fx.EndConsumer) -> None:
        client = self.clients.get(effect.session)
        if client is not None:
            client.on_ended(int(effect.consumer))

    def refused(self, effect: fx.SettleRefused) -> None:
        self._safely(lambda: self.clients[effect.session].on_refused(effect.number), effect.session)

    def settled(self, session: SessionId, number: int) -> None:
        self._safely(lambda: self.clients[session].on_settled(number), session)

    def _safely(self, do: Callable[[], None], session: SessionId) -> None:
        """What goes wrong is raised by the next turn, not into the driver."""
        if session in self.clients:
            try:
                do()
            except Exception as error:  # noqa: BLE001 (raised later)
                self.failure = self.failure or error

    def found(self, queue: str, delivery: fx.Delivery, client: Client | None) -> Copy:
        """Somebody gets a message."""
        copy = self.model.find(delivery.payload, queue)
        holder = copy.holder
        if holder is not None and holder[1:] == (queue, delivery.id) and holder[0] is not client:
            other = holder[0]
            who = f"{copy.sent.number} of {queue}"
            assert not other.connected, f"{who} is with two clients"
            assert self.now >= other.waited_for - EXACT, f"{who} was to be waited for"
            copy.shared = True
        before = len(copy.deaths)
        copy.on_delivered(queue, delivery.payload, self.now)
        for _, reason in copy.deaths[before:]:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        copy.holder = None if client is None else (client, queue, delivery.id)
        self.delivered += 1
        return copy

    def let_go(self, copies: Mapping[int, Copy]) -> None:
        """Nobody is known to have them."""
        for copy in copies.values():
            copy.holder = None

    def void(self, sent: Sent) -> None:
        """It was not published."""
        for copy in self.model.copies.values():
            copy.gone |= copy.sent is sent

    # -- the end

    async def live(self, steps: int) -> None:
        names, often = list(STEPS), list(STEPS.values())
        for name in self.random.choices(names, often, k=steps):
            act = getattr(self, name, None) or getattr(self.topology, name)
            done = act()
            if done is not None:
                await done
            await self.turn()


def _is_lost(token: asyncio.Future[Any]) -> bool:
    return getattr(token.exception(), "reason", "") == "LEADER_LOST"


def play(seed: int, steps: int, world_type: type[World] = World) -> World:
    """One history, from the beginning to the end."""
    loop = JumpingLoop()
    asyncio.set_event_loop(loop)

    async def whole() -> World:
        world = world_type(seed, loop)
        try:
            await world.start()
            await world.live(steps)
            await checks.settle_all(world)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        finally:
            await world.term.end()
        return world

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
