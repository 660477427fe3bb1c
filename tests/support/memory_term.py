"""A scheduler's LeadershipTerm over an in-memory store, elected when a test says so.

async with standing_by(MemoryEtcd()) as replica:
    async with replica.leading() as driver:
        driver.handle(...)

Each epoch has a lease and a candidate key of its own; leaving the block resigns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quorate.etcd.api import Etcd
from quorate.etcd.election import Candidate, Election
from quorate.etcd.lease import LeaseSession
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import SystemClock
from scheduler.api.forwarding.role import Local, Roles
from scheduler.config import SchedulerSettings
from scheduler.engine.driver import Driver
from scheduler.leadership.term import LeadershipTerm
from scheduler.leadership.trust import Trust
from scheduler.storage import keys, record_kinds
from scheduler.storage.compaction_checkpoints import CompactionCheckpoints
from scheduler.telemetry.health import InstanceHealth
from scheduler.telemetry.metrics import SchedulerMetrics

CLOCK = SystemClock()


class NotingMetrics(SchedulerMetrics):
    """Notes the kind of each misconduct of an agent."""

    def __init__(self, roles: Roles) -> None:
        super().__init__(roles)
        self.misconduct: list[str] = []

    def agent_misbehaved(self, kind: str) -> None:
        super().agent_misbehaved(kind)
        self.misconduct.append(kind)


class MemoryTerm:
    """One replica."""

    def __init__(
        self, etcd: Etcd, name: str, checkpoints: CompactionCheckpoints | None = None
    ) -> None:
        self.etcd = etcd
        self.settings = SchedulerSettings(_cli_parse_args=[], name=name)  # type: ignore[call-arg]
        self.roles = Roles(InstanceId(name))
        self.metrics = NotingMetrics(self.roles)
        self.term = LeadershipTerm(
            self.settings,
            etcd,
            CLOCK,
            self.roles,
            InstanceHealth(InstanceId(name)),
            self.metrics,
            checkpoints=checkpoints,
        )

    @asynccontextmanager
    async def candidate(self) -> AsyncIterator[tuple[Candidate, LeaseSession]]:
        """Stand for election."""
        lease = await LeaseSession.open(self.etcd, 2, clock=CLOCK)
        try:
            election = Election(self.etcd, self.settings.prefix + keys.ELECTION)
            value = CandidateRecord(name=self.settings.name, record_kinds=record_kinds.RECORD_KINDS)
            yield await election.campaign(lease.id, value.SerializeToString()), lease
        finally:
            await lease.close()

    @asynccontextmanager
    async def elected(
        self, candidate: Candidate, lease: LeaseSession
    ) -> AsyncIterator[asyncio.Task[None]]:
        """What begins to lead as `candidate`."""
        leading = asyncio.create_task(
            self.term.lead(candidate.create_revision, candidate.key, Trust(lease, 0.0))
        )
        try:
            yield leading
        finally:
            leading.cancel()
            await asyncio.wait({leading})

    async def serves(self, leading: asyncio.Task[None]) -> Driver:
        """Wait until it serves."""
        async with asyncio.timeout(60):
            while not isinstance(self.roles.role, Local):
                assert not leading.done(), leading.result()
                await asyncio.sleep(0)
        assert self.term.parts is not None
        return self.term.parts.driver

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Driver]:
        """Be elected and serve until the block is left."""
        async with self.candidate() as standing, self.elected(*standing) as task:
            yield await self.serves(task)


@asynccontextmanager
async def standing_by(
    etcd: Etcd, name: str = "s1", checkpoints: CompactionCheckpoints | None = None
) -> AsyncIterator[MemoryTerm]:
    """A replica that folds whenever it does not lead."""
    replica = MemoryTerm(etcd, name, checkpoints)
    standing = asyncio.create_task(replica.term.stand_by())
    try:
        yield replica
    finally:
        standing.cancel()
        await asyncio.wait({standing})
