"""Registration against the in-memory store: loss, replacement, a record deleted by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from node_agent.session import registration as module
from node_agent.session.registration import CannotRegister, NameTaken, Registration, Replaced
from quorate.etcd.api import EtcdUnavailable, LeaseGrant, Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.errors import precondition
from quorate.runtime.timing.clock import SystemClock

KEY = b"/quorate/c/nodes/n"


async def at_once() -> None:
    """Nothing to wait for."""


class Node:
    """A registration and what it told."""

    def __init__(
        self,
        etcd: MemoryEtcd,
        *,
        before: Callable[[], Awaitable[None]] = at_once,
        living: Sequence[str] = (),
    ) -> None:
        self.etcd = etcd
        self.alive_until = 0.0
        self.losses = 0
        record = NodeRecord(name="n", instance="i1", address="a:1")
        self.registration = Registration(
            etcd,
            KEY,
            record,
            2,
            SystemClock(),
            self.on_alive,
            self.on_lost,
            before=before,
            alive=self.is_alive,
        )
        self.living = living
        self.silent: set[str] = set()
        self.asked = 0

    async def is_alive(self, record: NodeRecord) -> bool | None:
        self.asked += 1
        return None if record.instance in self.silent else record.instance in self.living

    def on_alive(self, until: float) -> None:
        self.alive_until = until

    def on_lost(self) -> None:
        self.losses += 1

    async def record(self) -> NodeRecord | None:
        found = await self.etcd.range(Range(KEY))
        return NodeRecord.FromString(found.kvs[0].value) if found.kvs else None

    async def until(self, condition: Callable[[NodeRecord | None], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition(await self.record()):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def kept(node: Node) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(node.registration.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await node.registration.close()


async def test_the_record_is_there_while_kept_and_gone_when_left():
    node = Node(MemoryEtcd())
    async with kept(node):
        await node.registration.registered.wait()
        await node.until(lambda record: record is not None and record.instance == "i1")
        assert node.alive_until > SystemClock().monotonic()
    assert await node.record() is None


async def test_after_a_lost_lease_the_same_process_registers_again():
    node = Node(MemoryEtcd())
    async with kept(node):
        await node.registration.registered.wait()
        found = await node.etcd.range(Range(KEY))
        await node.etcd.lease_revoke(found.kvs[0].lease)
        await node.until(lambda record: record is not None and record.instance == "i1")
        again = await node.etcd.range(Range(KEY))
        assert again.kvs[0].lease != found.kvs[0].lease
    assert node.losses == 1


async def test_a_record_deleted_by_hand_is_written_again_without_a_loss():
    node = Node(MemoryEtcd())
    async with kept(node):
        await node.registration.registered.wait()
        await node.etcd.delete(KEY)
        await node.until(lambda record: record is not None and record.instance == "i1")
    assert node.losses == 0


async def test_being_replaced_ends_the_registration():
    node = Node(MemoryEtcd())
    async with kept(node) as task:
        await node.registration.registered.wait()
        other = NodeRecord(name="n", instance="other", address="b:1")
        await node.etcd.put(KEY, other.SerializeToString())
        with pytest.raises(Replaced, match="another agent registered as node 'n'"):
            await asyncio.wait_for(task, 60)
    record = await node.record()
    assert record is not None
    assert record.instance == "other"


async def test_the_name_of_a_living_agent_at_another_address_is_left_to_it():
    etcd = MemoryEtcd()
    other = NodeRecord(name="n", instance="other", address="b:1")
    await etcd.put(KEY, other.SerializeToString())
    node = Node(etcd, living=["other"])
    async with kept(node) as task:
        with pytest.raises(NameTaken, match=r"node 'n' \(at b:1\).*--name"):
            await asyncio.wait_for(task, 60)
    assert await node.record() == other


async def test_one_that_answers_late_keeps_its_name():
    """A process under load is silent for a while; that its lease lives shows that it may live."""
    etcd = MemoryEtcd()
    other = NodeRecord(name="n", instance="other", address="b:1")
    await etcd.put(KEY, other.SerializeToString())
    node = Node(etcd, living=["other"])
    node.silent = {"other"}
    async with kept(node) as task:
        async with asyncio.timeout(60):
            while node.asked < 2:
                await asyncio.sleep(0.01)
        assert await node.record() == other
        node.silent = set()
        with pytest.raises(NameTaken):
            await asyncio.wait_for(task, 60)


async def test_the_name_of_a_silent_one_is_free_when_its_lease_ends():
    etcd = MemoryEtcd()
    lease = await etcd.lease_grant(60)
    other = NodeRecord(name="n", instance="other", address="b:1")
    await etcd.put(KEY, other.SerializeToString(), lease=lease.id)
    node = Node(etcd)
    node.silent = {"other"}
    async with kept(node):
        async with asyncio.timeout(60):
            while not node.asked:
                await asyncio.sleep(0.01)
        assert await node.record() == other
        await etcd.lease_revoke(lease.id)
        await node.until(lambda record: record is not None and record.instance == "i1")


async def test_a_silent_one_without_a_lease_is_not_waited_for_for_ever():
    etcd = MemoryEtcd()
    other = NodeRecord(name="n", instance="other", address="b:1")
    await etcd.put(KEY, other.SerializeToString())
    node = Node(etcd)
    node.silent = {"other"}
    async with kept(node):
        await node.until(lambda record: record is not None and record.instance == "i1")


@pytest.mark.parametrize(
    ("instance", "address"),
    [("gone", "b:1"), ("other", "a:1"), ("gone", "a:1")],
    ids=["gone", "same address", "both"],
)
async def test_a_name_that_nobody_else_uses_is_taken_over(instance: str, address: str):
    etcd = MemoryEtcd()
    other = NodeRecord(name="n", instance=instance, address=address)
    await etcd.put(KEY, other.SerializeToString())
    node = Node(etcd, living=["other"])
    async with kept(node):
        await node.until(lambda record: record is not None and record.instance == "i1")


async def test_what_is_no_record_is_written_over():
    etcd = MemoryEtcd()
    await etcd.put(KEY, b"\xff")
    node = Node(etcd)
    async with kept(node):
        await node.registration.registered.wait()
        await node.until(lambda record: record is not None and record.instance == "i1")


async def test_an_etcd_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    class Silent(MemoryEtcd):
        async def lease_grant(self, ttl: int, *, timeout: float = 5.0) -> LeaseGrant:
            raise EtcdUnavailable("nobody there")

    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    node = Node(Silent())
    async with kept(node) as task:
        with pytest.raises(CannotRegister, match="etcd does not answer: nobody there"):
            await asyncio.wait_for(task, 60)


async def test_an_etcd_that_was_away_is_checked_before_anything_is_written():
    answers: list[Exception] = [
        EtcdUnavailable("not there yet"),
        precondition("ETCD_VERSION_UNSAFE", "it loses what it acknowledged"),
    ]
    etcd = MemoryEtcd()

    async def check() -> None:
        raise answers.pop(0)

    node = Node(etcd, before=check)
    async with kept(node) as task:
        with pytest.raises(CannotRegister, match="loses what it acknowledged"):
            await asyncio.wait_for(task, 60)
    assert answers == []
    assert (await etcd.status()).revision == (await MemoryEtcd().status()).revision


async def test_an_agent_that_ends_in_good_order_says_so_on_record() -> None:
    node = Node(MemoryEtcd())
    async with kept(node):
        await node.registration.registered.wait()
        await node.registration.announce_end()
        found = await node.record()
        assert found is not None
        assert (found.instance, found.ending) == ("i1", True)


async def test_the_record_of_another_process_is_left_alone_at_the_end() -> None:
    node = Node(MemoryEtcd())
    async with kept(node):
        await node.registration.registered.wait()
        other = NodeRecord(name="n", instance="i2", address="b:1")
        await node.etcd.put(KEY, other.SerializeToString())
        await node.registration.announce_end()
        assert await node.record() == other
