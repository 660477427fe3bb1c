"""Lists that fit into a message; what was accepted is not refused when it is asked for again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.tasks import reading
from scheduler.core.model import events as e
from tests.support.core_specs import node_row
from tests.support.one_leader import Leader, leading

# What a gRPC client receives, unless it is told otherwise.
STOCK_LIMIT = 4 << 20


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
        assert page.ByteSize() < STOCK_LIMIT
        listed += [task.id for task in page.tasks]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == sorted(made, reverse=True)
    # At 1 MiB for each spec and each result it is still below what a client of etcd receives.
    assert isinstance(leader.etcd, MeasuringEtcd)
    assert leader.etcd.largest * (2 << 20) / 250_000 < 64 << 20


async def test_a_task_that_is_larger_than_a_page_alone_is_a_page(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES", 10_000)
    batch = pb.BatchCreateTasksRequest(specs=[spec(50_000), spec(), spec(), spec(50_000)])
    made = (await leader.call("BatchCreateTasks", batch)).ids
    request = pb.ListTasksRequest(view=task_pb2.TASK_VIEW_FULL)
    pages = []
    while True:
        answer = await leader.call("ListTasks", request)
        pages.append([task.id for task in answer.tasks])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert pages == [[made[3]], [made[2], made[1]], [made[0]]]


async def test_a_page_of_nodes_fits_into_a_message(leader: Leader) -> None:
    labels = {f"label{number}": "x" * 1_000 for number in range(32)}
    names = [f"n{number:03d}" for number in range(300)]
    for name in names:
        row = node_row(name, f"{name}-1")
        row.labels = labels
        leader.driver.handle((e.NodeRegistered(row),))
    listed: list[str] = []
    request = pb.ListNodesRequest(page_size=1_000)
    while True:
        page = await leader.call("ListNodes", request)
        assert page.ByteSize() < STOCK_LIMIT
        listed += [node.name for node in page.nodes]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == names


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
