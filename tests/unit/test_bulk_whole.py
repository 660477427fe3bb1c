"""CancelAllTasks, RetryAllTasks, DeleteAllTasks: all pages of a filter in one call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks import validate
from tests.support.one_leader import Leader, leading
from tests.support.registry import NOWHERE

PENDING, CANCELLED = task_pb2.TASK_STATE_PENDING, task_pb2.TASK_STATE_CANCELLED


@pytest_asyncio.fixture
async def leader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Leader]:
    """Pages of three."""
    monkeypatch.setattr(validate, "MAX_CANCELLED", 3)
    async with leading(MemoryEtcd()) as leader:
        await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q")))
        yield leader


async def create(leader: Leader, count: int) -> list[str]:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    request = pb.BatchCreateTasksRequest(queue="q", specs=[spec] * count)
    return list((await leader.call("BatchCreateTasks", request)).ids)


def stream(leader: Leader, method: str, request: Any) -> Any:
    return leader.service.streams[method](request, NOWHERE)


async def all_of(leader: Leader, method: str, request: Any) -> list[Any]:
    return [answer async for answer in stream(leader, method, request)]


async def test_all_tasks_are_cancelled_then_run_again_then_deleted(leader: Leader) -> None:
    made = await create(leader, 8)
    state = leader.driver.state
    answers = await all_of(leader, "CancelAllTasks", pb.CancelAllTasksRequest(queue="q"))
    assert [(a.cancelled, a.complete) for a in answers] == [(3, False), (6, False), (8, True)]
    assert not set(made) & set(state.tasks)
    retry = pb.RetryAllTasksRequest(queue="q", states=[CANCELLED])
    answers = await all_of(leader, "RetryAllTasks", retry)
    assert [(a.retried, a.complete) for a in answers] == [(3, False), (6, False), (8, True)]
    assert set(made) <= set(state.tasks)
    await all_of(leader, "CancelAllTasks", pb.CancelAllTasksRequest(queue="q"))
    answers = await all_of(leader, "DeleteAllTasks", pb.DeleteAllTasksRequest(queue="q"))
    assert [(a.deleted, a.complete) for a in answers] == [(3, False), (6, False), (8, True)]
    assert not set(made) & set(state.finished)


async def test_what_came_after_its_beginning_is_left_alone(leader: Leader) -> None:
    await create(leader, 4)
    answers = stream(leader, "CancelAllTasks", pb.CancelAllTasksRequest(queue="q"))
    assert (await anext(answers)).cancelled == 3
    later = await create(leader, 2)
    assert (await anext(answers)).cancelled == 4
    assert set(later) <= set(leader.driver.state.tasks)


async def test_a_repeat_goes_on_where_the_stream_ended(leader: Leader) -> None:
    """And counts what was done before; without the request id it would count what is left."""
    await create(leader, 8)
    request = pb.CancelAllTasksRequest(queue="q", request_id="whole")
    first = stream(leader, "CancelAllTasks", request)
    assert (await anext(first)).cancelled == 3
    await first.aclose()
    await create(leader, 1)
    answers = await all_of(leader, "CancelAllTasks", request)
    assert [a.cancelled for a in answers] == [3, 6, 8]
    assert len(leader.driver.state.tasks) == 1


async def test_validate_only_counts_all_and_changes_nothing(leader: Leader) -> None:
    made = await create(leader, 8)
    request = pb.CancelAllTasksRequest(states=[PENDING], validate_only=True)
    answers = await all_of(leader, "CancelAllTasks", request)
    assert [(a.cancelled, a.complete) for a in answers] == [(3, False), (6, False), (8, True)]
    assert set(made) <= set(leader.driver.state.tasks)


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("CancelAllTasks", pb.CancelAllTasksRequest(), "queue"),
        ("RetryAllTasks", pb.RetryAllTasksRequest(max_rate=1), "queue"),
        ("DeleteAllTasks", pb.DeleteAllTasksRequest(), "queue"),
        ("CancelAllTasks", pb.CancelAllTasksRequest(states=[CANCELLED]), "states"),
        ("DeleteAllTasks", pb.DeleteAllTasksRequest(states=[PENDING]), "states"),
        ("RetryAllTasks", pb.RetryAllTasksRequest(queue="q", max_rate=-1), "max_rate"),
        ("RetryAllTasks", pb.RetryAllTasksRequest(error_group="x"), "error_group"),
        (
            "CancelAllTasks",
            pb.CancelAllTasksRequest(queue="q", request_id="r" * 120),
            "request_id",
        ),
    ],
)
async def test_a_bad_request_names_its_field_and_does_nothing(
    leader: Leader, method: str, request_: Any, field: str
) -> None:
    made = await create(leader, 1)
    with pytest.raises(QuorateError) as refused:
        await all_of(leader, method, request_)
    assert refused.value.field == field
    assert set(made) <= set(leader.driver.state.tasks)
