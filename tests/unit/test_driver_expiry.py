"""The driver lets tasks expire by a timer of its own, and before it places any."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.one_leader import Leader, leading


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


async def test_a_waiting_caller_is_answered_when_its_task_expires(leader: Leader) -> None:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    spec.start_deadline.FromMilliseconds(50)
    made = await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))
    answer = await leader.call("WaitTask", pb.WaitTaskRequest(id=made.task.id))
    assert answer.task.state == task_pb2.TASK_STATE_EXPIRED
    assert answer.task.error.type == "START_DEADLINE"
    counts = (await leader.call("GetQueue", pb.GetQueueRequest(name="default"))).queue.counts
    assert (counts.expired, counts.pending) == (1, 0)
    groups = (await leader.call("ListDeadLetters", pb.ListDeadLettersRequest())).groups
    assert [(group.error_type, group.count) for group in groups] == [("START_DEADLINE", 1)]
    retried = await leader.call("RetryTasks", pb.RetryTasksRequest(queue="default"))
    assert retried.retried == 1
