"""CancelTasks with a filter: page by page through the queues' indexes, each call bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks import validate
from scheduler.storage import reads
from tests.support.one_leader import Leader, leading


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q")))
        yield leader


async def create(leader: Leader, count: int, name: str = "") -> list[str]:
    spec = task_pb2.TaskSpec(name=name, command=task_pb2.CommandWork(argv=["true"]))
    request = pb.BatchCreateTasksRequest(queue="q", specs=[spec] * count)
    return list((await leader.call("BatchCreateTasks", request)).ids)


async def cancel(leader: Leader, **fields: object) -> pb.CancelTasksResponse:
    answer = await leader.call("CancelTasks", pb.CancelTasksRequest(**fields))  # type: ignore[arg-type]
    assert isinstance(answer, pb.CancelTasksResponse)
    return answer


async def test_a_filter_is_cancelled_page_by_page_and_spares_what_came_after(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "MAX_CANCELLED", 3)
    made = await create(leader, 8)
    first = await cancel(leader, queue="q", request_id="one")
    assert (first.cancelled, bool(first.next_page_token)) == (3, True)
    later = await create(leader, 2)
    counts, token = [], first.next_page_token
    while token:
        answer = await cancel(leader, queue="q", page_token=token)
        counts.append(answer.cancelled)
        token = answer.next_page_token
    assert counts == [3, 2]
    live = leader.driver.state.tasks
    assert [task in live for task in made] == [False] * 8
    assert [task in live for task in later] == [True] * 2
    # The first page's repeat says what it said, also where the next one begins.
    assert await cancel(leader, queue="q", request_id="one") == first
    assert len(live) == 2


async def test_a_page_that_looked_at_its_bound_of_tasks_has_a_successor(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "SCAN", 2)
    monkeypatch.setattr(reads, "SCANS", 2)
    await create(leader, 1, "wanted")
    await create(leader, 10, "other")
    answers = [await cancel(leader, text="wanted")]
    while answers[-1].next_page_token:
        token = answers[-1].next_page_token
        answers.append(await cancel(leader, text="wanted", page_token=token))
    assert [answer.cancelled for answer in answers] == [0, 0, 1]


async def test_counting_changes_nothing(leader: Leader) -> None:
    made = await create(leader, 3)
    await leader.call("CancelTask", pb.CancelTaskRequest(id=made[0]))
    before = leader.driver.revision
    ids = await cancel(leader, ids=[*made, made[1], "unknown"], validate_only=True)
    assert (ids.cancelled, ids.finished, ids.not_found) == (2, 1, 1)
    assert (await cancel(leader, queue="q", validate_only=True)).cancelled == 2
    running = [task_pb2.TASK_STATE_RUNNING]
    skipped = await cancel(leader, ids=made, states=running, validate_only=True)
    assert (skipped.cancelled, skipped.skipped) == (0, 2)
    assert len(leader.driver.state.tasks) == 2
    assert leader.driver.revision >= before


async def test_a_token_belongs_to_its_filter(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "MAX_CANCELLED", 1)
    await create(leader, 2)
    token = (await cancel(leader, queue="q")).next_page_token
    pending = [task_pb2.TASK_STATE_PENDING]
    with pytest.raises(QuorateError) as error:
        await cancel(leader, queue="q", states=pending, page_token=token)
    assert error.value.reason == "STALE_PAGE_TOKEN"
    assert len(leader.driver.state.tasks) == 1
