"""Past the bound of what is not committed callers wait, then are refused; with no space at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from quorate.etcd.api import Compare, Op, Put, TxnResult
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError, leader_lost
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.engine import write_admission as admission
from tests.support.one_leader import Leader, leading

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class SlowEtcd(MemoryEtcd):
    """Takes puts only while `open`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        if any(isinstance(op, Put) for op in success):
            await self.open.wait()
        return await super().txn(compares, success, failure, timeout=timeout)


def create(request_id: str = "", size: int = 0) -> pb.CreateTaskRequest:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"], stdin=bytes(size)))
    return pb.CreateTaskRequest(spec=spec, request_id=request_id)


async def turns() -> None:
    """Let everybody go on as far as they can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def rejection(call: Any) -> QuorateError:
    """What an awaitable is refused with, soon."""
    with pytest.raises(QuorateError) as caught:
        async with asyncio.timeout(2):
            await call
    return caught.value


@pytest.fixture
async def etcd() -> SlowEtcd:
    return SlowEtcd()


@pytest.fixture
async def leader(etcd: SlowEtcd) -> AsyncIterator[Leader]:
    """A leader with room for one event."""
    async with leading(etcd, max_pending_events=1) as leader:
        await leader.journal.flush()
        yield leader
        etcd.open.set()


# -- without room


async def test_who_waits_for_room_is_refused_in_the_end_and_may_repeat(
    leader: Leader, etcd: SlowEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT", 0.02)
    etcd.open.clear()
    first = asyncio.create_task(leader.call("CreateTask", create()))
    await turns()
    for call in (
        leader.call("CreateTask", create("again")),
        leader.call("GetQueue", pb.GetQueueRequest(name="default")),
    ):
        refused = await rejection(call)
        assert (refused.code, refused.reason) == (EXHAUSTED, "WRITE_QUEUE_FULL")
        assert refused.metadata["limit"] == str(admission.MAX_CALLERS)
    etcd.open.set()
    await first
    await leader.call("CreateTask", create("again"))
    assert len(leader.driver.state.tasks) == 2


async def test_more_than_so_many_may_not_even_wait(
    leader: Leader, etcd: SlowEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_CALLERS", 3)
    etcd.open.clear()
    calls = [asyncio.create_task(leader.call("CreateTask", create())) for _ in range(4)]
    await turns()
    refused = await rejection(leader.call("CreateTask", create()))
    assert (refused.reason, refused.metadata["limit"]) == ("WRITE_QUEUE_FULL", "3")
    etcd.open.set()
    # Those in line have their turn, and the line is open again.
    async with asyncio.timeout(60):
        await asyncio.gather(*calls)
        await leader.call("CreateTask", create())
    assert len(leader.driver.state.tasks) == 5


async def test_requests_that_wait_are_bounded_in_bytes(
    leader: Leader, etcd: SlowEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_CALLER_BYTES", 100_000)
    etcd.open.clear()
    calls = [asyncio.create_task(leader.call("CreateTask", create(size=60_000))) for _ in "ab"]
    await turns()
    batch = pb.BatchCreateTasksRequest(specs=[create(size=10_000).spec] * 5)
    for call in (
        leader.call("CreateTask", create(size=60_000)),
        leader.call("BatchCreateTasks", batch),
    ):
        refused = await rejection(call)
        assert refused.reason == "WRITE_QUEUE_FULL"
        assert refused.metadata["limit_bytes"] == "100000"
    etcd.open.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*calls)


async def test_batches_under_way_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a part of each is in the journal at a time, and there is room for others."""
    monkeypatch.setattr(admission, "MAX_ASKED_BYTES", 1_000_000)
    etcd = SlowEtcd()
    batch = pb.BatchCreateTasksRequest(specs=[create(size=2_000).spec] * 300)
    async with leading(etcd) as leader:
        etcd.open.clear()
        first = asyncio.create_task(leader.call("BatchCreateTasks", batch))
        await turns()
        assert leader.journal.room
        refused = await rejection(leader.call("BatchCreateTasks", batch))
        assert refused.reason == "WRITE_QUEUE_FULL"
        # Who asks for nothing to be kept only waits for what is written.
        reading = asyncio.create_task(leader.call("GetQueue", pb.GetQueueRequest(name="default")))
        await turns()
        assert not reading.done()
        etcd.open.set()
        async with asyncio.timeout(60):
            await asyncio.gather(first, reading)
            await leader.call("BatchCreateTasks", batch)
        assert len(leader.driver.state.tasks) == 600


async def test_reports_of_agents_wait_as_long_as_it_takes(
    leader: Leader, etcd: SlowEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT", 0.0)
    monkeypatch.setattr(admission, "MAX_CALLERS", 0)
    etcd.open.clear()
    first = asyncio.create_task(leader.call("CreateTask", create()))
    await turns()
    report = asyncio.create_task(leader.driver.room())
    await turns()
    assert not report.done()
    etcd.open.set()
    async with asyncio.timeout(60):
        await asyncio.gather(first, report)


# -- without space


async def out_of_space(leader: Leader) -> asyncio.Task[Any]:
    """etcd has no space; a call that waits for it."""
    leader.etcd.no_space = True
    waiting = asyncio.create_task(leader.call("CreateTask", create("waiting")))
    async with asyncio.timeout(60):
        while not leader.journal.no_space:
            await asyncio.sleep(0)
    return waiting


@pytest.mark.parametrize("bounds", [{}, {"max_pending_events": 1}])
async def test_without_space_changes_are_refused_at_once_and_reads_go_on(bounds: Any) -> None:
    async with leading(MemoryEtcd(), **bounds) as leader:
        made = (await leader.call("CreateTask", create())).task.id
        changes = (
            ("CreateTask", create("new")),
            ("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[create().spec])),
            ("CancelTask", pb.CancelTaskRequest(id=made)),
            ("PauseQueue", pb.PauseQueueRequest(name="default")),
            ("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q"))),
        )
        leader.etcd.no_space = True
        # Asked for before anybody knew: each waits for what is committed.
        early = [
            asyncio.create_task(leader.call("CreateTask", create("waiting"))),
            asyncio.create_task(leader.call("GetQueue", pb.GetQueueRequest(name="default"))),
            asyncio.create_task(leader.call("ListTasks", pb.ListTasksRequest())),
        ]
        async with asyncio.timeout(2):
            queue, tasks = await asyncio.gather(*early[1:])
            assert queue.queue.name == "default"
            assert [task.id for task in tasks.tasks] == [made]
            assert leader.journal.no_space
            for method, request in changes:
                refused = await rejection(leader.call(method, request))
                assert (refused.code, refused.reason) == (EXHAUSTED, "ETCD_SPACE_LOW"), method
            listed = await leader.call("ListTasks", pb.ListTasksRequest())
            assert [task.id for task in listed.tasks] == [made]
            assert (await leader.call("GetTask", pb.GetTaskRequest(id=made))).task.id == made
            assert len((await leader.call("ListQueues", pb.ListQueuesRequest())).queues) == 1
        # The call that found out is answered at once as well; it comes to be once there is space.
        found_out = await rejection(early[0])
        assert (found_out.code, found_out.reason) == (grpc.StatusCode.UNAVAILABLE, "ETCD_SPACE_LOW")
        leader.etcd.no_space = False
        async with asyncio.timeout(60):
            while leader.journal.no_space:
                await asyncio.sleep(0)
            await leader.call("CreateTask", create("waiting"))
            await leader.call("PauseQueue", pb.PauseQueueRequest(name="default"))
        assert len(leader.driver.state.tasks) == 2


async def test_a_call_that_may_yet_come_to_be_is_not_called_refused() -> None:
    async with leading(MemoryEtcd()) as leader:
        waiting = await out_of_space(leader)
        refused = await rejection(leader.call("CreateTask", create("waiting")))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "ETCD_SPACE_LOW")
        leader.etcd.no_space = False
        async with asyncio.timeout(60):
            assert (await rejection(waiting)).reason == "ETCD_SPACE_LOW"
            while leader.journal.no_space:
                await asyncio.sleep(0)
            await leader.call("CreateTask", create("waiting"))
            assert len(leader.driver.state.tasks) == 1


async def test_without_space_who_does_not_lead_any_longer_tells_nothing() -> None:
    async with leading(MemoryEtcd()) as leader:
        waiting = await out_of_space(leader)
        await leader.etcd.delete(leader.key)
        refused = await rejection(leader.call("GetQueue", pb.GetQueueRequest(name="default")))
        assert (refused.reason, refused.message) == (leader_lost().reason, leader_lost().message)
        assert (await rejection(waiting)).reason == "ETCD_SPACE_LOW"
