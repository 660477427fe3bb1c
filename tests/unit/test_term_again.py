"""A replica that led once stands by again, and leads again; a leader outlives a compaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from quorate.etcd.api import Compacted, WatchBatch
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.ids import NodeName
from scheduler.storage import keys
from tests.support.memory_term import standing_by


class ForgetfulEtcd(MemoryEtcd):
    """The first watch of the nodes finds its revision compacted; a node came just before."""

    def __init__(self) -> None:
        super().__init__()
        self.compactions = 0

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        if key.endswith(keys.NODES) and not self.compactions:
            self.compactions += 1
            return self._compacted_away(key)
        return super().watch(key, range_end, start_revision=start_revision)

    @asynccontextmanager
    async def _compacted_away(self, key: bytes) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        record = NodeRecord(name="n1", instance="i1", address="127.0.0.1:1", slots=1)
        await self.put(key + b"n1", record.SerializeToString())
        raise Compacted(1)
        yield


async def test_a_replica_leads_again_after_its_term() -> None:
    async with standing_by(MemoryEtcd()) as replica:
        for _ in range(3):
            async with replica.leading():
                pass


async def test_a_leader_whose_view_of_the_nodes_was_compacted_lists_them() -> None:
    etcd = ForgetfulEtcd()
    async with standing_by(etcd) as replica, replica.leading() as driver, asyncio.timeout(60):
        while NodeName("n1") not in driver.state.nodes:
            await asyncio.sleep(0)
    assert etcd.compactions == 1
