"""The broker's driver while etcd is full or away: what is refused, goes on, is read again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quorate.etcd.api import EtcdUnavailable, Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import Space
from scheduler.core.broker.storage.format import unpack
from scheduler.core.broker.storage.records import Acks, DeleteChunks, PutAcks
from scheduler.storage import keys
from tests.support.broker_script import (
    OTHER,
    P0,
    UID,
    Do,
    Script,
    acks,
    asked,
    publish,
    stored,
    until,
)
from tests.support.broker_term import PREFIX, leading


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
        spaces = [script.state.space]
        term.plenty = False
        term.broker.handle([e.TimePassed()])
        spaces.append(script.state.space)
        assert spaces == [Space.PLENTY, Space.NO_MERGES]


async def test_without_space_chunks_that_are_acknowledged_go_all_the_same() -> None:
    etcd = MemoryEtcd()
    async with leading(etcd, machine=(script := Script())) as term:
        await term.broker.call(asked(add=[publish(0, 2)]))
        etcd.no_space = True
        stuck = term.broker.ask(asked(add=[publish(2)]))
        async with asyncio.timeout(60):
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


async def test_without_space_a_body_stays_behind_what_deletes_another_chunk_of_it() -> None:
    etcd = MemoryEtcd()
    uids = UID, OTHER, QueueUid("00000000000000a3")
    body = Range(PREFIX + keys.message_body_key(7, 0))
    async with leading(etcd, machine=Script()) as term:
        put = fx.PutBodyPart(7, 0, b"body")
        await term.broker.call(asked(put, add=[publish(0, uid=uid) for uid in uids]))
        gone = (DeleteChunks(0, 0, False),)
        first, second, third = [fx.ChangeSubLog(uid, P0, gone) for uid in uids]
        etcd.no_space = True
        moved = term.broker.ask(asked(first, add=[publish(1, uid=UID)]))
        async with asyncio.timeout(60):
            while not term.journal.no_space:
                await asyncio.sleep(0.01)
            # Memory counts no reference to it any more.
            assert await term.broker.ask(asked(second, fx.DropBody(7, 1))) == 2
            # What is appended later goes ahead, of the body, too.
            assert await term.broker.ask(asked(third)) == 1
        assert not moved.done()
        assert list(await stored(term)) == [b"p00/c/000000000000"]
        assert (await etcd.range(body)).kvs
        etcd.no_space = False
        await moved
        await term.journal.flush()
        assert list(await stored(term)) == [b"p00/c/000000000001"]
        assert not (await etcd.range(body)).kvs


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
