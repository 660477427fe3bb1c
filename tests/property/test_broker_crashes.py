"""A leader that dies at any point of any Txn: no confirmed message is lost, and none that was
settled for good comes back.

The driver, the journal, the codec and the fold are the real ones; the store is the twin of etcd.
The history is played once without a crash, and then once for each of its Txns and each way to die.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

import pytest

from quorate.etcd.api import Compare, Delete, Op, Put, Range, TxnResult, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.policies import PolicyAsked, PolicyDeleteAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.ids import make_id, split_id
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    PolicyDefinition,
    PolicyRow,
    QueueType,
    QueueUid,
    SessionId,
)
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import unpack
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

    def die(self, ahead: int, dies: Dies) -> None:
        """The leader reaches it until its Txn `ahead` from now."""
        self._number, self._dies, self._late = self.txns + ahead, dies, None
        self.dead.clear()


class PlainMachine(BrokerMachine):
    """Settles by id, without consumers."""

    def step(self, event: object, now: float) -> BrokerEffects:
        if not isinstance(event, e.Settled):
            return super().step(event, now)
        out = BrokerEffects()
        queue = self.state.queue("/", event.queue)
        sequences = [split_id(one)[1] for one in event.ids]
        out.writes += queue.remove(P0, sequences, now)
        out.after.append(fx.SettleDone(event.session, event.number))
        return out


@dataclass
class History:
    """What one producer and one consumer did, and what they know of it."""

    published: list[tuple[int, bytes]] = field(default_factory=list)
    """Number and payload, which begins with the name of the queue."""
    confirmed: set[bytes] = field(default_factory=set)
    settling: dict[int, set[bytes]] = field(default_factory=dict)
    number: int = 0

    def publish(self, term: BrokerTerm, *names: str) -> asyncio.Future[object]:
        """One message to each of these queues, in one event."""
        messages = []
        for name in names:
            self.number += 1
            messages.append((self.number, b"%s %d" % (name.encode(), self.number)))
        self.published += messages
        return self.send(term, messages)

    def send(
        self, term: BrokerTerm, messages: Sequence[tuple[int, bytes]]
    ) -> asyncio.Future[object]:
        """Publish messages, perhaps again."""
        publications = [
            e.Publication(payload, "", payload.partition(b" ")[0], number=number)
            for number, payload in messages
        ]
        token = term.broker.ask(partial(e.MessagesPublished, "/", "alice/p", publications))
        token.add_done_callback(partial(self._answered, messages))
        return token

    def _answered(
        self, messages: Sequence[tuple[int, bytes]], token: asyncio.Future[object]
    ) -> None:
        if token.exception() is None:
            self.confirmed |= {payload for _, payload in messages}

    @property
    def unconfirmed(self) -> list[tuple[int, bytes]]:
        """What the producer sends to the next leader, in order."""
        return [one for one in self.published if one[1] not in self.confirmed]

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
    await declare(term)
    await store_offsets(term)
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
    await term.broker.call(
        lambda token: e.MessageQueueDeleteAsked("/", "b", SessionId(""), False, False, token)
    )
    history.published = [one for one in history.published if one[1].startswith(b"a")]
    history.publish(term, "a")
    await committed(term)


async def alive(store: MemoryEtcd, fold: Fold) -> list[bytes]:
    """The payloads of all messages that are alive, as a new leader can read them."""
    found = []
    fold.broker.settle()
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


Play = Callable[[BrokerTerm, History], Awaitable[None]]
LIMITS = BrokerLimits(step_bytes=60)


async def declare(term: BrokerTerm) -> None:
    """Two message queues."""
    for name, uid in UIDS.items():
        declared = partial(
            e.MessageQueueDeclared, "/", name, MessageQueueSpec(), SessionId(""), uid
        )
        await term.broker.call(declared)


async def store_offsets(term: BrokerTerm) -> None:
    """Named offsets of a stream, and policies: two are stored, one goes."""
    spec = MessageQueueSpec(type=QueueType.STREAM)
    declared = partial(e.MessageQueueDeclared, "/", "s", spec, SessionId(""), QueueUid("5" * 16))
    await term.broker.call(declared)
    for name in ("gone", "kept"):
        await term.broker.call(partial(e.OffsetAsked, "/", "s", name, 0, None))
    await term.broker.call(partial(e.OffsetDropAsked, "/", "s", "gone"))
    # And policies: one changes what is in force of the queues, one goes.
    for name, length in (("kept", 1_000), ("gone", 7), ("kept", 2_000)):
        definition = PolicyDefinition(max_length_bytes=length << 20)
        row = PolicyRow("/", name, "^[a-s]$", definition, priority=len(name) + length)
        await term.broker.call(partial(PolicyAsked, row))
    await term.broker.call(partial(PolicyDeleteAsked, "/", "gone", False))


async def play_long(term: BrokerTerm, history: History) -> None:
    """Publishes that are done in many parts, one right behind the other."""
    await declare(term)
    tokens = [history.publish(term, *"ab" * 40), history.publish(term, "a", "b")]
    await asyncio.sleep(0)
    tokens.append(history.publish(term, *"ba" * 30))
    await asyncio.gather(*tokens)


async def crash(play: Play, number: int, dies: Dies) -> None:
    """Play a history up to the death of its leader; look at what the next one has."""
    store, history = Dying(number, dies), History()
    first = await begin(store, Follower(store).follow(), machine_of())
    playing = asyncio.ensure_future(play(first, history))
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
    fold = Follower(store).follow()
    second = await begin(store, fold, BrokerMachine(fold.broker.state, LIMITS))
    await store.come_late()
    try:
        found = await alive(store, Follower(store).follow())
        assert len(found) == len(set(found)), "a message is there once"
        gone = set().union(*history.settling.values())
        queues = {row.row.name for row in fold.broker.state.queues.values()}
        kept = {one for one in history.confirmed if one[:1].decode() in queues}
        assert kept - gone <= set(found)
        assert not settled & set(found), "a settled message is back"
        for name, uid in UIDS.items():
            if name not in queues:
                place = PREFIX + keys.message_queue_messages(uid)
                assert not (await store.range(Range(place, prefix_end(place)))).kvs
        if queues == set(UIDS):
            # The producer sends again what was not confirmed: each message is there once.
            await history.send(second, history.unconfirmed)
            found = await alive(store, Follower(store).follow())
            assert len(found) == len(set(found))
            assert {one for _, one in history.published} - gone <= set(found)
    finally:
        await second.end()


def machine_of() -> PlainMachine:
    return PlainMachine(Fold().broker.state, LIMITS)


async def count(play: Play) -> int:
    """Txns of a history when nobody dies."""
    store, history = Dying(), History()
    term = await begin(store, Follower(store).follow(), machine_of())
    await play(term, history)
    txns = store.txns
    fold = Follower(store).follow()
    fold.broker.settle()
    leader, standby = term.broker.state, fold.broker.state
    assert facts(standby) == facts(leader)
    assert standby.producers == leader.producers
    assert standby.names == leader.names
    await term.end()
    assert not history.unconfirmed
    return txns


def facts(state: BrokerState) -> dict[str, object]:
    """What a leader and a standby have to agree on of the queues."""
    offsets = {queue.row.name: queue.offsets for queue in state.queues.values() if queue.offsets}
    return {"offsets": (offsets, state.named_offsets), "policies": state.policies.rows} | {
        f"{queue.row.name} {name}": (queue.row, lane.log.facts())
        for queue in state.queues.values()
        # A leader makes the lane of a stream when it looks for its end.
        if not queue.offsets
        for name, lane in queue.sub_logs()
    }


@pytest.mark.parametrize("dies", list(Dies))
async def test_no_confirmed_message_is_lost_wherever_the_leader_dies(dies: Dies) -> None:
    txns = await count(play)
    assert txns > 8
    # The first one is the claim.
    for number in range(2, txns + 1):
        await crash(play, number, dies)


@pytest.mark.parametrize("dies", list(Dies))
async def test_publishes_in_many_parts_are_whole_wherever_the_leader_dies(dies: Dies) -> None:
    txns = await count(play_long)
    assert txns > 4
    for number in range(2, txns + 1):
        await crash(play_long, number, dies)


async def test_publishes_in_many_parts_keep_their_order() -> None:
    store, history = MemoryEtcd(), History()
    term = await begin(store, Follower(store).follow(), machine_of())
    try:
        await play_long(term, history)
        found = await alive(store, Follower(store).follow())
        for name in (b"a", b"b"):
            numbers = [int(one.partition(b" ")[2]) for one in found if one.startswith(name)]
            assert numbers == sorted(numbers)
        assert len(found) == len(history.published)
    finally:
        await term.end()
