"""Orders about one node that come at once, while the journal is full: none undoes another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from quorate.etcd.api import Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import NodeName
from quorate.v1 import node_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control
from scheduler.storage import keys, records
from tests.support.core_specs import node_row
from tests.support.one_leader import PREFIX, Leader, leading

CORDON, UNCORDON = pb.CordonNodeRequest(name="n1"), pb.UncordonNodeRequest(name="n1")
DRAIN = pb.DrainNodeRequest(name="n1")
DRAIN.grace.seconds = 7


class GatedEtcd(MemoryEtcd):
    """Commits when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        # Txns that came so far while it was closed.
        self.waiting = 0

    def let_one_through(self) -> None:
        """The Txn that waits, and no other."""
        self.open.set()
        self.open.clear()

    async def txn(self, *args: Any, **options: Any) -> Any:
        if not self.open.is_set():
            self.waiting += 1
        await self.open.wait()
        return await super().txn(*args, **options)


@pytest.fixture
async def etcd() -> GatedEtcd:
    return GatedEtcd()


@pytest.fixture
async def leader(etcd: GatedEtcd) -> AsyncIterator[Leader]:
    async with leading(etcd, max_pending_events=1) as leader:
        leader.driver.handle((e.NodeRegistered(node_row("n1", "i1")),))
        yield leader


async def at_once(etcd: GatedEtcd, leader: Leader, *requests: Any) -> list[Any]:
    """Ask all of these, in order, while the journal is full; their answers."""
    etcd.open.clear()
    filling = asyncio.create_task(leader.call("CreateQueue", _another_queue(leader)))
    while leader.journal.room:
        await asyncio.sleep(0)
    asked = [asyncio.create_task(leader.call(_method(one), one)) for one in requests]
    # Each begins, and waits for room.
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(call.done() for call in asked)
    etcd.open.set()
    async with asyncio.timeout(60):
        await filling
        return [answer.node for answer in await asyncio.gather(*asked)]


async def on_record(etcd: GatedEtcd) -> Control:
    found = await etcd.range(Range(PREFIX + keys.control_key("n1")))
    return records.control(found.kvs[0].value)


@pytest.mark.parametrize("requests", [(CORDON, DRAIN), (DRAIN, CORDON)], ids=["first", "last"])
async def test_a_cordon_does_not_end_a_drain(
    etcd: GatedEtcd, leader: Leader, requests: tuple[Any, ...]
) -> None:
    await at_once(etcd, leader, *requests)
    assert leader.driver.state.control(NodeName("n1")) == Control(True, True, 7.0)
    assert await on_record(etcd) == Control(True, True, 7.0)


async def test_the_last_order_stands(etcd: GatedEtcd, leader: Leader) -> None:
    await at_once(etcd, leader, DRAIN, UNCORDON, CORDON)
    assert await on_record(etcd) == Control(True, False, 0.0)
    await at_once(etcd, leader, DRAIN, CORDON, UNCORDON)
    assert await on_record(etcd) == Control()


async def test_an_answer_does_not_show_an_order_that_is_not_committed(etcd: GatedEtcd) -> None:
    async with leading(etcd) as leader:
        leader.driver.handle((e.NodeRegistered(node_row("n1", "i1")),))
        etcd.open.clear()
        cordon = asyncio.create_task(leader.call("CordonNode", CORDON))
        while etcd.waiting < 1:
            await asyncio.sleep(0)
        # Stepped behind the Txn in flight.
        drain = asyncio.create_task(leader.call("DrainNode", DRAIN))
        while not leader.driver.state.control(NodeName("n1")).draining:
            await asyncio.sleep(0)
        etcd.let_one_through()
        while etcd.waiting < 2:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert await on_record(etcd) == Control(True, False, 0.0)
        assert not cordon.done()
        etcd.open.set()
        async with asyncio.timeout(60):
            answers = await asyncio.gather(cordon, drain)
    assert [answer.node.state for answer in answers] == [node_pb2.NODE_STATE_DRAINED] * 2


def _another_queue(leader: Leader) -> pb.CreateQueueRequest:
    request = pb.CreateQueueRequest()
    request.queue.name = f"queue-{len(leader.driver.state.queues)}"
    return request


def _method(request: Any) -> str:
    return type(request).__name__.removesuffix("Request")
