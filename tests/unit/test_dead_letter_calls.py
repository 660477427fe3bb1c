"""ListDeadLetters, and calls that take a group: pages, filters, bad requests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.model import events as e
from tests.support.core_specs import node_row
from tests.support.one_leader import Leader, leading

NODE = InstanceId("n1-1")


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q")))
        row = node_row("n1", NODE)
        leader.driver.handle(
            (
                e.NodeRegistered(row),
                e.SessionOpened(row.name, NODE, (), ()),
                e.CreditReported(row.name, NODE, 9),
            )
        )
        yield leader


async def fail(leader: Leader, message: str, queue: str = "q") -> str:
    spec = task_pb2.TaskSpec(name="job", command=task_pb2.CommandWork(argv=["true"]))
    made = await leader.call("CreateTask", pb.CreateTaskRequest(queue=queue, spec=spec))
    task = TaskId(made.task.id)
    row = leader.driver.state.tasks[task]
    error = task_pb2.TaskError(type="ValueError", message=message)
    leader.driver.handle(
        (e.AttemptFailed(NODE, task, row.attempt, 1.0, 2.0, "ValueError", message, error),)
    )
    await leader.driver.readable()
    return task


async def groups(leader: Leader, **fields: object) -> pb.ListDeadLettersResponse:
    answer = await leader.call("ListDeadLetters", pb.ListDeadLettersRequest(**fields))  # type: ignore[arg-type]
    assert isinstance(answer, pb.ListDeadLettersResponse)
    return answer


async def test_the_largest_groups_come_first_with_an_example(leader: Leader) -> None:
    await fail(leader, "Odd")
    await fail(leader, "Row 17")
    last = await fail(leader, "Row 4")
    answer = await groups(leader)
    assert [(one.count, one.error_type, one.error_message) for one in answer.groups] == [
        (2, "ValueError", "Row 4"),
        (1, "ValueError", "Odd"),
    ]
    largest = answer.groups[0]
    assert (largest.example_task, largest.example_name, largest.queue) == (last, "job", "q")
    assert largest.first_time.ToNanoseconds() <= largest.last_time.ToNanoseconds()
    assert (answer.total, answer.next_page_token) == (3, "")


async def test_pages_of_groups(leader: Leader) -> None:
    for message in ("a", "b", "c"):
        await fail(leader, message)
    first = await groups(leader, page_size=2)
    second = await groups(leader, page_size=2, page_token=first.next_page_token)
    ids = [one.id for one in (*first.groups, *second.groups)]
    assert len(set(ids)) == 3
    assert (second.total, second.next_page_token) == (3, "")


async def test_tasks_of_a_group_are_listed_retried_and_deleted(leader: Leader) -> None:
    row, other = await fail(leader, "row 1"), await fail(leader, "row 2")
    odd = await fail(leader, "odd")
    group = (await groups(leader)).groups[0].id
    listed = await leader.call("ListTasks", pb.ListTasksRequest(error_group=group))
    assert [task.id for task in listed.tasks] == [other, row]
    count = await leader.call(
        "RetryTasks", pb.RetryTasksRequest(error_group=group, validate_only=True)
    )
    assert count.retried == 2
    retried = await leader.call("RetryTasks", pb.RetryTasksRequest(error_group=group))
    assert retried.retried == 2
    attempts = (await leader.call("GetTask", pb.GetTaskRequest(id=row))).task.attempts
    assert [one.error.message for one in attempts][:1] == ["row 1"]
    group = (await groups(leader)).groups[0].id
    deleted = await leader.call("DeleteTasks", pb.DeleteTasksRequest(error_group=group))
    assert deleted.deleted == 1
    assert TaskId(odd) not in leader.driver.state.finished
    assert not (await groups(leader)).groups


async def test_a_group_is_of_one_queue(leader: Leader) -> None:
    here = await fail(leader, "row 1")
    there = await fail(leader, "row 1", queue="default")
    for one in (await groups(leader)).groups:
        listed = await leader.call("ListTasks", pb.ListTasksRequest(error_group=one.id))
        assert [task.id for task in listed.tasks] == [here if one.queue == "q" else there]


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListDeadLetters", pb.ListDeadLettersRequest(page_size=1_001), "page_size"),
        ("ListDeadLetters", pb.ListDeadLettersRequest(queue="No!"), "queue"),
        ("ListDeadLetters", pb.ListDeadLettersRequest(page_token="x"), "page_token"),
        ("ListTasks", pb.ListTasksRequest(error_group="abc"), "error_group"),
        ("RetryTasks", pb.RetryTasksRequest(error_group="ABCDEF0123456789"), "error_group"),
        ("DeleteTasks", pb.DeleteTasksRequest(ids=["a"], error_group="0" * 16), "error_group"),
    ],
)
async def test_bad_requests_name_the_field(
    leader: Leader, method: str, request_: object, field: str
) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call(method, request_)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == field


async def test_an_unknown_queue_is_not_found(leader: Leader) -> None:
    with pytest.raises(QuorateError) as error:
        await groups(leader, queue="none")
    assert error.value.reason == "QUEUE_NOT_FOUND"
