"""A scheduler's terms in this process, over real etcd, asked without gRPC.

    async with standing(etcd, "s1") as scheduler:
        async with scheduler.leading() as registry:
            await registry.CreateService(...)

`standing` owns the replica, which folds from the first to the last moment; each `leading` is a
term of its own, with a lease and an epoch of its own, which ends with its block.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from quorate.etcd.client import EtcdClient
from quorate.etcd.election import Election
from quorate.etcd.lease import LeaseSession
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import SystemClock
from scheduler.api.forwarding.role import Local, Roles, Servicers
from scheduler.api.servicer import Servicer
from scheduler.api.servicers import REGISTRY
from scheduler.config import SchedulerSettings
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.leadership.term import LeadershipTerm
from scheduler.leadership.trust import Trust
from scheduler.storage import keys
from scheduler.telemetry.health import InstanceHealth

CLOCK = SystemClock()
# The context of a call that came over no connection.
NOWHERE: Any = SimpleNamespace(peer=lambda: "", invocation_metadata=lambda: (), auth_context=dict)


class Calls:
    """A registry's methods without gRPC: `await calls.GetService(request)`."""

    def __init__(self, registry: Servicer, limits: Limits) -> None:
        self._registry = registry
        self.limits = limits

    def __getattr__(self, method: str) -> Any:
        handler: Any = self._registry.streams.get(method) or self._registry.answers[method]
        return lambda request: handler(request, NOWHERE)


class Standing:
    """One scheduler process, so to speak."""

    def __init__(self, etcd: EtcdClient, name: str, cluster: str) -> None:
        self.etcd = etcd
        self.settings = SchedulerSettings(  # type: ignore[call-arg]
            _cli_parse_args=[], name=name, cluster=cluster
        )
        self.roles = Roles(InstanceId(name))
        self.term = LeadershipTerm(
            self.settings, etcd, CLOCK, self.roles, InstanceHealth(InstanceId(name))
        )

    @property
    def servicers(self) -> Servicers:
        assert isinstance(self.roles.role, Local)
        return self.roles.role.servicers

    @property
    def state(self) -> State:
        assert self.term.parts is not None
        return self.term.parts.driver.state

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Calls]:
        """Lead within the block."""
        lease = await LeaseSession.open(self.etcd, 2, clock=CLOCK)
        election = Election(self.etcd, self.settings.prefix + keys.ELECTION)
        candidate = await election.campaign(lease.id, b"")
        term = asyncio.create_task(
            self.term.lead(candidate.create_revision, candidate.key, Trust(lease, 0.0))
        )
        try:
            async with asyncio.timeout(60):
                while not isinstance(self.roles.role, Local):
                    assert not term.done(), term.result()
                    await asyncio.sleep(0)
            yield Calls(self.servicers[REGISTRY.full_name], self.term.limits)
        finally:
            term.cancel()
            await asyncio.wait({term})
            await lease.close()


@asynccontextmanager
async def standing(etcd: EtcdClient, name: str, cluster: str) -> AsyncIterator[Standing]:
    """A scheduler that stands by within the block."""
    scheduler = Standing(etcd, name, cluster)
    folding = asyncio.create_task(scheduler.term.stand_by())
    try:
        yield scheduler
    finally:
        folding.cancel()
        await asyncio.wait({folding})
