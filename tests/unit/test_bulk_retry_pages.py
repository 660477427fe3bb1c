"""RetryTasks and DeleteTasks with a filter: pages, rates, dry runs, bad requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import grpc
import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks import validate
from scheduler.core.values import TaskState
from tests.support.one_leader import Leader, leading

CANCELLED = task_pb2.TASK_STATE_CANCELLED
SUCCEEDED, PENDING = task_pb2.TASK_STATE_SUCCEEDED, task_pb2.TASK_STATE_PENDING


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q")))
        yield leader


async def cancelled(leader: Leader, count: int) -> list[str]:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), priority=3)
    request = pb.BatchCreateTasksRequest(queue="q", specs=[spec] * count)
    made = list((await leader.call("BatchCreateTasks", request)).ids)
    await leader.call("CancelTasks", pb.CancelTasksRequest(queue="q"))
    return made


async def retry(leader: Leader, **fields: object) -> pb.RetryTasksResponse:
    answer = await leader.call("RetryTasks", pb.RetryTasksRequest(**fields))  # type: ignore[arg-type]
    assert isinstance(answer, pb.RetryTasksResponse)
    return answer


async def delete(leader: Leader, **fields: object) -> pb.DeleteTasksResponse:
    answer = await leader.call("DeleteTasks", pb.DeleteTasksRequest(**fields))  # type: ignore[arg-type]
    assert isinstance(answer, pb.DeleteTasksResponse)
    return answer


async def test_a_filter_is_retried_page_by_page_at_one_rate(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await cancelled(leader, 7)
    monkeypatch.setattr(validate, "MAX_CANCELLED", 3)
    token = ""
    answers: list[pb.RetryTasksResponse] = []
    while token or not answers:
        fields = {"page_token": token} if token else {}
        answers.append(await retry(leader, queue="q", states=[CANCELLED], max_rate=0.5, **fields))
        token = answers[-1].next_page_token
    assert [answer.retried for answer in answers] == [3, 3, 1]
    rows = [leader.driver.state.tasks[TaskId(task)] for task in made]
    due = sorted(row.not_before for row in rows if row.not_before)
    assert len(due) == 6
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert all(gap == pytest.approx(2.0) for gap in gaps)
    assert answers[-1].last_start_time.ToNanoseconds() / 1e9 == pytest.approx(due[-1])


async def test_without_states_a_filter_means_failed_tasks_and_ids_mean_both(
    leader: Leader,
) -> None:
    made = await cancelled(leader, 2)
    assert (await retry(leader, queue="q")).retried == 0
    assert (await retry(leader, ids=[*made, "unknown"])) == pb.RetryTasksResponse(
        retried=2, not_found=1
    )
    row = leader.driver.state.tasks[TaskId(made[0])]
    assert (row.priority, row.spec is not None) == (3, True)


async def test_one_task_is_retried_with_another_payload(leader: Leader) -> None:
    (task,) = await cancelled(leader, 1)
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["false"]), priority=9)
    await leader.call("RetryTask", pb.RetryTaskRequest(id=task, spec=spec))
    view = task_pb2.TASK_VIEW_FULL
    found = (await leader.call("GetTask", pb.GetTaskRequest(id=task, view=view))).task
    assert (list(found.spec.command.argv), found.spec.priority) == (["false"], 9)
    assert leader.driver.state.tasks[TaskId(task)].priority == 9
    entries = (await leader.call("ListAuditEntries", pb.ListAuditEntriesRequest())).entries
    assert [change.field for change in entries[0].changes] == ["state", "spec"]
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    bad = pb.RetryTaskRequest(id=task, spec=task_pb2.TaskSpec(priority=1))
    with pytest.raises(QuorateError) as error:
        await leader.call("RetryTask", bad)
    assert error.value.metadata["field"] == "spec.work"


async def test_another_spec_says_when_the_task_starts(leader: Leader) -> None:
    (task,) = await cancelled(leader, 1)
    later = leader.driver.clock.now() + 60.0
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    spec.not_before.FromMilliseconds(round(later * 1e3))
    await leader.call("RetryTask", pb.RetryTaskRequest(id=task, spec=spec))
    row = leader.driver.state.tasks[TaskId(task)]
    assert row.state is TaskState.SCHEDULED
    assert row.not_before == pytest.approx(later, abs=0.01)
    # Moved to another queue before it starts, and started there.
    await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="other")))
    moved = pb.UpdateTaskRequest(task={"id": task, "queue": "other"})
    moved.update_mask.paths[:] = ["queue", "spec.not_before"]
    await leader.call("UpdateTask", moved)
    row = leader.driver.state.tasks[TaskId(task)]
    assert (row.state, row.queue.name) == (TaskState.PENDING, "other")
    # Without a spec it does not wait for what its own says.
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    await leader.call("RetryTask", pb.RetryTaskRequest(id=task, spec=spec))
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    await leader.call("RetryTask", pb.RetryTaskRequest(id=task))
    assert leader.driver.state.tasks[TaskId(task)].state is TaskState.PENDING


async def test_counting_changes_nothing(leader: Leader) -> None:
    made = await cancelled(leader, 3)
    answer = await retry(leader, ids=made, validate_only=True)
    assert (answer.retried, answer.not_finished) == (3, 0)
    assert (await delete(leader, queue="q", validate_only=True)).deleted == 3
    assert not leader.driver.state.tasks
    assert len(leader.driver.state.finished) == 3


async def test_finished_tasks_of_a_filter_are_deleted(leader: Leader) -> None:
    made = await cancelled(leader, 3)
    await retry(leader, ids=made[:1])
    assert await delete(leader, queue="q", request_id="one") == pb.DeleteTasksResponse(deleted=2)
    assert await delete(leader, queue="q", request_id="one") == pb.DeleteTasksResponse(deleted=2)
    assert await delete(leader, ids=made) == pb.DeleteTasksResponse(not_finished=1, not_found=2)
    with pytest.raises(QuorateError) as error:
        await leader.call("GetTask", pb.GetTaskRequest(id=made[1]))
    assert error.value.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_", "field", "words"),
    [
        ("RetryTasks", pb.RetryTasksRequest(), "ids", "set states to FAILED"),
        ("DeleteTasks", pb.DeleteTasksRequest(), "ids", "is required, or a filter"),
        (
            "RetryTasks",
            pb.RetryTasksRequest(states=[SUCCEEDED]),
            "states",
            "SUCCEEDED tasks cannot be",
        ),
        ("DeleteTasks", pb.DeleteTasksRequest(states=[PENDING]), "states", "PENDING tasks are not"),
        ("RetryTasks", pb.RetryTasksRequest(ids=["a"], queue="q"), "queue", "together with ids"),
        ("RetryTasks", pb.RetryTasksRequest(queue="q", max_rate=0.001), "max_rate", "0.01"),
        ("RetryTasks", pb.RetryTasksRequest(queue="q", max_rate=2e6), "max_rate", "1000000.0"),
        ("RetryTasks", pb.RetryTasksRequest(queue="q", page_token="x"), "page_token", "malformed"),
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


async def test_a_token_belongs_to_its_rate(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    await cancelled(leader, 2)
    monkeypatch.setattr(validate, "MAX_CANCELLED", 1)
    token = (await retry(leader, queue="q", states=[CANCELLED], max_rate=1)).next_page_token
    with pytest.raises(QuorateError) as error:
        await retry(leader, queue="q", states=[CANCELLED], page_token=token)
    assert error.value.reason == "STALE_PAGE_TOKEN"
