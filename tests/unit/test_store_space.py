"""New work is refused before etcd is full, however fast it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.cluster import overview
from scheduler.api.servicers import SCHEDULER
from scheduler.engine.driver import Driver
from scheduler.leadership.parts import TermParts
from tests.support.memory_term import standing_by
from tests.support.registry import NOWHERE

MIB = 1 << 20
QUOTA = 32 * MIB
SIZE = 250_000
SPEC = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"], stdin=bytes(SIZE)))


@asynccontextmanager
async def leader() -> AsyncIterator[tuple[Driver, TermParts, MemoryEtcd]]:
    """A leader that looked at an empty etcd a moment ago; its driver and parts."""
    etcd = MemoryEtcd()
    async with standing_by(etcd) as replica:
        replica.settings.etcd_quota_mib = QUOTA // MIB
        async with replica.leading() as driver:
            parts = replica.term.parts
            assert parts is not None
            async with asyncio.timeout(60):
                while parts.overview.status is None:
                    await asyncio.sleep(0)
            yield driver, parts, etcd


async def create(parts: TermParts, count: int = 1) -> bool:
    """Whether new work is taken."""
    answers = parts.servicers[SCHEDULER.full_name].answers
    try:
        if count == 1:
            await answers["CreateTask"](pb.CreateTaskRequest(spec=SPEC), NOWHERE)
        else:
            request = pb.BatchCreateTasksRequest(specs=[SPEC] * count)
            await answers["BatchCreateTasks"](request, NOWHERE)
    except QuorateError as refused:
        if refused.reason != "ETCD_SPACE_LOW":
            raise
        return False
    return True


@pytest.mark.parametrize("at_once", [1, 30])
@pytest.mark.parametrize("count", [1, 7])
async def test_new_work_is_refused_in_time_though_nobody_looked(
    at_once: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_EVERY_WRITING", 3_600.0)
    monkeypatch.setattr(overview, "_EVERY", 3_600.0)
    async with leader() as (_, parts, etcd):
        taken = 0
        while True:
            answers = await asyncio.gather(*(create(parts, count) for _ in range(at_once)))
            taken += sum(answers)
            if not all(answers):
                break
        held = (await etcd.status()).db_size
    # Not at once either: what a byte takes in etcd is estimated, and from above.
    assert 0.4 * QUOTA < taken * count * SIZE <= held < 0.8 * QUOTA


async def test_while_something_is_written_etcd_is_asked_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overview, "_EVERY_WRITING", 0.001)
    monkeypatch.setattr(overview, "_EVERY", 3_600.0)
    async with leader() as (_, parts, _):
        async with asyncio.timeout(60):
            for _ in range(20):
                assert await create(parts)
                known = parts.overview.status
                while parts.overview.status is known:
                    await asyncio.sleep(0)
        # What it says is what is believed, once all that was written is in it.
        status = parts.overview.status
        assert status is not None
        assert 20 * SIZE < status.db_size_in_use < 20 * SIZE + MIB
        left = int((0.8 * QUOTA - status.db_size_in_use) / overview._GROWTH)
        # Of the last one nobody knows whether it was in what etcd said: it is added.
        assert parts.overview.full(left - 2 * SIZE) is None
        assert parts.overview.full(left) is not None
