"""Records of instances against the in-memory store: order, silence, a lost lease, other writers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from node_agent.services import instance_records as module
from node_agent.services.instance_records import InstanceRecords
from quorate.etcd.api import Compare, EtcdRefused, EtcdUnavailable, Op, Range, TxnResult
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import InstanceRecord
from quorate.v1 import service_pb2
from quorate.v1.service_pb2 import ServiceInstance

PREFIX = b"/quorate/c/"
KEY = PREFIX + b"services/web/t1"
STARTING = service_pb2.INSTANCE_STATE_STARTING
HEALTHY = service_pb2.INSTANCE_STATE_HEALTHY
DRAINING = service_pb2.INSTANCE_STATE_DRAINING


class Faulty(MemoryEtcd):
    """A store that can be away, refuse keys, and deliver late what it did not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refused = b"-"
        self.tries = 0
        # Transactions that got lost on the way.
        self.lost: list[tuple[Sequence[Compare], Sequence[Op]]] = []

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        self.tries += 1
        if self.away:
            self.lost.append((compares, success))
            raise EtcdUnavailable("away")
        if self.refused in compares[0].key:
            raise EtcdRefused("no")
        return await super().txn(compares, success, failure, timeout=timeout)

    async def deliver_late(self) -> None:
        for compares, success in self.lost:
            await super().txn(compares, success)
        self.lost.clear()


def instance(state: service_pb2.InstanceState, name: str = "t1") -> ServiceInstance:
    return ServiceInstance(service="web", id=name, address="h:1", state=state)


class Node:
    """Records, their writer and what the store says."""

    def __init__(self, etcd: Faulty) -> None:
        self.etcd = etcd
        self.records = InstanceRecords(PREFIX)

    async def register(self, agent: str = "i1") -> int:
        lease = (await self.etcd.lease_grant(5)).id
        self.records.on_registered(lease, agent)
        return lease

    async def record(self, key: bytes = KEY) -> InstanceRecord | None:
        found = await self.etcd.range(Range(key))
        return InstanceRecord.FromString(found.kvs[0].value) if found.kvs else None

    async def state(self) -> int:
        record = await self.record()
        return record.instance.state if record else 0

    async def settled(self) -> None:
        await until(lambda: self.records.settled)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.001)
    return Faulty()


@asynccontextmanager
async def running(etcd: Faulty) -> AsyncIterator[Node]:
    node = Node(etcd)
    writer = asyncio.create_task(node.records.run(etcd))
    try:
        yield node
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


async def test_a_record_lives_under_the_lease_of_its_agent(etcd: Faulty):
    async with running(etcd) as node:
        node.records.put(instance(STARTING), 3)
        lease = await node.register()
        await node.settled()
        record = await node.record()
        assert record is not None
        assert (record.agent, record.attempt, record.instance.address) == ("i1", 3, "h:1")
        assert (await etcd.range(Range(KEY))).kvs[0].lease == lease
        node.records.put(instance(HEALTHY), 3)
        await node.settled()
        assert await node.state() == HEALTHY
        node.records.remove("web", "t1", 3)
        await node.settled()
        assert await node.record() is None


async def test_states_are_written_in_order(etcd: Faulty):
    async with running(etcd) as node:
        await node.register()
        seen = []
        async with etcd.watch(KEY) as batches:
            for state in (STARTING, HEALTHY, DRAINING):
                node.records.put(instance(state), 1)
                await node.settled()
            node.records.remove("web", "t1", 1)
            await node.settled()
            async for batch in batches:
                for event in batch.events:
                    value = InstanceRecord.FromString(event.kv.value).instance.state
                    seen.append(0 if event.deleted else value)
                if len(seen) == 4:
                    break
        assert seen == [STARTING, HEALTHY, DRAINING, 0]


async def test_the_newest_state_is_written_once_etcd_is_back(etcd: Faulty):
    async with running(etcd) as node:
        await node.register()
        etcd.away = True
        node.records.put(instance(STARTING), 1)
        await until(lambda: etcd.tries > 2)
        node.records.put(instance(HEALTHY), 1)
        node.records.put(instance(STARTING, "t2"), 1)
        node.records.remove("web", "t2", 1)
        etcd.away = False
        await node.settled()
        assert await node.state() == HEALTHY
        assert await node.record(PREFIX + b"services/web/t2") is None


async def test_a_write_that_arrives_late_changes_nothing(etcd: Faulty):
    async with running(etcd) as node:
        await node.register()
        node.records.put(instance(STARTING), 1)
        await node.settled()
        etcd.away = True
        node.records.put(instance(HEALTHY), 1)
        await until(lambda: len(etcd.lost) > 0)
        node.records.put(instance(DRAINING), 1)
        etcd.away = False
        await node.settled()
        await etcd.deliver_late()
        assert await node.state() == DRAINING


async def test_a_write_that_came_through_unanswered_is_not_in_the_way(etcd: Faulty):
    async with running(etcd) as node:
        await node.register()
        etcd.away = True
        node.records.put(instance(STARTING), 1)
        await until(lambda: len(etcd.lost) > 0)
        await etcd.deliver_late()
        assert await node.state() == STARTING
        node.records.put(instance(HEALTHY), 1)
        etcd.away = False
        await node.settled()
        assert await node.state() == HEALTHY
        node.records.remove("web", "t1", 1)
        await node.settled()
        assert await node.record() is None


async def test_a_later_attempt_elsewhere_is_left_alone(etcd: Faulty):
    async with running(etcd) as old, running(etcd) as new:
        await old.register("i1")
        await new.register("i2")
        old.records.put(instance(HEALTHY), 1)
        await old.settled()
        new.records.put(instance(STARTING), 2)
        await new.settled()
        old.records.put(instance(DRAINING), 1)
        await old.settled()
        old.records.remove("web", "t1", 1)
        await old.settled()
        record = await new.record()
        assert record is not None
        assert (record.agent, record.attempt, record.instance.state) == ("i2", 2, STARTING)


async def test_the_end_of_an_earlier_attempt_here_does_not_remove_the_later_one(etcd: Faulty):
    async with running(etcd) as node:
        await node.register()
        node.records.put(instance(HEALTHY), 1)
        node.records.put(instance(STARTING), 2)
        node.records.put(instance(DRAINING), 1)
        node.records.remove("web", "t1", 1)
        await node.settled()
        record = await node.record()
        assert record is not None
        assert (record.attempt, record.instance.state) == (2, STARTING)


async def test_a_new_registration_writes_everything_again(etcd: Faulty):
    async with running(etcd) as node:
        lease = await node.register()
        node.records.put(instance(HEALTHY), 1)
        await node.settled()
        await etcd.delete(KEY)
        node.records.on_registered(lease, "i1")
        await node.settled()
        assert await node.state() == HEALTHY


async def test_what_a_lost_lease_took_along_is_written_again_under_the_next(etcd: Faulty):
    async with running(etcd) as node:
        lease = await node.register()
        node.records.put(instance(HEALTHY), 1)
        await node.settled()
        await etcd.lease_revoke(lease)
        tries = etcd.tries
        node.records.put(instance(DRAINING), 1)
        await until(lambda: etcd.tries > tries + 1)  # the lease is gone: not written
        assert await node.record() is None
        node.records.on_lease_lost()
        await node.register()
        await node.settled()
        record = await node.record()
        assert record is not None
        assert record.attempt == 1
        assert record.instance.state == DRAINING


async def test_a_refused_record_does_not_hold_up_the_others(etcd: Faulty):
    async with running(etcd) as node:
        etcd.refused = b"/bad"
        await node.register()
        node.records.put(instance(STARTING, "bad"), 1)
        node.records.put(instance(STARTING), 1)
        await node.settled()
        assert await node.state() == STARTING
        node.records.remove("web", "bad", 1)
        await node.settled()


async def test_deletions_that_wait_are_bounded(etcd: Faulty, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_DELETIONS", 3)
    async with running(etcd) as node:
        await node.register()
        names = [f"t{n}" for n in range(5)]
        for name in names:
            node.records.put(instance(STARTING, name), 1)
        await node.settled()
        etcd.away = True
        for name in names:
            node.records.remove("web", name, 1)
        etcd.away = False
        await node.settled()
        left = [n for n in names if await node.record(PREFIX + f"services/web/{n}".encode())]
        assert left == ["t0", "t1"]  # left to the lease


async def test_a_creation_that_arrives_after_the_deletion_is_deleted_too(
    etcd: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by `make sim`: its condition, that the key is absent, is true again by then."""
    monkeypatch.setattr(module, "_LATEST_ARRIVAL", 0.05)
    async with running(etcd) as node:
        await node.register()
        etcd.away = True
        node.records.put(instance(STARTING), 1)
        await until(lambda: len(etcd.lost) >= 1)
        late = etcd.lost[:1]
        etcd.away = False
        await node.settled()
        node.records.remove("web", "t1", 1)
        await node.settled()
        etcd.lost = late
        await etcd.deliver_late()
        assert await node.state() == STARTING
        async with asyncio.timeout(60):
            while await node.state():
                await asyncio.sleep(0.001)
