"""What CancelTasks promises its callers, on a served cluster with one node."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Refused, caller_of_served, served_by

served = served_by(nodes=1)
caller = caller_of_served


async def new_queue(caller: Caller, name: str, *, paused: bool = True) -> str:
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name=name)))
    if paused:
        await caller.call("PauseQueue", pb.PauseQueueRequest(name=name))
    return name


async def create(caller: Caller, queue: str, count: int, *argv: str, **more: Any) -> list[str]:
    spec = t.TaskSpec(command=t.CommandWork(argv=argv or ("true",)), **more)
    request = pb.BatchCreateTasksRequest(queue=queue, specs=[spec] * count)
    return list((await caller.call("BatchCreateTasks", request)).ids)


async def cancel(caller: Caller, **fields: Any) -> pb.CancelTasksResponse:
    answer: pb.CancelTasksResponse = await caller.call(
        "CancelTasks", pb.CancelTasksRequest(**fields)
    )
    return answer


async def states(caller: Caller, ids: list[str]) -> list[int]:
    found = [await caller.call("GetTask", pb.GetTaskRequest(id=task)) for task in ids]
    return [answer.task.state for answer in found]


async def test_ids_of_all_kinds_are_counted(caller: Caller) -> None:
    queue = await new_queue(caller, "ids")
    (runs,) = await create(caller, "default", 1, "sleep", "60")
    stream = caller.stub.WatchTasks(
        pb.WatchTasksRequest(ids=[runs], states=[t.TASK_STATE_RUNNING]), timeout=15
    )
    await stream.read()
    if (await states(caller, [runs])) != [t.TASK_STATE_RUNNING]:
        await stream.read()
    waiting = await create(caller, queue, 3)
    await caller.call("CancelTask", pb.CancelTaskRequest(id=waiting[0]))
    answer = await cancel(caller, ids=[*waiting, runs, waiting[1], "0" * 32])
    expected = pb.CancelTasksResponse(cancelled=2, stopping=1, finished=1, not_found=1)
    assert answer == expected
    await caller.call("WaitTask", pb.WaitTaskRequest(id=runs))
    assert await states(caller, [*waiting, runs]) == [t.TASK_STATE_CANCELLED] * 4
    stream.cancel()


async def test_a_filter_by_state_and_text(caller: Caller) -> None:
    queue = await new_queue(caller, "filter")
    mail = await create(caller, queue, 2, name="mail")
    other = await create(caller, queue, 2, name="web", labels={"team": "blue"})
    pending = [t.TASK_STATE_PENDING]
    assert (await cancel(caller, queue=queue, text="mail", states=pending)).cancelled == 2
    assert await states(caller, [*mail, *other]) == [8, 8, 3, 3]
    assert (await cancel(caller, text="team=blue")).cancelled == 2
    again = await cancel(caller, queue=queue)
    assert again == pb.CancelTasksResponse()


async def test_a_repeat_gets_the_first_answer_and_does_nothing(caller: Caller) -> None:
    queue = await new_queue(caller, "repeat")
    made = await create(caller, queue, 600)
    first = await cancel(caller, ids=made, request_id="cancel 600")
    assert first.cancelled == 600
    await caller.call("RetryTask", pb.RetryTaskRequest(id=made[0]))
    before = await caller.dump()
    assert await cancel(caller, ids=made, request_id="cancel 600") == first
    assert await caller.dump() == before
    with pytest.raises(Refused) as answer:
        await cancel(caller, ids=made[1:], request_id="cancel 600")
    assert answer.value.reason == "REQUEST_ID_REUSED"


async def test_one_audit_entry_says_who_cancelled_how_many(caller: Caller) -> None:
    queue = await new_queue(caller, "audit")
    await create(caller, queue, 30)
    await cancel(caller, queue=queue, states=[t.TASK_STATE_PENDING])
    entries = (
        await caller.call("ListAuditEntries", pb.ListAuditEntriesRequest(method="CancelTasks"))
    ).entries
    entry = entries[0]
    assert (entry.resource_type, entry.resource_name, entry.queue) == ("queue", queue, queue)
    changes = {change.field: change.after for change in entry.changes}
    assert changes == {"tasks": "30", "states": "PENDING"}


BAD = [
    ("nothing", "ids", pb.CancelTasksRequest(request_id="unused")),
    ("too many", "ids", pb.CancelTasksRequest(ids=["x"] * 10_001)),
    ("an empty id", "ids[1]", pb.CancelTasksRequest(ids=["x", ""])),
    ("a huge id", "ids[0]", pb.CancelTasksRequest(ids=["x" * 257])),
    ("ids and a queue", "queue", pb.CancelTasksRequest(ids=["x"], queue="default")),
    ("ids and a text", "text", pb.CancelTasksRequest(ids=["x"], text="y")),
    ("ids and a page", "page_token", pb.CancelTasksRequest(ids=["x"], page_token="y")),
    ("a finished state", "states", pb.CancelTasksRequest(states=[t.TASK_STATE_FAILED])),
    ("an unknown state", "states", pb.CancelTasksRequest(states=[77])),  # type: ignore[list-item]
    ("no state", "states", pb.CancelTasksRequest(states=[t.TASK_STATE_UNSPECIFIED])),
    ("a long text", "text", pb.CancelTasksRequest(text="x" * 257)),
    ("a bad queue", "queue", pb.CancelTasksRequest(queue="../x")),
    ("a bad token", "page_token", pb.CancelTasksRequest(queue="default", page_token="x")),
    ("a long request id", "request_id", pb.CancelTasksRequest(ids=["x"], request_id="r" * 129)),
]


@pytest.mark.parametrize(("field", "request_"), [case[1:] for case in BAD], ids=[c[0] for c in BAD])
async def test_bad_input_is_refused_before_anything_is_done(
    caller: Caller, field: str, request_: pb.CancelTasksRequest
) -> None:
    before = await caller.dump()
    with pytest.raises(Refused) as answer:
        await caller.call("CancelTasks", request_)
    assert answer.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.value.metadata["field"] == field
    assert await caller.dump() == before


async def test_a_filter_of_an_unknown_queue_is_not_found(caller: Caller) -> None:
    with pytest.raises(Refused) as answer:
        await cancel(caller, queue="nowhere", request_id="unused")
    assert answer.value.reason == "QUEUE_NOT_FOUND"


async def test_one_call_goes_through_all_pages_and_each_is_in_the_audit_log(
    caller: Caller,
) -> None:
    queue = await new_queue(caller, "whole")
    await create(caller, queue, 10_000)
    await create(caller, queue, 5)
    request = pb.CancelAllTasksRequest(queue=queue)
    answers = [answer async for answer in caller.stub.CancelAllTasks(request, timeout=60)]
    assert [(a.cancelled, a.complete) for a in answers] == [(10_000, False), (10_005, True)]
    about = pb.ListAuditEntriesRequest(resource_type="queue", resource_name=queue)
    entries = (await caller.call("ListAuditEntries", about)).entries
    methods = [one.method.rpartition("/")[2] for one in entries]
    assert methods[:2] == ["CancelTasks"] * 2
