"""A leader that dies at any point of any Txn: no body of a confirmed message is lost, and none is
left that no message refers to.

The driver, the journal, the codec and the fold are the real ones; parts have a few bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from quorate.etcd.api import Range, prefix_end
from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import Received
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.routing.rows import Destination, DestinationKind, Exchange, ExchangeType
from scheduler.core.broker.rows import NO_SESSION, MessageQueueSpec, QueueUid
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold
from tests.property.test_broker_crashes import Dies, Dying
from tests.support.broker import publication
from tests.support.broker_term import PREFIX, BrokerTerm, Follower, begin

PART = 8
LIMITS = BrokerLimits(step_bytes=200, inline_bytes=10, least_shared_bytes=0, window_bytes=300)
QUEUES = ("a", "b", "letters")
# Three parts and more; shared by two queues in one part; not apart.
BODIES = (b"a body of three parts", b"of two", b"tiny")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("core.broker.storage.bodies", "core.broker.handlers.placing"):
        monkeypatch.setattr(f"scheduler.{module}.PART_BYTES", PART)


class Client:
    """A producer that repeats what is not confirmed, and a consumer.

    Attributes:
        taken: (queue, body) that were answered; `asked`: queues of which something may be taken by
            a call whose answer did not come.
    """

    def __init__(self) -> None:
        self.sent: list[e.Publication] = []
        self.confirmed: set[int] = set()
        self.taken: list[tuple[str, bytes]] = []
        self.asked: set[str] = set()
        self.number = 0

    async def publish(self, term: BrokerTerm, *bodies: bytes, key: str = "") -> None:
        made = []
        for body in bodies:
            self.number += 1
            body = b"%d %s" % (self.number, body)
            exchange = "" if key else "both"
            made.append(publication(body, key, exchange, number=self.number))
        self.sent += made
        await self.send(term, made)

    async def send(self, term: BrokerTerm, publications: Sequence[e.Publication]) -> None:
        make = partial(e.MessagesPublished, "/", "producer", publications)
        await term.broker.call(make)
        self.confirmed |= {one.number for one in publications}

    async def take(self, term: BrokerTerm, name: str, most: int) -> None:
        self.asked.add(name)
        answer = await term.broker.call(partial(e.ReceiveAsked, "/", name, NO_SESSION, most))
        assert isinstance(answer, Received)
        self.asked.discard(name)
        for one in answer.deliveries:
            self.taken.append((name, MessageEnvelope.FromString(one.payload).body))

    async def declare(self, term: BrokerTerm) -> None:
        exchange = Exchange("/", "both", ExchangeType.FANOUT)
        await term.broker.call(partial(e.ExchangeDeclared, exchange))
        letters = MessageQueueSpec(
            max_length=1, dead_letter_exchange="", dead_letter_routing_key="a"
        )
        for number, name in enumerate(QUEUES, 1):
            spec = letters if name == "letters" else MessageQueueSpec()
            uid = QueueUid(f"{number:016x}")
            make = partial(e.MessageQueueDeclared, "/", name, spec, NO_SESSION, uid)
            await term.broker.call(make)
            if name != "letters":
                bound = Destination(DestinationKind.QUEUE, name)
                await term.broker.call(partial(e.BindingAsked, "/", "both", bound, b"", ()))


async def play(term: BrokerTerm, client: Client) -> None:
    await client.declare(term)
    await client.publish(term, *BODIES)
    # Dead letters: the first two go on to queue a.
    await client.publish(term, *BODIES[:2], BODIES[0], key="letters")
    await client.take(term, "a", 1)
    await asyncio.gather(
        client.publish(term, BODIES[0], key="b"),
        client.take(term, "b", 10),
        return_exceptions=False,
    )
    await client.take(term, "a", 100)
    delete = partial(e.MessageQueueDeleteAsked, "/", "letters", NO_SESSION, False, False)
    await term.broker.call(delete)


async def stored_bodies(term: BrokerTerm) -> set[int]:
    """Ids of bodies with a part in the store, once all that was stepped is committed."""
    for _ in range(3):
        term.broker.flush()
        await term.journal.flush()
    start = PREFIX + keys.MESSAGE_BODIES
    found = await term.etcd.range(Range(start, prefix_end(start)))
    bodies = [keys.split_message_body_key(kv.key.removeprefix(PREFIX)) for kv in found.kvs]
    assert None not in bodies
    return {body for body in bodies if body is not None}


async def rest(term: BrokerTerm, name: str) -> list[bytes]:
    """All that is in a queue: a call has what is in memory together."""
    found: list[bytes] = []
    while True:
        answer = await term.broker.call(partial(e.ReceiveAsked, "/", name, NO_SESSION, 100))
        assert isinstance(answer, Received)
        if not answer.deliveries:
            return found
        found += [MessageEnvelope.FromString(one.payload).body for one in answer.deliveries]


async def check(term: BrokerTerm, client: Client) -> None:
    """Bodies on record are those that are needed, and each confirmed message can be read."""
    state = term.broker.state
    assert not state.bodies.writing
    assert await stored_bodies(term) == set(state.bodies.on_record)
    fold = Follower(term.etcd).follow()  # type: ignore[arg-type]
    fold.broker.settle()
    fold.broker.state.lead(0.0)
    assert fold.broker.state.bodies.facts() == state.bodies.facts()
    assert not fold.broker.state.bodies.has_unused
    found: dict[str, list[bytes]] = {}
    for name in QUEUES:
        if state.find_queue("/", name) is not None:
            found[name] = await rest(term, name)
    for one in client.sent:
        body = MessageEnvelope.FromString(one.payload).body
        for name in ("a", "b") if one.exchange else (one.routing_key.decode(),):
            known = (name, body) in client.taken or name in client.asked or name not in found
            there = found.get(name, []) + (found.get("a", []) if name == "letters" else [])
            known |= name == "letters" and (("a", body) in client.taken or "a" in client.asked)
            if one.number in client.confirmed and not known:
                assert body in there, f"{body!r} of {name} is lost"
    assert await stored_bodies(term) == set(state.bodies.on_record) == set()


async def crash(number: int, dies: Dies) -> None:
    store, client = Dying(number, dies), Client()
    machine = BrokerMachine(Fold().broker.state, LIMITS)
    first = await begin(store, Follower(store).follow(), machine)
    playing = asyncio.ensure_future(play(first, client))
    dead = asyncio.create_task(store.dead.wait())
    await asyncio.wait({playing, dead}, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(20):
        await asyncio.sleep(0)
    await first.end()
    dead.cancel()
    await asyncio.gather(playing, dead, return_exceptions=True)
    store.revive()
    fold = Follower(store).follow()
    second = await begin(store, fold, BrokerMachine(fold.broker.state, LIMITS))
    await store.come_late()
    try:
        names = second.broker.state.names
        if all(
            ("/", name) in names for name in QUEUES
        ) and second.broker.state.router.virtual_hosts["/"].bindings_to(
            Destination(DestinationKind.QUEUE, "b")
        ):
            again = [one for one in client.sent if one.number not in client.confirmed]
            if again:
                await client.send(second, again)
        await check(second, client)
    finally:
        await second.end()


async def test_a_history_without_a_crash_leaves_no_body() -> None:
    store, client = Dying(), Client()
    term = await begin(store, Follower(store).follow(), BrokerMachine(Fold().broker.state, LIMITS))
    try:
        await play(term, client)
        assert len(client.confirmed) == len(client.sent)
        await check(term, client)
    finally:
        await term.end()


@pytest.mark.parametrize("dies", list(Dies))
async def test_bodies_are_whole_and_none_is_left_wherever_the_leader_dies(dies: Dies) -> None:
    store, client = Dying(), Client()
    term = await begin(store, Follower(store).follow(), BrokerMachine(Fold().broker.state, LIMITS))
    await play(term, client)
    txns = store.txns
    await term.end()
    assert txns > 10
    for number in range(2, txns + 1):
        await crash(number, dies)
