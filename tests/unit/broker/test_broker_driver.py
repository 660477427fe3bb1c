"""The broker's driver: what a step writes is committed in order, and what follows waits for it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from quorate.etcd.api import Range
from quorate.etcd.journal.journal import JournalEnded, JournalError
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError, not_found
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.rows import (
    MessageQueueRow,
    MessageQueueSpec,
    ProducerRow,
    QueueUid,
)
from scheduler.core.broker.storage.format import unpack
from scheduler.engine.broker.parts import MANY
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold
from tests.support.broker_script import (
    OTHER,
    P0,
    UID,
    Do,
    Script,
    acks,
    asked,
    deliver,
    publish,
    stored,
    until,
)
from tests.support.broker_term import PREFIX, leading


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
        assert list(answers) == [1, 1, 1, 1]
        assert term.journal.counters.txns == before + 1
        found = await stored(term)
        assert list(found) == [b"p00/acks", b"p00/c/000000000000"]
        assert [message.sequence for message in unpack(found[b"p00/c/000000000000"])] == [*range(5)]


def _note(done: list[int], number: int, _token: asyncio.Future[object]) -> None:
    done.append(number)


async def test_events_of_one_call_share_an_entry_and_keep_their_order() -> None:
    done: list[int] = []
    async with leading(MemoryEtcd(), machine=Script()) as term:
        await term.journal.flush()
        before = term.journal.counters.events
        tokens = [asyncio.get_running_loop().create_future() for _ in range(5)]
        for number, token in enumerate(tokens):
            token.add_done_callback(partial(_note, done, number))
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


async def test_an_event_that_follows_a_commit_is_stepped_in_its_place() -> None:
    async with leading(MemoryEtcd(), machine=(script := Script())) as term:
        await term.journal.flush()
        second = Do(BrokerEffects(now=[deliver(2)]))
        out = BrokerEffects([acks(1)], after=[deliver(1), fx.StepOnceCommitted(second), deliver(3)])
        term.broker.handle([Do(out)])
        assert second not in script.stepped
        term.broker.flush()
        await term.journal.flush()
        assert term.sessions.got == [deliver(1), deliver(2), deliver(3)]


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
        assert list(answers) == [1] * 40
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


async def test_clients_wait_while_many_parts_do() -> None:
    async with leading(MemoryEtcd(), machine=Script()) as term:
        tokens = [term.broker.ask(lambda token: parts(20, token)) for _ in range(MANY)]
        room = asyncio.create_task(term.broker.room())
        await asyncio.sleep(0)
        assert not room.done()
        async with asyncio.timeout(60):
            await room
            assert not all(token.done() for token in tokens), "room is there before all are done"
            assert await asyncio.gather(*tokens) == ["all"] * MANY


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
        async with asyncio.timeout(60):
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
