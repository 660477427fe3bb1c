"""Lists that fit into a message; what was accepted is not refused when it is asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from quorate.etcd.memory import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.one_leader import Leader, leading


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
    async with leading(MeasuringEtcd()) as leader:
        yield leader


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
