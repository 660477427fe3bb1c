"""A replica that led once stands by again, and leads again; a leader outlives a compaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from quorate.etcd.api import Compacted, WatchBatch
from quorate.etcd.election import Election
from quorate.etcd.lease import LeaseSession
from quorate.etcd.memory import MemoryEtcd
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.clock import SystemClock
from quorate.runtime.ids import InstanceId
from scheduler import keys
from scheduler.config import SchedulerSettings
from scheduler.health import InstanceHealth
from scheduler.role import Local, Roles
from scheduler.tenure import Tenure
from scheduler.trust import Trust

CLOCK = SystemClock()


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


class Replica:
    """A Tenure over the in-memory store, with a lease and a key of its own for each epoch."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self.etcd = etcd
        self.settings = SchedulerSettings(_cli_parse_args=[], name="s1")  # type: ignore[call-arg]
        self.roles = Roles(InstanceId("s1"))
        self.tenure = Tenure(
            self.settings, etcd, CLOCK, self.roles, InstanceHealth(InstanceId("s1"))
        )

    async def lead_once(self, *, until_node: str = "") -> None:
        """Be elected, serve (until that node is known), and resign."""
        lease = await LeaseSession.open(self.etcd, 2, clock=CLOCK)
        election = Election(self.etcd, self.settings.prefix + keys.ELECTION)
        candidate = await election.campaign(lease.id, b"")
        leading = asyncio.create_task(
            self.tenure.lead(candidate.create_revision, candidate.key, Trust(lease, 0.0))
        )
        try:
            async with asyncio.timeout(5):
                while not isinstance(self.roles.role, Local):
                    assert not leading.done(), leading.result()
                    await asyncio.sleep(0)
                state = self.roles.role.servicer.scheduler._state  # type: ignore[attr-defined]
                while until_node and until_node not in state.nodes:
                    assert not leading.done(), leading.result()
                    await asyncio.sleep(0)
        finally:
            leading.cancel()
            await asyncio.wait({leading})
            await lease.close()


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    replica = Replica(MemoryEtcd())
    standing = asyncio.create_task(replica.tenure.stand_by())
    yield replica
    standing.cancel()
    await asyncio.wait({standing})


async def test_a_replica_leads_again_after_its_tenure(replica: Replica) -> None:
    for _ in range(3):
        await replica.lead_once()


async def test_a_leader_whose_view_of_the_nodes_was_compacted_lists_them() -> None:
    etcd = ForgetfulEtcd()
    replica = Replica(etcd)
    standing = asyncio.create_task(replica.tenure.stand_by())
    try:
        await replica.lead_once(until_node="n1")
    finally:
        standing.cancel()
        await asyncio.wait({standing})
    assert etcd.compactions == 1
