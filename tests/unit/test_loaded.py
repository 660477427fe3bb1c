"""When a scheduler is loaded: with a whole snapshot, until it has to load anew or has led."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from quorate.etcd.api import Compacted, EtcdUnavailable, Put, WatchBatch
from quorate.etcd.client import EtcdClient
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import SystemClock
from scheduler.api.forwarding.role import Leader, Roles
from scheduler.storage.replica.fold import Fold
from scheduler.storage.replica.loaded import Loaded
from scheduler.storage.replica.replica import Replica
from scheduler.telemetry.readiness import SILENT, Readiness
from tests.support.memory_term import standing_by


async def soon(what: Any) -> None:
    await asyncio.wait_for(what, 60)


async def test_a_term_is_loaded_while_it_leads_and_loads_anew_afterwards() -> None:
    async with standing_by(MemoryEtcd()) as replica:
        loaded = replica.term.loaded
        assert not loaded.is_set()
        await soon(loaded.wait())
        async with replica.leading():
            assert loaded.is_set()
        # What was led with holds more than was committed, perhaps.
        assert not loaded.is_set()
        await soon(loaded.wait())


class Forgetful(MemoryEtcd):
    """Says once, to whoever follows, that what is asked for was compacted."""

    forgets = False

    @asynccontextmanager
    async def watch(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        async with super().watch(*arguments, **options) as batches:
            yield self._batches(batches)

    async def _batches(self, batches: AsyncIterator[WatchBatch]) -> AsyncIterator[WatchBatch]:
        if self.forgets:
            self.forgets = False
            raise Compacted(1)
        async for batch in batches:
            yield batch


class Noted(Loaded):
    """Keeps what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        super().__init__()

    def set(self, loaded: bool) -> None:
        self.told.append(loaded)
        super().set(loaded)


async def test_a_replica_that_was_left_behind_by_a_compaction_is_not_loaded() -> None:
    etcd, loaded = Forgetful(), Noted()
    etcd.forgets = True
    await etcd.txn([], [Put(b"/quorate/t/head", b"")])
    replica = Replica(etcd, b"/quorate/t/", Fold(), loaded=loaded)
    running = asyncio.create_task(replica.run())
    try:
        async with asyncio.timeout(60):
            while loaded.told != [False, False, True, False, True]:
                await asyncio.sleep(0)
        assert loaded.is_set()
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_whoever_waits_is_told_of_each_change() -> None:
    loaded = Loaded()
    await soon(loaded.lost())
    waiting = asyncio.create_task(loaded.wait())
    loaded.set(True)
    await soon(waiting)
    waiting = asyncio.create_task(loaded.lost())
    loaded.set(False)
    await soon(waiting)


class Answers:
    """An etcd that answers its status, or answers too late."""

    late = False

    async def status(self, *, timeout: float) -> None:
        if self.late:
            raise EtcdUnavailable("too late")


async def test_a_scheduler_that_loads_is_not_ready() -> None:
    etcd, roles, loaded = cast("EtcdClient", Answers()), Roles(InstanceId("me")), Loaded()
    not_ready = Readiness(roles, etcd, loaded, SystemClock())
    assert await not_ready() == "there is no leader at present; try again"
    roles.seen(Leader(b"k", 1, 1, "s1", InstanceId("other"), "127.0.0.1:1"))
    assert "loads the log" in await not_ready()
    loaded.set(True)
    assert await not_ready() == ""


async def test_one_late_answer_of_etcd_takes_no_scheduler_out_of_service() -> None:
    """All of them ask the same etcd: under load none would be left."""

    class Clock(SystemClock):
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    answers, clock, roles = Answers(), Clock(), Roles(InstanceId("me"))
    roles.seen(Leader(b"k", 1, 1, "s1", InstanceId("other"), "127.0.0.1:1"))
    not_ready = Readiness(roles, cast("EtcdClient", answers), Loaded(True), clock)
    answers.late = True
    assert await not_ready() == "etcd does not answer: too late"
    answers.late = False
    assert await not_ready() == ""
    answers.late = True
    clock.now = SILENT
    assert await not_ready() == ""
    clock.now += 0.1
    assert await not_ready() == "etcd does not answer: too late"
