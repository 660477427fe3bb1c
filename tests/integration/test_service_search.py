"""Tasks are found by words in their names, labels, ids and errors, by every leader."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Refused, caller_of_served, served_by

served = served_by(nodes=1)
caller = caller_of_served


async def _create(caller: Caller, queue: str, argv: list[str], **more: Any) -> str:
    spec = t.TaskSpec(command=t.CommandWork(argv=argv), **more)
    answer = await caller.call("CreateTask", pb.CreateTaskRequest(queue=queue, spec=spec))
    return str(answer.task.id)


async def _found(caller: Caller, text: str, **more: Any) -> list[str]:
    ids, token = [], ""
    while True:
        request = pb.ListTasksRequest(text=text, page_token=token, **more)
        answer = await caller.call("ListTasks", request)
        ids += [task.id for task in answer.tasks]
        token = answer.next_page_token
        if not token:
            return ids


async def test_tasks_are_found_by_name_label_id_and_error(caller: Caller) -> None:
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="search")))
    labels = {"team": "Mail"}
    page = await _create(caller, "search", ["/bin/true"], name="Page 12", labels=labels)
    other = await _create(caller, "search", ["/bin/true"], name="Page 13")
    failed = await _create(caller, "search", ["/bin/false"])
    for task in (page, other, failed):
        request = pb.WaitTaskRequest(id=task, timeout=Duration(seconds=15))
        await caller.call("WaitTask", request)
    error = (await caller.call("GetTask", pb.GetTaskRequest(id=failed))).task.error
    for text, expected in (
        ("page", [other, page]),
        ("PAGE 12", [page]),
        ("team=mail", [page]),
        ("true page", [other, page]),
        (failed, [failed]),
        (failed[-12:], [failed]),
        (error.type, [failed]),
        ("page 14", []),
    ):
        assert await _found(caller, text, queue="search") == expected, text
        assert await _found(caller, text, queue="search", page_size=1) == expected, text
    states = [t.TASK_STATE_FAILED]
    assert await _found(caller, "page", queue="search", states=states) == []


async def test_a_page_token_belongs_to_its_text(caller: Caller) -> None:
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="pages")))
    for _ in range(2):
        await _create(caller, "pages", ["/bin/true"], name="same")
    request = pb.ListTasksRequest(queue="pages", text="same", page_size=1)
    token = (await caller.call("ListTasks", request)).next_page_token
    with pytest.raises(Refused) as answer:
        await caller.call(
            "ListTasks", pb.ListTasksRequest(queue="pages", text="other", page_token=token)
        )
    assert answer.value.reason == "STALE_PAGE_TOKEN"


async def test_a_text_that_is_too_long_is_refused(caller: Caller) -> None:
    with pytest.raises(Refused) as answer:
        await caller.call("ListTasks", pb.ListTasksRequest(text="x" * 257))
    assert answer.value.metadata["field"] == "text"
    assert answer.value.metadata["limit"] == "256"
