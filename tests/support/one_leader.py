"""A leader's service over the in-memory store, called without gRPC.

async with leading(MemoryEtcd()) as leader:
    await leader.call("CreateQueue", request)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.ids import TaskIds
from quorate.runtime.timing.clock import SimulatedClock, SystemClock, TermClock
from quorate.security.limits import CallerLimits, CallLimits
from scheduler.agents.links import Links
from scheduler.api.candidates import Candidates
from scheduler.api.cluster.servicer import ClusterCalls
from scheduler.api.cluster.verdicts import Verdicts
from scheduler.api.dead_letters.servicer import DeadLetterCalls
from scheduler.api.jobs.graphs import scheduled
from scheduler.api.jobs.servicer import JobCalls
from scheduler.api.limits.servicer import LimitCalls
from scheduler.api.nodes.servicer import NodeCalls
from scheduler.api.pauses.servicer import PauseCalls
from scheduler.api.queues.servicer import QueueCalls
from scheduler.api.queues.templates import TemplateCalls
from scheduler.api.quotas.servicer import QuotaCalls
from scheduler.api.schedules.servicer import ScheduleCalls
from scheduler.api.servicer import compose
from scheduler.api.servicers import SCHEDULER
from scheduler.api.specs.check import SpecCheck
from scheduler.api.tasks.bulk.whole import AllTasksCalls
from scheduler.api.tasks.logs.calls import LogCalls
from scheduler.api.tasks.servicer import TaskCalls
from scheduler.core.machine import Machine
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.engine.driver import Driver
from scheduler.leadership.schedules import ScheduleRuns
from scheduler.storage import record_kinds, records
from scheduler.storage.job_values import JobValues
from scheduler.storage.read_back import ReadBack
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
        reads = FencedReads(etcd, PREFIX, key, epoch, 10_000)
        driver = Driver(
            Machine(state),
            records.Codec(PREFIX, state),
            journal,
            TermClock(CLOCK),
            lambda: True,
            128,
            agents=Links(),
            confirm=reads.revision,
            read_back=ReadBack(state, reads, Limits()),
        )
        sessions: Any = None
        watches, check = watches_of(etcd, PREFIX), SpecCheck()
        self.callers = CallerLimits(lambda name: CallLimits(), monotonic=time.monotonic)
        overview: Any = None
        candidates = Candidates(etcd, PREFIX)
        ids = TaskIds()
        tasks = TaskCalls(driver, ids, reads, watches, check, lambda weight: self.full, candidates)
        self.clock = SimulatedClock(time.time())
        """What schedules go by."""
        self.schedules = ScheduleRuns(driver, ids, self.clock, lambda: self.full)
        self.service = compose(
            SCHEDULER,
            tasks,
            AllTasksCalls(tasks),
            LogCalls(driver, reads, sessions),
            DeadLetterCalls(driver, reads),
            QueueCalls(driver, candidates),
            TemplateCalls(driver, candidates, check),
            JobCalls(
                driver,
                TaskIds(),
                etcd,
                PREFIX,
                JobValues(etcd, PREFIX),
                candidates,
                check,
                lambda weight: self.full,
            ),
            NodeCalls(driver, candidates),
            ScheduleCalls(
                driver,
                ids,
                self.clock,
                check,
                scheduled,
                candidates,
                lambda weight: self.full,
            ),
            QuotaCalls(driver, Limits(), self.callers),
            LimitCalls(driver, candidates),
            PauseCalls(driver, candidates),
            ClusterCalls(driver, reads, overview, Verdicts(driver, overview)),
            max_payload=check.max_payload,
            queue_of_task=tasks.queue_of_task,
        )
        self.driver = driver
        driver.handle((e.Elected(),))

    async def call(self, method: str, request: Any) -> Any:
        """Ask as gRPC does: with a message of its own."""
        return await self.service.answers[method](
            type(request).FromString(request.SerializeToString()), NOWHERE
        )


@asynccontextmanager
async def leading(etcd: MemoryEtcd, **bounds: Any) -> AsyncIterator[Leader]:
    """A leader whose journal has these `bounds`, from entering to leaving the block."""
    key = PREFIX + b"election/scheduler/1"
    standing = CandidateRecord(name="s1", record_kinds=record_kinds.RECORD_KINDS)
    epoch = await etcd.put(key, standing.SerializeToString())
    journal = Journal(
        etcd, prefix=PREFIX, leader_key=key, elected=epoch, clock=CLOCK, stall_after=5.0, **bounds
    )
    await journal.claim()
    leader = Leader(etcd, key, epoch, journal)
    work = [
        asyncio.create_task(journal.run()),
        asyncio.create_task(leader.driver.bulk.run()),
        asyncio.create_task(leader.schedules.run()),
    ]
    try:
        yield leader
    finally:
        leader.driver.close()
        for task in work:
            task.cancel()
        await asyncio.wait(work)
