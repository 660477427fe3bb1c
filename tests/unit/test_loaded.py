"""When a scheduler is loaded: with a whole snapshot, until it has to load anew or has led."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from tests.support.memory_term import standing_by

from quorate.etcd.api import Compacted, Put
from quorate.etcd.client import EtcdClient
from quorate.etcd.memory import MemoryEtcd
from quorate.runtime.ids import InstanceId
from scheduler.api.role import Leader, Roles
from scheduler.app import _not_ready
from scheduler.storage.fold import Fold
from scheduler.storage.loaded import Loaded
from scheduler.storage.replica import Replica


async def soon(what: Any) -> None:
    await asyncio.wait_for(what, 5)


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
    """Says once that what is asked for was compacted."""

    forgets = False

    def watch(self, *arguments: Any, **options: Any) -> Any:
        if self.forgets:
            self.forgets = False
            raise Compacted(1)
        return super().watch(*arguments, **options)


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
        async with asyncio.timeout(5):
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


async def test_a_scheduler_that_loads_is_not_ready() -> None:
    class Answers:
        async def status(self, *, timeout: float) -> None:
            return None

    etcd, roles, loaded = cast("EtcdClient", Answers()), Roles(InstanceId("me")), Loaded()
    assert await _not_ready(roles, etcd, loaded) == "no scheduler leads at the moment"
    roles.seen(Leader(b"k", 1, 1, "s1", InstanceId("other"), "127.0.0.1:1"))
    assert "loads the log" in await _not_ready(roles, etcd, loaded)
    loaded.set(True)
    assert await _not_ready(roles, etcd, loaded) == ""
