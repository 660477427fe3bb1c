"""A leader's service over the in-memory store, called without gRPC.

async with leading(MemoryEtcd()) as leader:
    await leader.call("CreateQueue", request)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from quorate.etcd.journal import Journal
from quorate.etcd.memory import MemoryEtcd
from quorate.runtime.clock import SystemClock, TermClock
from quorate.runtime.ids import TaskIds
from quorate.security.limits import CallerLimits, CallLimits
from scheduler.api.quotas.servicer import Quotas
from scheduler.api.tasks.servicer import Service
from scheduler.api.validate import SpecCheck
from scheduler.core.machine import Machine
from scheduler.core.model import events as e
from scheduler.core.model.limits import Limits
from scheduler.core.model.state import State
from scheduler.engine.driver import Driver
from scheduler.storage import records
from scheduler.storage.reads import FencedReads
from tests.support.registry import NOWHERE
from tests.support.watching import watches_of

PREFIX = b"/quorate/test/"
CLOCK = SystemClock()


class Leader:
    """A service, its driver and its journal."""

    def __init__(self, etcd: MemoryEtcd, key: bytes, epoch: int, journal: Journal) -> None:
        self.etcd = etcd
        self.key = key
        self.journal = journal
        self.full: str | None = None
        state = State()
        driver = Driver(
            Machine(state),
            records.Codec(PREFIX, state),
            journal,
            TermClock(CLOCK),
            lambda: True,
            128,
        )
        sessions: Any = None
        overview: Any = SimpleNamespace(full=lambda weight: self.full)
        reads = FencedReads(etcd, PREFIX, key, epoch, 10_000)
        watches, check = watches_of(etcd, PREFIX), SpecCheck()
        self.callers = CallerLimits(lambda name: CallLimits(), monotonic=time.monotonic)
        quotas = Quotas(driver, Limits(), self.callers)
        self.service = Service(driver, TaskIds(), reads, watches, sessions, overview, check, quotas)
        driver.admission.confirm = reads.revision
        self.driver = driver
        driver.handle((e.Elected(),))

    async def call(self, method: str, request: Any) -> Any:
        """Ask as gRPC does: with a message of its own."""
        return await getattr(self.service, method)(
            type(request).FromString(request.SerializeToString()), NOWHERE
        )


@asynccontextmanager
async def leading(etcd: MemoryEtcd, **bounds: Any) -> AsyncIterator[Leader]:
    """A leader whose journal has these `bounds`, from entering to leaving the block."""
    key = PREFIX + b"election/scheduler/1"
    epoch = await etcd.put(key, b"")
    journal = Journal(
        etcd, prefix=PREFIX, leader_key=key, epoch=epoch, clock=CLOCK, stall_after=5.0, **bounds
    )
    await journal.claim()
    leader = Leader(etcd, key, epoch, journal)
    work = [
        asyncio.create_task(journal.run()),
        asyncio.create_task(leader.driver.bulk.run()),
    ]
    try:
        yield leader
    finally:
        leader.driver.close()
        for task in work:
            task.cancel()
        await asyncio.wait(work)
