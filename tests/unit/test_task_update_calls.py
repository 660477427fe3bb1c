"""UpdateTask and UpdateTasks: masks, bounds, errors, pages, and what watchers and readers see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, How, Role, set_caller
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks import validate
from tests.support.one_leader import Leader, leading


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


async def create(leader: Leader, count: int = 1, **fields: Any) -> list[str]:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), **fields)
    request = pb.BatchCreateTasksRequest(specs=[spec] * count)
    return list((await leader.call("BatchCreateTasks", request)).ids)


def changed(task: str = "", paths: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    return {
        "task": task_pb2.Task(id=task, spec=task_pb2.TaskSpec(**spec)),
        "update_mask": FieldMask(paths=paths),
    }


async def test_the_fields_that_are_set_are_changed_and_the_rest_stays(leader: Leader) -> None:
    retry = task_pb2.RetryPolicy(max_attempts=3)
    (task,) = await create(leader, labels={"a": "b"}, retry=retry)
    request = pb.UpdateTaskRequest(**changed(task, priority=7))
    answer = await leader.call("UpdateTask", request)
    spec = answer.task.spec
    assert (spec.priority, dict(spec.labels), spec.retry.max_attempts) == (7, {"a": "b"}, 3)
    found = await leader.call("GetTask", pb.GetTaskRequest(id=task, view=task_pb2.TASK_VIEW_FULL))
    assert (found.task.spec.priority, found.task.spec.command.argv) == (7, ["true"])
    entries = (await leader.call("ListAuditEntries", pb.ListAuditEntriesRequest())).entries
    assert [(one.field, one.after) for one in entries[0].changes] == [
        ("tasks", "1"),
        ("priority", "7"),
    ]


async def test_a_mask_clears_and_reaches_into_the_retry_policy(leader: Leader) -> None:
    retry = task_pb2.RetryPolicy(max_attempts=3, fatal_errors=["ValueError"])
    (task,) = await create(leader, priority=4, labels={"a": "b"}, retry=retry)
    paths = ("spec.priority", "spec.labels", "spec.retry.max_attempts")
    request = pb.UpdateTaskRequest(
        **changed(task, paths, retry=task_pb2.RetryPolicy(max_attempts=9))
    )
    spec = (await leader.call("UpdateTask", request)).task.spec
    assert (spec.priority, dict(spec.labels)) == (0, {})
    assert (spec.retry.max_attempts, spec.retry.fatal_errors) == (9, ["ValueError"])


async def test_a_task_is_scheduled_for_later_and_found_by_its_new_labels(leader: Leader) -> None:
    (task,) = await create(leader)
    spec = task_pb2.TaskSpec(labels={"report": "q3"})
    spec.not_before.FromSeconds(int(leader.driver.clock.now()) + 3_600)
    answer = await leader.call(
        "UpdateTask", pb.UpdateTaskRequest(task=task_pb2.Task(id=task, spec=spec))
    )
    assert answer.task.state == task_pb2.TASK_STATE_SCHEDULED
    assert answer.task.schedule_time == spec.not_before
    found = await leader.call("ListTasks", pb.ListTasksRequest(text="report=q3"))
    assert [one.id for one in found.tasks] == [task]


async def test_a_filter_is_updated_page_by_page_and_counted_first(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(leader, 5)
    request = pb.UpdateTasksRequest(queue="default", validate_only=True, **changed(priority=1))
    assert (await leader.call("UpdateTasks", request)).updated == 5
    assert {row.priority for row in leader.driver.state.tasks.values()} == {0}
    monkeypatch.setattr(validate, "MAX_CANCELLED", 3)
    request.validate_only = False
    first = await leader.call("UpdateTasks", request)
    request.page_token = first.next_page_token
    second = await leader.call("UpdateTasks", request)
    assert (first.updated, second.updated, second.next_page_token) == (3, 2, "")
    assert {row.priority for row in leader.driver.state.tasks.values()} == {1}


async def test_the_same_request_id_has_one_effect(leader: Leader) -> None:
    (task,) = await create(leader)
    request = pb.UpdateTaskRequest(request_id="one", **changed(task, priority=3))
    await leader.call("UpdateTask", request)
    await leader.call("UpdateTask", pb.UpdateTaskRequest(**changed(task, priority=5)))
    answer = await leader.call("UpdateTask", request)
    assert answer.task.spec.priority == 5


@pytest.mark.parametrize(
    ("method", "request_", "field", "words"),
    [
        ("UpdateTask", pb.UpdateTaskRequest(), "task.id", "required"),
        ("UpdateTask", pb.UpdateTaskRequest(**changed("a")), "update_mask", "required"),
        ("UpdateTask", pb.UpdateTaskRequest(**changed("a", name="x")), "update_mask", "spec.name"),
        (
            "UpdateTask",
            pb.UpdateTaskRequest(**changed("a", ("spec.retry.colour",))),
            "update_mask",
            "cannot be changed",
        ),
        (
            "UpdateTask",
            pb.UpdateTaskRequest(**changed("a", priority=2_000)),
            "task.spec.priority",
            "2000",
        ),
        ("UpdateTasks", pb.UpdateTasksRequest(**changed(priority=1)), "ids", "or a filter"),
        (
            "UpdateTasks",
            pb.UpdateTasksRequest(queue="default", **changed("a", priority=1)),
            "task.id",
            "cannot be set",
        ),
        (
            "UpdateTasks",
            pb.UpdateTasksRequest(states=[task_pb2.TASK_STATE_RUNNING], **changed(priority=1)),
            "states",
            "RUNNING tasks cannot be updated",
        ),
    ],
)
async def test_bad_requests_name_the_field(
    leader: Leader, method: str, request_: object, field: str, words: str
) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call(method, request_)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == field
    assert words in str(error.value)


async def test_finished_and_unknown_tasks_are_typed_errors(leader: Leader) -> None:
    (task,) = await create(leader)
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    for name, reason in ((task, "TASK_NOT_WAITING"), ("0" * 32, "TASK_NOT_FOUND")):
        with pytest.raises(QuorateError) as error:
            await leader.call("UpdateTask", pb.UpdateTaskRequest(**changed(name, priority=1)))
        assert error.value.reason == reason
        assert error.value.metadata["task"] == name


async def test_it_is_refused_while_an_older_scheduler_may_lead(leader: Leader) -> None:
    (task,) = await create(leader)
    key = leader.key.rpartition(b"/")[0] + b"/2"
    await leader.etcd.put(key, CandidateRecord(name="old", version="0.1").SerializeToString())
    with pytest.raises(QuorateError) as error:
        await leader.call("UpdateTask", pb.UpdateTaskRequest(**changed(task, priority=1)))
    assert error.value.reason == "SCHEDULER_TOO_OLD"


async def other(leader: Leader) -> None:
    queue = queue_pb2.Queue(name="other")
    await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue))


async def test_a_task_goes_to_another_queue(leader: Leader) -> None:
    await other(leader)
    (task,) = await create(leader, priority=3)
    moved = pb.UpdateTaskRequest(task=task_pb2.Task(id=task, queue="other"))
    assert (await leader.call("UpdateTask", moved)).task.queue == "other"
    request = pb.GetTaskRequest(id=task, view=task_pb2.TASK_VIEW_FULL)
    found = (await leader.call("GetTask", request)).task
    assert (found.queue, found.spec.priority) == ("other", 3)
    assert found.spec.command.argv == ["true"]
    for queue, count in (("default", 0), ("other", 1)):
        page = await leader.call("ListTasks", pb.ListTasksRequest(queue=queue))
        assert len(page.tasks) == count
    entries = (await leader.call("ListAuditEntries", pb.ListAuditEntriesRequest())).entries
    assert ("queue", "other") in [(one.field, one.after) for one in entries[0].changes]


async def test_many_go_and_what_the_queue_refuses_is_counted(leader: Leader) -> None:
    queue = queue_pb2.Queue(name="other", max_length=2)
    await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue))
    tasks = await create(leader, 3)
    request = pb.UpdateTasksRequest(queue="default", task=task_pb2.Task(queue="other"))
    answer = await leader.call("UpdateTasks", request)
    assert (answer.updated, answer.refused) == (2, 1)
    page = await leader.call("ListTasks", pb.ListTasksRequest(queue="default"))
    error = await refused(
        leader,
        "UpdateTask",
        pb.UpdateTaskRequest(task=task_pb2.Task(id=page.tasks[0].id, queue="other")),
    )
    assert error.reason == "TASK_NOT_ACCEPTED"
    assert set(tasks) == {page.tasks[0].id, *await listed(leader, "other")}


async def refused(leader: Leader, method: str, request: Any) -> QuorateError:
    with pytest.raises(QuorateError) as caught:
        await leader.call(method, request)
    return caught.value


async def listed(leader: Leader, queue: str) -> list[str]:
    page = await leader.call("ListTasks", pb.ListTasksRequest(queue=queue))
    return [task.id for task in page.tasks]


@pytest.mark.parametrize(
    ("queue", "paths", "reason"),
    [
        ("none", (), "QUEUE_NOT_FOUND"),
        ("No Name", (), "INVALID_ARGUMENT"),
        ("", ("queue",), "INVALID_ARGUMENT"),
        ("x" * 10_240, (), "INVALID_ARGUMENT"),
    ],
)
async def test_a_queue_that_is_none_is_refused_and_nothing_changes(
    leader: Leader, queue: str, paths: tuple[str, ...], reason: str
) -> None:
    (task,) = await create(leader)
    for method, request in (
        (
            "UpdateTask",
            pb.UpdateTaskRequest(
                task=task_pb2.Task(id=task, queue=queue), update_mask=FieldMask(paths=paths)
            ),
        ),
        (
            "UpdateTasks",
            pb.UpdateTasksRequest(
                ids=[task], task=task_pb2.Task(queue=queue), update_mask=FieldMask(paths=paths)
            ),
        ),
    ):
        error = await refused(leader, method, request)
        assert reason in (error.reason, error.code.name)
    assert await listed(leader, "default") == [task]


@pytest.mark.parametrize(
    ("role", "patterns", "reason"),
    [
        (Role.SUBMITTER, ("default",), "FOREIGN_QUEUE"),
        (Role.VIEWER, ("*",), "ROLE_LACKS_PERMISSION"),
    ],
)
async def test_who_may_not_submit_to_a_queue_moves_nothing_there(
    leader: Leader, role: Role, patterns: tuple[str, ...], reason: str
) -> None:
    await other(leader)
    (task,) = await create(leader)
    set_caller(Caller("mail", role, How.TOKEN, patterns))
    request = pb.UpdateTaskRequest(task=task_pb2.Task(id=task, queue="other"))
    error = await refused(leader, "UpdateTask", request)
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, reason)


async def test_a_repeat_after_a_move_answers_with_the_task_where_it_is(leader: Leader) -> None:
    await other(leader)
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    request = pb.CreateTaskRequest(spec=spec, request_id="r")
    task = (await leader.call("CreateTask", request)).task.id
    await leader.call(
        "UpdateTask", pb.UpdateTaskRequest(task=task_pb2.Task(id=task, queue="other"))
    )
    again = (await leader.call("CreateTask", request)).task
    assert (again.id, again.queue) == (task, "other")
