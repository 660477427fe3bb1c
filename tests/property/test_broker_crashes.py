"""A leader that dies at any point of any Txn: no confirmed message is lost, and none that was
settled for good comes back.

The driver, the journal, the codec and the fold are the real ones; the store is the twin of etcd.
The history is played once without a crash, and then once for each of its Txns and each way to die.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

import pytest

from quorate.etcd.api import Compare, Delete, Op, Put, Range, TxnResult, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.ids import make_id, split_id
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    QueueUid,
    SessionId,
)
from scheduler.core.broker.storage.format import pack, unpack
from scheduler.core.broker.storage.places import of_priority
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold
from tests.support.broker_term import PREFIX, BrokerTerm, Follower, begin

P0 = of_priority(0)
UIDS = {name: QueueUid(f"{number:016x}") for number, name in enumerate("ab", 1)}


class Dies(Enum):
    """When the leader dies in a Txn."""

    BEFORE = auto()
    """The store never gets it."""
    AFTER = auto()
    """It is applied, and nobody learns of it."""
    LATE = auto()
    """The store gets it when the next leader has claimed the log."""


class Dying(MemoryEtcd):
    """A store that a leader reaches until its Txn `number`, counted from 1; 0: always."""

    def __init__(self, number: int = 0, dies: Dies = Dies.BEFORE) -> None:
        super().__init__()
        self.txns = 0
        self.dead = asyncio.Event()
        self._number = number
        self._dies = dies
        self._late: tuple[Any, ...] | None = None

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        if any(type(op) is Put or type(op) is Delete for op in success) and compares:
            self.txns += 1
        if self._number and self.txns >= self._number:
            if self._dies is Dies.AFTER and self.txns == self._number and not self.dead.is_set():
                await super().txn(compares, success, failure, timeout=timeout)
            elif self._late is None:
                self._late = (compares, success, failure)
            self.dead.set()
            # Until the process is gone.
            await asyncio.Event().wait()
        return await super().txn(compares, success, failure, timeout=timeout)

    async def come_late(self) -> None:
        """What was under way arrives, if the leader died so."""
        if self._dies is Dies.LATE and self._late is not None:
            await super().txn(*self._late)

    def revive(self) -> None:
        """Other leaders reach it."""
        self._number = 0


class PlainMachine(BrokerMachine):
    """Publishes to the queue that the routing key names, and settles by id: no consumers."""

    def step(self, event: object, now: float) -> BrokerEffects:
        out = BrokerEffects()
        if isinstance(event, e.MessagesPublished):
            added: dict[str, list[bytes]] = {}
            for publication in event.publications:
                added.setdefault(publication.routing_key.decode(), []).append(publication.payload)
            for name, payloads in added.items():
                lane = self.state.queue("/", name).lane(P0)
                first = lane.log.reserve(len(payloads))
                lane.in_flight += len(payloads)
                packed = [pack(first + n, now, payload) for n, payload in enumerate(payloads)]
                out.additions.append(fx.AddMessages(UIDS[name], P0, packed))
            out.after.append(fx.Reply(event.token, None))
        elif isinstance(event, e.Settled):
            queue = self.state.queue("/", event.queue)
            sequences = [split_id(one)[1] for one in event.ids]
            out.writes += queue.remove(P0, sequences, now)
            out.after.append(fx.SettleDone(event.session, event.number))
        else:
            return super().step(event, now)
        return out


@dataclass
class History:
    """What clients did, and what they know of it."""

    published: set[bytes] = field(default_factory=set)
    confirmed: set[bytes] = field(default_factory=set)
    settling: dict[int, set[bytes]] = field(default_factory=dict)
    number: int = 0

    def publish(self, term: BrokerTerm, *names: str) -> None:
        """One message to each of these queues, in one event."""
        publications = []
        for name in names:
            self.number += 1
            payload = b"%s %d" % (name.encode(), self.number)
            publications.append(e.Publication(payload, "", name.encode()))
        payloads = {one.payload for one in publications}
        self.published |= payloads
        token = term.broker.ask(lambda token: e.MessagesPublished("/", "", publications, token))
        token.add_done_callback(lambda done: self._answered(done, payloads))

    def _answered(self, token: asyncio.Future[object], payloads: set[bytes]) -> None:
        if token.exception() is None:
            self.confirmed |= payloads

    def settle(self, term: BrokerTerm, name: str, *sequences: int) -> None:
        """Settle messages that are committed."""
        self.number += 1
        log = term.machine.state.queue("/", name).lane(P0).log
        alive = [sequence for sequence in sequences if log.find(sequence) >= 0]
        self.settling[self.number] = {
            message.payload
            for sequence in alive
            for message in unpack(self._chunk(term, name, log.find(sequence)))
            if message.sequence == sequence
        }
        ids = [make_id(0, sequence) for sequence in alive]
        session, consumer = SessionId("s"), ConsumerNumber(1)
        term.broker.handle((e.Settled(session, self.number, consumer, name, ids, e.Outcome.ACK),))

    @staticmethod
    def _chunk(term: BrokerTerm, name: str, first: int) -> bytes:
        place = keys.message_sub_log(PREFIX, UIDS[name], P0)
        key = keys.message_chunk_key(place, first)
        assert isinstance(term.etcd, MemoryEtcd)
        return term.etcd._live[key].value

    def settled(self, term: BrokerTerm) -> set[bytes]:
        """What the client knows to be settled for good."""
        done = [one.number for one in term.sessions.got if isinstance(one, fx.SettleDone)]
        return set().union(*(self.settling[number] for number in done))


async def committed(term: BrokerTerm) -> None:
    """Wait until all that was stepped is committed."""
    term.broker.flush()
    await term.journal.flush()


async def play(term: BrokerTerm, history: History) -> None:
    """The history; raises when the term ends in the middle of it."""
    broker = term.broker
    for name, uid in UIDS.items():
        declared = partial(
            e.MessageQueueDeclared, "/", name, MessageQueueSpec(), SessionId(""), uid
        )
        await broker.call(declared)
    # Events of one Txn: two queues, several publishes and settlements.
    for _ in range(3):
        history.publish(term, "a", "b")
        history.publish(term, "a")
    await committed(term)
    history.settle(term, "a", 0, 1, 5)
    history.publish(term, "a", "a", "b")
    history.settle(term, "a", 2)
    await committed(term)
    for _ in range(3):
        # What is in the next Txn while one is under way.
        history.publish(term, "b")
        await asyncio.sleep(0)
    # The whole first chunk, and a part of the next one.
    history.settle(term, "a", *range(7))
    history.settle(term, "b", 0, 3)
    await committed(term)
    history.publish(term, "a", "b")
    await broker.call(
        lambda token: e.MessageQueueDeleteAsked("/", "b", SessionId(""), False, False, token)
    )
    history.published = {one for one in history.published if one.startswith(b"a")}
    history.publish(term, "a")
    await committed(term)


async def alive(store: MemoryEtcd, fold: Fold) -> list[bytes]:
    """The payloads of all messages that are alive, as a new leader can read them."""
    found = []
    state = fold.broker.state
    for queue in state.queues.values():
        place = keys.message_sub_log(PREFIX, queue.row.uid, P0)
        log = queue.lane(P0).log
        for chunk in log.chunks:
            stored = await store.range(Range(keys.message_chunk_key(place, chunk.first)))
            done = log.done(chunk.first)
            found += [
                message.payload
                for ordinal, message in enumerate(unpack(stored.kvs[0].value))
                if not done >> ordinal & 1
            ]
    return found


async def crash(number: int, dies: Dies) -> None:
    """Play the history up to the death of its leader; look at what the next one has."""
    store, history = Dying(number, dies), History()
    first = await begin(store, Follower(store).follow(), machine_of())
    # `begin` made one Txn: the claim.
    playing = asyncio.create_task(play(first, history))
    dead = asyncio.create_task(store.dead.wait())
    await asyncio.wait({playing, dead}, return_when=asyncio.FIRST_COMPLETED)
    # Until nothing moves: the events of the turn are appended, and wait.
    for _ in range(20):
        await asyncio.sleep(0)
    await first.end()
    dead.cancel()
    await asyncio.gather(playing, dead, return_exceptions=True)
    settled = history.settled(first)
    store.revive()
    follower = Follower(store)
    second = await begin(store, follower.follow(), None)
    await store.come_late()
    try:
        fold = follower.follow()
        found = await alive(store, fold)
        assert len(found) == len(set(found)), "a message is there once"
        gone = set().union(*history.settling.values())
        queues = {row.row.name for row in fold.broker.state.queues.values()}
        for payload in history.confirmed - gone:
            name = payload.partition(b" ")[0].decode()
            assert payload in found or name not in queues, f"{payload!r} was confirmed"
        assert not settled & set(found), "a settled message is back"
        if "b" not in queues:
            b = PREFIX + keys.message_queue_messages(UIDS["b"])
            assert not (await store.range(Range(b, prefix_end(b)))).kvs
    finally:
        await second.end()


def machine_of() -> Any:
    return PlainMachine(Fold().broker.state)


async def count() -> int:
    """Txns of the history when nobody dies."""
    store, history = Dying(), History()
    term = await begin(store, Follower(store).follow(), machine_of())
    await play(term, history)
    txns = store.txns
    await term.end()
    assert history.confirmed >= history.published
    return txns


@pytest.mark.parametrize("dies", list(Dies))
async def test_no_confirmed_message_is_lost_wherever_the_leader_dies(dies: Dies) -> None:
    txns = await count()
    assert txns > 8
    # The first one is the claim.
    for number in range(2, txns + 1):
        await crash(number, dies)


async def test_the_next_leader_goes_on_with_new_sequences() -> None:
    store, history = Dying(4, Dies.AFTER), History()
    first = await begin(store, Follower(store).follow(), machine_of())
    playing = asyncio.create_task(play(first, history))
    await store.dead.wait()
    await first.end()
    with pytest.raises((QuorateError, Exception)):
        await playing
    store.revive()
    fold = Follower(store).follow()
    second = await begin(store, fold, PlainMachine(fold.broker.state))
    try:
        before = await alive(store, fold)
        history.publish(second, "a", "b")
        await committed(second)
        follower = Follower(store)
        after = await alive(store, settled(follower.follow()))
        assert len(after) == len(before) + 2
        assert set(before) < set(after)
    finally:
        await second.end()


def settled(fold: Fold) -> Fold:
    fold.broker.settle()
    return fold
