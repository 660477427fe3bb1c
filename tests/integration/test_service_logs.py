"""StreamTaskLogs: from before the first attempt to the end, whatever becomes of the task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Refused, caller_of_served, served_by

served = served_by(nodes=1)
caller = caller_of_served


@pytest_asyncio.fixture
async def held(caller: Caller) -> AsyncIterator[str]:
    """A queue that is paused."""
    request = pb.CreateQueueRequest(queue=q.Queue(name="held"), request_id="held")
    await caller.call("CreateQueue", request)
    await caller.call("PauseQueue", pb.PauseQueueRequest(name="held"))
    yield "held"


async def create(caller: Caller, queue: str, *argv: str) -> str:
    spec = t.TaskSpec(command=t.CommandWork(argv=argv))
    return str(
        (await caller.call("CreateTask", pb.CreateTaskRequest(queue=queue, spec=spec))).task.id
    )


async def logs(caller: Caller, task: str, **more: Any) -> dict[int, bytes]:
    """All output by stream."""
    found: dict[int, bytes] = {}
    for answer in await caller.call("StreamTaskLogs", pb.StreamTaskLogsRequest(id=task, **more)):
        chunk = answer.chunk
        assert chunk.offset >= len(found.get(chunk.stream, b""))
        found[chunk.stream] = found.get(chunk.stream, b"") + chunk.data
    return found


async def settle(caller: Caller) -> None:
    """Let what was sent before be received: a call that goes the same way."""
    for _ in range(3):
        await caller.call("GetCluster", pb.GetClusterRequest())


async def test_followed_from_before_the_first_attempt_to_the_end(caller: Caller, held: str) -> None:
    task = await create(caller, held, "sh", "-c", "echo one; echo two >&2; echo three")
    following = asyncio.create_task(logs(caller, task, follow=True))
    await settle(caller)
    await caller.call("ResumeQueue", pb.ResumeQueueRequest(name=held))
    expected = {pb.LOG_STREAM_STDOUT: b"one\nthree\n", pb.LOG_STREAM_STDERR: b"two\n"}
    assert await following == expected
    assert await logs(caller, task) == expected
    assert await logs(caller, task, tail_lines=1) == {
        pb.LOG_STREAM_STDOUT: b"three\n",
        pb.LOG_STREAM_STDERR: b"two\n",
    }


async def test_followed_at_once_however_close_the_assignment(caller: Caller) -> None:
    for number in range(25):
        task = await create(caller, "default", "echo", str(number))
        assert await logs(caller, task, follow=True) == {1: f"{number}\n".encode()}


async def test_following_ends_when_the_task_is_cancelled_before_it_ran(
    caller: Caller, held: str
) -> None:
    task = await create(caller, held, "true")
    following = asyncio.create_task(logs(caller, task, follow=True))
    await settle(caller)
    await caller.call("CancelTask", pb.CancelTaskRequest(id=task))
    with pytest.raises(Refused) as answer:
        await following
    assert answer.value.code is grpc.StatusCode.NOT_FOUND
    assert answer.value.reason == "ATTEMPT_NOT_FOUND"


async def test_a_task_retried_by_hand_is_followed_in_its_next_attempt(
    caller: Caller, held: str
) -> None:
    task = await create(caller, held, "sh", "-c", "echo out; exit 3")
    await caller.call("ResumeQueue", pb.ResumeQueueRequest(name=held))
    assert await logs(caller, task, follow=True) == {1: b"out\n"}
    await caller.call("WaitTask", pb.WaitTaskRequest(id=task))
    await caller.call("PauseQueue", pb.PauseQueueRequest(name=held))
    await caller.call("RetryTask", pb.RetryTaskRequest(id=task))
    following = asyncio.create_task(logs(caller, task, follow=True, attempt=2))
    await settle(caller)
    await caller.call("ResumeQueue", pb.ResumeQueueRequest(name=held))
    assert await following == {1: b"out\n"}


async def test_attempts_that_are_not_on_record(caller: Caller, held: str) -> None:
    waiting = await create(caller, held, "true")
    ran = await create(caller, "default", "true")
    await caller.call("WaitTask", pb.WaitTaskRequest(id=ran))
    for task, more in (
        (waiting, {}),
        (waiting, {"attempt": 1}),
        (waiting, {"attempt": 2, "follow": True}),
        (ran, {"attempt": 2}),
        (ran, {"attempt": 2**31 - 1, "follow": True}),
    ):
        with pytest.raises(Refused) as answer:
            await logs(caller, task, **more)
        assert answer.value.code is grpc.StatusCode.NOT_FOUND
        assert answer.value.reason == "ATTEMPT_NOT_FOUND"
        assert answer.value.metadata["task"] == task
    assert await logs(caller, ran) == {}


async def test_parts_of_a_log_and_a_text_in_it(caller: Caller) -> None:
    script = "for n in 1 2 3 4; do echo out $n; echo err $n >&2; done"
    task = await create(caller, "default", "sh", "-c", script)
    await caller.call("WaitTask", pb.WaitTaskRequest(id=task))
    request = pb.StreamTaskLogsRequest(id=task, tail_lines=1, with_extent=True)
    first, *rest = await caller.call("StreamTaskLogs", request)
    extent = first.extent
    assert (extent.node, extent.attempt) == ("n1", 1)
    assert [one.lines_before for one in (extent.stdout, extent.stderr)] == [3, 3]
    assert sorted(one.chunk.data for one in rest) == [b"err 4\n", b"out 4\n"]
    earlier = {"stdout_until": extent.stdout.begin, "stderr_until": extent.stderr.begin}
    assert await logs(caller, task, head_lines=1) == {1: b"out 1\n", 2: b"err 1\n"}
    request = pb.StreamTaskLogsRequest(id=task, tail_lines=2, **earlier)
    found = await caller.call("StreamTaskLogs", request)
    assert b"".join(one.chunk.data for one in found if one.chunk.stream == 1) == b"out 2\nout 3\n"
    search = pb.SearchTaskLogsRequest(id=task, text=" 3")
    answer = await caller.call("SearchTaskLogs", search)
    assert [(m.stream, m.line, m.offset) for m in answer.matches] == [
        (pb.LOG_STREAM_STDOUT, b"out 3", 12),
        (pb.LOG_STREAM_STDERR, b"err 3", 12),
    ]
    assert all(match.HasField("time") for match in answer.matches)
    assert (answer.complete, answer.attempt) == (True, 1)
    with pytest.raises(Refused) as refused:
        await caller.call("SearchTaskLogs", pb.SearchTaskLogsRequest(id=task, text="x", attempt=7))
    assert refused.value.reason == "ATTEMPT_NOT_FOUND"
