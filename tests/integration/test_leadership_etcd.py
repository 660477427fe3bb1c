"""Careers on real etcd: old keys, compaction, an etcd that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from quorate.etcd.api import Compare, Put
from quorate.etcd.client import EtcdClient
from quorate.etcd.election import Election
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.timing.clock import SystemClock
from scheduler.leadership.elector import PATIENCE, Leadership
from scheduler.leadership.trust import Trust


@pytest.fixture
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdProcess]:
    process = EtcdProcess(tmp_path_factory.mktemp("etcd"))
    await process.start()
    yield process
    await process.stop()


class Terms:
    """A replica that leads until it is cancelled, and its terms so far."""

    def __init__(
        self, etcd: EtcdClient, prefix: bytes, name: str, ttl: int = 2, patience: float = PATIENCE
    ) -> None:
        self.began: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.ended: asyncio.Queue[int] = asyncio.Queue()
        self.election = Election(etcd, prefix)
        self._leadership = Leadership(
            etcd,
            self.election,
            CandidateRecord(name=name),
            self._lead,
            clock=SystemClock(),
            ttl=ttl,
            patience=patience,
        )

    async def _lead(self, epoch: int, key: bytes, trust: Trust) -> None:
        self.began.put_nowait((epoch, key))
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.put_nowait(epoch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._leadership.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_candidate_whose_key_is_thousands_of_revisions_old_takes_over(
    server: EtcdProcess,
) -> None:
    """Its key's revision is compacted away, and still it is its epoch."""
    prefix = b"/quorate/old/election/scheduler"
    async with EtcdClient([server.endpoint]) as etcd, AsyncExitStack() as stack:
        first, second = (Terms(etcd, prefix, name) for name in ("first", "second"))
        leaving = AsyncExitStack()
        await leaving.enter_async_context(first.running())
        async with asyncio.timeout(60):
            first_epoch, _ = await first.began.get()
        await stack.enter_async_context(second.running())
        async with asyncio.timeout(60):
            while len(standing := await second.election.candidates()) < 2:
                await asyncio.sleep(0.001)
        for _ in range(50):
            writes = (etcd.put(b"/quorate/old/%d" % number, b"v") for number in range(100))
            newest = max(await asyncio.gather(*writes))
        await etcd.compact(newest)
        assert newest - standing[1].create_revision >= 5_000
        await leaving.aclose()
        async with asyncio.timeout(2):
            epoch, key = await second.began.get()
        assert epoch == standing[1].create_revision > first_epoch
        # The fence holds at the old revision.
        fence = Compare(key, "create", "=", epoch)
        assert (await etcd.txn([fence], [Put(b"/quorate/old/head", b"v")])).succeeded


async def test_etcd_away_for_longer_than_a_leaders_patience_ends_the_term(
    server: EtcdProcess,
) -> None:
    prefix = b"/quorate/away/election/scheduler"
    async with EtcdClient([server.endpoint]) as etcd:
        only = Terms(etcd, prefix, "only", patience=0.5)
        async with only.running():
            first, _ = await asyncio.wait_for(only.began.get(), 60)
            await server.kill()
            assert await asyncio.wait_for(only.ended.get(), 60) == first
            await server.start()
            second, _ = await asyncio.wait_for(only.began.get(), 60)
            assert second > first


async def test_a_leader_outlives_an_etcd_that_is_away_for_longer_than_the_ttl(
    server: EtcdProcess,
) -> None:
    """A restarted etcd starts its leases afresh: the leader's key never went."""
    prefix = b"/quorate/long/election/scheduler"
    async with EtcdClient([server.endpoint]) as etcd:
        only = Terms(etcd, prefix, "only")
        async with only.running():
            first, key = await asyncio.wait_for(only.began.get(), 60)
            await server.kill()
            # The time asked for, not a condition: longer than the lease.
            await asyncio.sleep(3.0)
            await server.start()
            fence = Compare(key, "create", "=", first)
            assert (await etcd.txn([fence], [Put(b"/quorate/long/head", b"v")])).succeeded
            assert only.ended.empty()


async def test_etcd_restarted_within_the_ttl_does_not_end_the_term(server: EtcdProcess) -> None:
    prefix = b"/quorate/brief/election/scheduler"
    async with EtcdClient([server.endpoint]) as etcd:
        only = Terms(etcd, prefix, "only", ttl=30)
        async with only.running():
            first, key = await asyncio.wait_for(only.began.get(), 60)
            await server.kill()
            await server.start()
            fence = Compare(key, "create", "=", first)
            assert (await etcd.txn([fence], [Put(b"/quorate/brief/head", b"v")])).succeeded
            assert only.ended.empty()
