"""The broker's driver: what a step writes is committed in order, and what follows waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from quorate.etcd.api import EtcdUnavailable, Range
from quorate.etcd.journal.journal import JournalEnded, JournalError
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError, not_found
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueRow,
    MessageQueueSpec,
    ProducerRow,
    QueueUid,
    SessionId,
)
from scheduler.core.broker.state import BrokerState, Space
from scheduler.core.broker.storage.format import pack, unpack
from scheduler.core.broker.storage.places import of_priority
from scheduler.core.broker.storage.records import Acks, DeleteChunks, PutAcks
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold
from tests.support.broker_term import PREFIX, BrokerTerm, leading

UID = QueueUid("00000000000000a1")
OTHER = QueueUid("00000000000000a2")
P0 = of_priority(0)
SESSION = SessionId("s")


class Do(NamedTuple):
    """An event whose effects a test says."""

    out: BrokerEffects
    token: Any = None


class Script:
    """A machine that does what its events say, and notes what comes back from the log."""

    def __init__(self) -> None:
        self.state = BrokerState()
        self.stepped: list[Any] = []
        self.on_chunks: Callable[[e.ChunksCommitted], BrokerEffects] = lambda event: BrokerEffects()

    def step(self, event: Any, now: float) -> BrokerEffects:
        self.stepped.append(event)
        if isinstance(event, Do):
            return event.out
        if isinstance(event, e.ChunksCommitted):
            return self.on_chunks(event)
        if isinstance(event, ZeroDivisionError):
            raise event
        return BrokerEffects()


def publish(first: int, count: int = 1, uid: QueueUid = UID, size: int = 10) -> fx.AddMessages:
    return fx.AddMessages(uid, P0, [pack(first + n, 1.0, b"x" * size) for n in range(count)])


def acks(cursor: int, uid: QueueUid = UID) -> fx.ChangeSubLog:
    return fx.ChangeSubLog(uid, P0, (PutAcks(Acks(cursor, cursor)),))


def asked(*writes: fx.Write, add: Sequence[fx.AddMessages] = ()) -> Callable[[Any], Do]:
    """Makes an event that is answered with its own effects' number of writes."""

    def make(token: Any) -> Do:
        reply = fx.Reply(token, len(writes) + len(add))
        return Do(BrokerEffects(list(writes), list(add), [reply]), token)

    return make


def deliver(number: int) -> fx.Deliver:
    return fx.Deliver(SESSION, ConsumerNumber(number), ())


async def stored(term: BrokerTerm, uid: QueueUid = UID) -> dict[bytes, bytes]:
    """What is below `mq/<uid>/`."""
    place = PREFIX + keys.message_queue_messages(uid)
    found = await term.etcd.range(Range(place, place + b"z"))
    return {kv.key.removeprefix(place): kv.value for kv in found.kvs}


async def test_elected_is_the_first_event_and_orphans_are_deleted() -> None:
    etcd = MemoryEtcd()
    chunk = PREFIX + keys.message_chunk_key(keys.message_sub_log(b"", UID, P0), 0)
    await etcd.put(chunk, b"whatever")
    fold = Fold()
    fold.broker._aside[UID] = {}
    async with leading(etcd, fold, Script()) as term:
        await term.journal.flush()
        assert term.machine.stepped == [e.Elected()]
        assert not await stored(term)


async def test_two_publishes_and_two_acks_of_one_turn_are_one_chunk_and_one_record() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await term.journal.flush()
        before = term.journal.counters.txns
        answers = await asyncio.gather(
            term.broker.call(asked(add=[publish(0, 2)])),
            term.broker.call(asked(acks(1))),
            term.broker.call(asked(add=[publish(2, 3)])),
            term.broker.call(asked(acks(2))),
        )
        assert answers == [1, 1, 1, 1]
        assert term.journal.counters.txns == before + 1
        found = await stored(term)
        assert list(found) == [b"p00/acks", b"p00/c/000000000000"]
        assert [message.sequence for message in unpack(found[b"p00/c/000000000000"])] == [*range(5)]


async def test_events_of_one_call_share_an_entry_and_keep_their_order() -> None:
    done: list[int] = []
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await term.journal.flush()
        before = term.journal.counters.events
        tokens = [asyncio.get_running_loop().create_future() for _ in range(5)]
        for number, token in enumerate(tokens):
            token.add_done_callback(lambda _, number=number: done.append(number))
        term.broker.handle(asked(add=[publish(n)])(token) for n, token in enumerate(tokens))
        await asyncio.gather(*tokens)
        assert term.journal.counters.events == before + 1
    assert done == [0, 1, 2, 3, 4]


async def test_events_of_one_turn_of_the_loop_share_an_entry() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await term.journal.flush()
        before = term.journal.counters.events
        await asyncio.gather(*[term.broker.call(asked(add=[publish(n)])) for n in range(20)])
        assert term.journal.counters.events == before + 1


async def test_a_read_waits_for_what_was_stepped_before_it() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        token = term.broker.ask(asked(add=[publish(0)]))
        await term.broker.readable()
        assert token.done()


async def test_chunks_are_stepped_before_what_follows_their_commit() -> None:
    order: list[str] = []
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:

        def chunks(event: e.ChunksCommitted) -> BrokerEffects:
            order.append(f"{event.sub_log} {[one[0].messages for one in event.chunks]}")
            # Deliveries go at once, and what they write is committed next.
            return BrokerEffects([acks(1)], now=[deliver(1)])

        script.on_chunks = chunks
        token = term.broker.ask(asked(add=[publish(0)]))
        token.add_done_callback(lambda _: order.append("answered"))
        await token
        assert term.sessions.got == [deliver(1)]
        await term.journal.flush()
        assert b"p00/acks" in await stored(term)
    assert order == ["p00 [1]", "answered"]


async def test_an_event_that_writes_nothing_is_answered_behind_what_was_written() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        first = term.broker.ask(asked(add=[publish(0)]))
        second = term.broker.ask(asked())
        assert await second == 0
        assert first.done()


async def test_a_refusal_is_raised() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:

        def make(token: Any) -> Do:
            return Do(BrokerEffects(after=[fx.Reply(token, not_found("message_queue", "q"))]))

        with pytest.raises(QuorateError) as caught:
            await term.broker.call(make)
        assert "message_queue" in str(caught.value)


async def test_what_deletes_a_range_has_a_txn_with_no_put_into_it() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await asyncio.gather(
            term.broker.call(asked(add=[publish(0, 2)])),
            term.broker.call(asked(add=[publish(0, 2, OTHER)])),
            term.broker.call(asked(fx.DropMessageQueue(UID))),
            term.broker.call(asked(add=[publish(2, 2, OTHER)])),
        )
        assert not await stored(term)
        assert len(await stored(term, OTHER)) == 2


async def test_many_writes_of_one_turn_are_several_txns() -> None:
    async with leading(MemoryEtcd(), machine=Script(), ops=16) as term:
        uids = [QueueUid(f"{n:016x}") for n in range(40)]
        tokens = [term.broker.ask(asked(add=[publish(0, 1, uid)])) for uid in uids]
        answers = await asyncio.gather(*tokens)
        assert answers == [1] * 40
        for uid in uids:
            assert len(await stored(term, uid)) == 1


async def test_heavy_events_of_one_turn_are_several_txns() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        tokens = [asyncio.get_running_loop().create_future() for _ in range(12)]
        term.broker.handle(
            asked(add=[publish(2 * n, 2, size=100_000)])(token) for n, token in enumerate(tokens)
        )
        await asyncio.gather(*tokens)
        found = await stored(term)
        sequences = [message.sequence for value in found.values() for message in unpack(value)]
        assert sequences == [*range(24)]


# -- parts


def parts(count: int, token: Any = None) -> Do:
    """An event in so many parts; the last one answers."""
    out = BrokerEffects([fx.PutProducer(ProducerRow(f"p{count}", count, 1.0))])
    if count > 1:
        out.then.append(parts(count - 1, token))
    elif token is not None:
        out.after.append(fx.Reply(token, "all"))
    return Do(out)


async def test_parts_are_stepped_next_and_the_last_one_answers() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        assert await term.broker.call(lambda token: parts(5, token)) == "all"
        assert len(script.stepped) == 1 + 5
        found = await term.etcd.range(Range(PREFIX + b"producers/", PREFIX + b"producers0"))
        assert found.count == 5


async def test_of_many_parts_others_have_their_turn_in_between() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        long = term.broker.ask(lambda token: parts(200, token))
        other = term.broker.ask(asked())
        assert await other == 0
        assert not long.done()
        assert await long == "all"
        assert len(script.stepped) == 1 + 200 + 1


async def test_parts_wait_for_room() -> None:
    etcd = MemoryEtcd()
    async with leading(etcd, machine=(script := Script())) as term:
        term.journal._max_pending_events = 1
        token = term.broker.ask(lambda token: parts(10, token))
        # The first one has filled the journal.
        assert len(script.stepped) == 1 + 1
        assert await token == "all"


# -- trust, errors, the end of a term


async def test_while_the_leader_is_not_trusted_sessions_get_nothing() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await term.journal.flush()
        term.trusted = False
        term.broker.handle(
            [Do(BrokerEffects(now=[deliver(1)])), Do(BrokerEffects(now=[deliver(2)]))]
        )
        assert not term.sessions.got
        term.trusted = True
        # Behind those that wait, though it is trusted again.
        term.broker.handle([Do(BrokerEffects(now=[deliver(3)]))])
        async with asyncio.timeout(10):
            while len(term.sessions.got) < 3:
                await asyncio.sleep(0.01)
        assert term.sessions.got == [deliver(1), deliver(2), deliver(3)]


async def test_a_commit_outside_of_the_trust_window_ends_the_term() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await term.journal.flush()
        term.trusted = False
        token = term.broker.ask(asked(add=[publish(0)]))
        with pytest.raises(QuorateError) as caught:
            await token
        assert caught.value.reason == "LEADER_LOST"
        await asyncio.wait(term.tasks[:1])
        assert isinstance(term.tasks[0].exception(), JournalEnded)


async def test_an_event_that_cannot_be_handled_ends_the_term() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        earlier = term.broker.ask(asked(add=[publish(0)]))
        with pytest.raises(ZeroDivisionError):
            term.broker.handle([ZeroDivisionError()])
        with pytest.raises(QuorateError):
            await earlier
        await asyncio.wait(term.tasks[:1])
        assert isinstance(term.tasks[0].exception(), JournalError)


async def test_whoever_waits_at_the_end_of_a_term_gets_unavailable() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        # An event that waits inside the machine, such as for a chunk.
        waits = asyncio.create_task(term.broker.call(lambda token: Do(BrokerEffects())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        term.broker.close()
        with pytest.raises(QuorateError) as caught:
            await waits
        assert caught.value.reason == "LEADER_LOST"
        with pytest.raises(QuorateError):
            await term.broker.ask(asked())
        with pytest.raises(QuorateError):
            await term.broker.room()


# -- space


async def test_messages_are_refused_before_etcd_is_full() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        term.full = "etcd holds too much"
        with pytest.raises(QuorateError) as caught:
            await term.broker.call(asked(add=[publish(0)]), 10, publishes=True)
        assert caught.value.reason == "ETCD_SPACE_LOW"
        assert script.stepped == [e.Elected()]
        # What frees space is not.
        assert await term.broker.call(asked(acks(1))) == 1


async def test_the_machine_knows_what_etcd_has_room_for() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        await term.journal.flush()
        assert script.state.space is Space.PLENTY
        term.plenty = False
        term.broker.handle([e.TimePassed()])
        assert script.state.space is Space.NO_MERGES


async def test_without_space_chunks_that_are_acknowledged_go_all_the_same() -> None:
    etcd = MemoryEtcd()
    async with leading(etcd, machine=(script := Script())) as term:
        await term.broker.call(asked(add=[publish(0, 2)]))
        etcd.no_space = True
        stuck = term.broker.ask(asked(add=[publish(2)]))
        async with asyncio.timeout(10):
            while not term.journal.no_space:
                await asyncio.sleep(0.01)
            # A whole chunk, and the record that says so.
            writes = (DeleteChunks(0, 0, False), PutAcks(Acks(2, 2)))
            acked = term.broker.ask(asked(fx.ChangeSubLog(UID, P0, writes)))
            while await stored(term):
                await asyncio.sleep(0.01)
        assert script.state.space is Space.NONE
        # Its record waits for space, as what was published does.
        assert not acked.done()
        assert not stuck.done()
        with pytest.raises(QuorateError) as caught:
            await term.broker.call(asked(add=[publish(3)]))
        assert caught.value.reason == "ETCD_SPACE_LOW"
        etcd.no_space = False
        assert [await stuck, await acked] == [1, 1]
        assert list(await stored(term)) == [b"p00/acks", b"p00/c/000000000002"]


# -- chunks that are read


async def test_chunks_are_read_and_one_that_is_gone_is_none() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        await term.broker.call(asked(add=[publish(0, 2)]))
        load = fx.LoadChunks(((UID, P0, 0), (UID, P0, 7)))
        term.broker.handle([Do(BrokerEffects(now=[load]))])
        found = await until(script, e.ChunkLoaded, 2)
        assert {event.first: event.value is None for event in found} == {0: False, 7: True}


async def test_a_read_that_fails_is_made_again() -> None:
    etcd = Failing(3)
    async with leading(etcd, machine=(script := Script())) as term:
        await term.broker.call(asked(add=[publish(0, 2)]))
        etcd.fails = True
        term.broker.handle([Do(BrokerEffects(now=[fx.LoadChunks(((UID, P0, 0),))]))])
        (event,) = await until(script, e.ChunkLoaded, 1)
        assert [message.sequence for message in unpack(event.value)] == [0, 1]
        assert etcd.left == 0


async def test_chunks_to_merge_come_as_one_event() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        for first in range(40):
            await term.broker.call(asked(add=[publish(first)]))
        read = fx.ReadToMerge(UID, P0, [*range(39), 99])
        term.broker.handle([Do(BrokerEffects(now=[read]))])
        (event,) = await until(script, e.MergeRead, 1)
        assert [first for first, _ in event.chunks] == [*range(39)]


class Failing(MemoryEtcd):
    """A store whose reads in Txns fail so many times, from when a test says."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left
        self.fails = False

    async def txn(self, compares: Any, success: Any, failure: Any = (), **options: Any) -> Any:
        if self.fails and self.left and all(isinstance(op, Range) for op in success):
            self.left -= 1
            raise EtcdUnavailable("away")
        return await super().txn(compares, success, failure, **options)


async def until(script: Script, kind: type, count: int) -> list[Any]:
    """Wait until so many events of a kind were stepped."""
    async with asyncio.timeout(10):
        while True:
            found = [event for event in script.stepped if type(event) is kind]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


# -- time


async def test_time_is_stepped_when_it_is_due() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        due = term.driver.clock.now() + 0.02
        term.broker.handle([Do(BrokerEffects(next_due=due))])
        await until(script, e.TimePassed, 1)
        assert term.driver.clock.now() >= due


async def test_a_queue_on_record_is_folded() -> None:
    """The codec that the driver is given, and the fold of what it wrote."""
    async with leading(MemoryEtcd(), machine=Script()) as term:
        row = MessageQueueRow(UID, "/", "q", MessageQueueSpec(), 1.0)
        await term.broker.call(asked(fx.PutMessageQueue(row)))
        found = await term.etcd.range(Range(PREFIX + keys.message_queue_key(UID)))
        fold = Fold()
        fold.put(keys.message_queue_key(UID), found.kvs[0].value, 5)
        fold.at(5)
        assert fold.broker.state.queue("/", "q").row == row
