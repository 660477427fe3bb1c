"""Lists that fit into a message; what was accepted is not refused when it is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from quorate.etcd.journal import Journal
from quorate.etcd.memory import MemoryEtcd
from quorate.runtime.clock import SystemClock, TenureClock
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskIds
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler import records
from scheduler.core import events as e
from scheduler.core.machine import Machine
from scheduler.core.state import State
from scheduler.driver import Driver
from scheduler.reads import FencedReads
from scheduler.service import Service
from scheduler.validate import SpecCheck
from scheduler.watches import Watches
from tests.support.registry import NOWHERE

PREFIX = b"/quorate/test/"
CLOCK = SystemClock()


class Leader:
    """A service over the in-memory store, called without gRPC."""

    def __init__(self, etcd: MemoryEtcd, key: bytes, epoch: int, journal: Journal) -> None:
        self.etcd = etcd
        self.full: str | None = None
        state = State()
        driver = Driver(
            Machine(state),
            records.Codec(PREFIX, state),
            journal,
            TenureClock(CLOCK),
            lambda: True,
            128,
        )
        sessions: Any = None
        overview: Any = SimpleNamespace(full=lambda: self.full)
        reads = FencedReads(etcd, PREFIX, key, epoch, 10_000)
        watches, check = Watches(etcd, PREFIX), SpecCheck()
        self.service = Service(driver, TaskIds(), reads, watches, sessions, overview, check)
        self.driver = driver
        driver.handle((e.Elected(),))

    async def call(self, method: str, request: Any) -> Any:
        """Ask as gRPC does: with a message of its own."""
        return await getattr(self.service, method)(
            type(request).FromString(request.SerializeToString()), NOWHERE
        )


class MeasuringEtcd(MemoryEtcd):
    """Notes the largest answer to a Txn, in bytes."""

    largest = 0

    async def txn(self, *args: Any, **options: Any) -> Any:
        found = await super().txn(*args, **options)
        size = sum(len(kv.value) for result in found.ranges for kv in result.kvs)
        self.largest = max(self.largest, size)
        return found


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    etcd = MeasuringEtcd()
    key = PREFIX + b"election/scheduler/1"
    epoch = await etcd.put(key, b"")
    journal = Journal(
        etcd, prefix=PREFIX, leader_key=key, epoch=epoch, clock=CLOCK, stall_after=5.0
    )
    await journal.claim()
    leader = Leader(etcd, key, epoch, journal)
    work = [
        asyncio.create_task(journal.run()),
        asyncio.create_task(leader.driver.continue_batches()),
    ]
    yield leader
    leader.driver.close()
    for task in work:
        task.cancel()
    await asyncio.wait(work)


def spec(size: int = 0) -> task_pb2.TaskSpec:
    message = task_pb2.TaskSpec()
    message.command.argv.append("true")
    message.command.stdin = b"x" * size
    return message


async def test_a_page_of_large_tasks_fits_into_a_message(leader: Leader) -> None:
    made: list[str] = []
    for _ in range(3):
        batch = pb.BatchCreateTasksRequest(specs=[spec(250_000)] * 40)
        made += (await leader.call("BatchCreateTasks", batch)).ids
    listed: list[str] = []
    request = pb.ListTasksRequest(page_size=1_000, view=task_pb2.TASK_VIEW_FULL)
    while True:
        page = await leader.call("ListTasks", request)
        assert page.ByteSize() < 16 << 20
        listed += [task.id for task in page.tasks]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == sorted(made, reverse=True)
    # At 1 MiB for each spec and each result it is still below what a client of etcd receives.
    assert isinstance(leader.etcd, MeasuringEtcd)
    assert leader.etcd.largest * (2 << 20) / 250_000 < 64 << 20


async def test_a_full_etcd_refuses_new_work_and_not_what_was_accepted(leader: Leader) -> None:
    one = pb.CreateTaskRequest(spec=spec(), request_id="one")
    many = pb.BatchCreateTasksRequest(specs=[spec()] * 100, request_id="many")
    task = (await leader.call("CreateTask", one)).task
    ids = (await leader.call("BatchCreateTasks", many)).ids
    leader.full = "it is full"
    assert (await leader.call("CreateTask", one)).task.id == task.id
    assert (await leader.call("BatchCreateTasks", many)).ids == ids
    for request_id in ("", "another"):
        with pytest.raises(QuorateError, match="it is full"):
            await leader.call(
                "CreateTask", pb.CreateTaskRequest(spec=spec(), request_id=request_id)
            )
