"""A candidate whose key is thousands of revisions old leads over all of the log, or not at all.

Its replica follows late. That it has folded beyond its own key says nothing then: where the log
ends is what counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from quorate.etcd.api import Delete, WatchBatch
from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import TaskIds
from scheduler.api.forwarding.role import Local
from scheduler.core.model import events as e
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.engine.driver import Driver
from scheduler.leadership import term as term
from scheduler.storage import keys
from tests.support.core_specs import spec
from tests.support.memory_term import MemoryTerm, standing_by


class LateEtcd:
    """The same store as everybody's, seen by one whose replica is told nothing while `held`."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self._etcd = etcd
        self._flows = asyncio.Event()
        self._flows.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._etcd, name)

    def hold(self) -> None:
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        async with self._etcd.watch(key, range_end, start_revision=start_revision) as batches:
            yield self._late(batches)

    async def _late(self, batches: AsyncIterator[WatchBatch]) -> AsyncIterator[WatchBatch]:
        async for batch in batches:
            await self._flows.wait()
            yield batch


async def work(driver: Driver, commits: int) -> None:
    """Commit many times, one by one; a task at first, one at last."""
    ids = TaskIds()

    async def submit() -> None:
        task = ids.next(driver.clock.now())
        await driver.call(
            lambda token: e.TaskSubmitted(DEFAULT_QUEUE, task, spec(), e.Request(), token)
        )

    await submit()
    for number in range(commits):
        await driver.call(partial(e.QueuePauseAsked, DEFAULT_QUEUE, number % 2 == 0, e.Request()))
    await submit()


@asynccontextmanager
async def late_candidate(
    etcd: MemoryEtcd, commits: int
) -> AsyncIterator[tuple[MemoryTerm, LateEtcd, Any]]:
    """A candidate that has folded its own key and nothing since; the leader has just resigned."""
    late = LateEtcd(etcd)
    async with (
        AsyncExitStack() as first,
        standing_by(late, "s2") as second,
    ):
        leader = await first.enter_async_context(standing_by(etcd))
        driver = await first.enter_async_context(leader.leading())
        async with second.candidate() as standing:
            candidate, _ = standing
            await second.term._replica.caught_up(candidate.create_revision, timeout=60)
            late.hold()
            await work(driver, commits)
            await first.aclose()
            _, head, _ = await Journal.read_head(etcd, second.settings.prefix)
            assert head > candidate.create_revision + commits
            yield second, late, standing
            late.release()


async def test_it_waits_until_it_has_folded_the_log_to_its_end() -> None:
    etcd = MemoryEtcd()
    async with late_candidate(etcd, 2_500) as (replica, late, standing):
        prefix = replica.settings.prefix
        before = await Journal.read_head(etcd, prefix)
        async with replica.elected(*standing) as leading:
            for _ in range(200):
                await asyncio.sleep(0)
            assert not leading.done()
            assert not isinstance(replica.roles.role, Local)
            assert await Journal.read_head(etcd, prefix) == before
            late.release()
            driver = await replica.serves(leading)
            assert len(driver.state.tasks) == 2
            assert driver.state.queues[DEFAULT_QUEUE].paused is False
            # The epoch, far below the head's revision, is as good as any.
            await work(driver, 10)
            assert len(driver.state.tasks) == 4


async def test_what_was_purged_behind_the_head_is_not_in_the_next_leaders_memory() -> None:
    """A purge does not move the head: whoever is caught up with the head may still have to wait."""
    etcd = MemoryEtcd()
    late = LateEtcd(etcd)
    async with AsyncExitStack() as first, standing_by(late, "s2") as second:
        leader = await first.enter_async_context(standing_by(etcd))
        driver = await first.enter_async_context(leader.leading())
        task = TaskIds().next(driver.clock.now())
        await driver.call(
            lambda token: e.TaskSubmitted(DEFAULT_QUEUE, task, spec(), e.Request(), token)
        )
        await driver.call(lambda token: e.TaskCancelAsked(task, e.Request(), token))
        async with second.candidate() as standing:
            await second.term._replica.caught_up(standing[0].create_revision, timeout=60)
            assert task in second.term._fold.state.finished
            late.hold()
            prefix = second.settings.prefix
            driver.journal.append_purge(
                [
                    Delete(prefix + keys.task_key(DEFAULT_QUEUE, task)),
                    Delete(prefix + keys.run_key(DEFAULT_QUEUE, task)),
                ]
            )
            await driver.journal.flush()
            await first.aclose()
            async with second.elected(*standing) as leading:
                for _ in range(200):
                    await asyncio.sleep(0)
                assert not isinstance(second.roles.role, Local)
                late.release()
                assert task not in (await second.serves(leading)).state.finished
        late.release()


async def test_it_resigns_when_the_end_of_the_log_does_not_come_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(term, "CATCH_UP", 0.05)
    etcd = MemoryEtcd()
    async with late_candidate(etcd, 10) as (replica, _, standing):
        before = await Journal.read_head(etcd, replica.settings.prefix)
        async with replica.elected(*standing) as leading:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60):
                    await asyncio.shield(leading)
            assert leading.done()
        assert await Journal.read_head(etcd, replica.settings.prefix) == before
