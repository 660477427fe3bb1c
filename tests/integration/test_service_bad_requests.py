"""Every field of every RPC but specs, out of its bounds: the code, who is to blame, no change."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.bad_requests import (
    HUGE,
    INVALID,
    LONG,
    LONG_ID,
    NO_TASK,
    NOT_FOUND,
    command,
    refused,
    refused_field,
    second,
)
from tests.support.served import Caller, Refused, caller_of_served, served_by

served = served_by()
caller = caller_of_served

BAD_NAMES = ["UPPER", "a/b", "../x", ".dot", "-dash", "sp ace", "a" * 65, "a\n", "a\0", "ä", "_x"]
BY_QUEUE_NAME = [
    ("CreateTask", "queue", pb.CreateTaskRequest(spec=command())),
    ("BatchCreateTasks", "queue", pb.BatchCreateTasksRequest(specs=[command()])),
    ("ListTasks", "queue", pb.ListTasksRequest()),
    ("WatchTasks", "queue", pb.WatchTasksRequest()),
    ("GetQueue", "name", pb.GetQueueRequest()),
    ("DeleteQueue", "name", pb.DeleteQueueRequest()),
    ("PauseQueue", "name", pb.PauseQueueRequest()),
    ("ResumeQueue", "name", pb.ResumeQueueRequest()),
]
QUEUE_IDS = [method for method, _, _ in BY_QUEUE_NAME]


@pytest.mark.parametrize(("method", "name", "request_"), BY_QUEUE_NAME, ids=QUEUE_IDS)
@pytest.mark.parametrize("queue", BAD_NAMES, ids=ascii)
async def test_a_queue_name_that_cannot_be(
    caller: Caller, method: str, name: str, request_: Message, queue: str
) -> None:
    setattr(request_, name, queue)
    await refused_field(caller, method, request_, name)


@pytest.mark.parametrize("queue", ["", *BAD_NAMES], ids=ascii)
async def test_a_queue_cannot_be_created_under_such_a_name(caller: Caller, queue: str) -> None:
    request = pb.CreateQueueRequest(queue=q.Queue(name=queue))
    await refused_field(caller, "CreateQueue", request, "queue.name")


@pytest.mark.parametrize(("method", "name", "request_"), BY_QUEUE_NAME, ids=QUEUE_IDS)
async def test_an_unknown_queue_is_not_found(
    caller: Caller, method: str, name: str, request_: Message
) -> None:
    setattr(request_, name, "nowhere")
    error = await refused(caller, method, request_)
    assert (error.code, error.reason) == (NOT_FOUND, "QUEUE_NOT_FOUND")
    assert error.metadata == {"queue": "nowhere"}


BY_ID = [
    ("GetTask", "id", "task", pb.GetTaskRequest()),
    ("WaitTask", "id", "task", pb.WaitTaskRequest()),
    ("CancelTask", "id", "task", pb.CancelTaskRequest(request_id="unused")),
    ("RetryTask", "id", "task", pb.RetryTaskRequest(request_id="unused")),
    ("DeleteTask", "id", "task", pb.DeleteTaskRequest(request_id="unused")),
    ("StreamTaskLogs", "id", "task", pb.StreamTaskLogsRequest(follow=True)),
    ("GetNode", "name", "node", pb.GetNodeRequest()),
    ("CordonNode", "name", "node", pb.CordonNodeRequest(request_id="unused")),
    ("UncordonNode", "name", "node", pb.UncordonNodeRequest(request_id="unused")),
    ("DrainNode", "name", "node", pb.DrainNodeRequest(request_id="unused")),
]
METHOD_IDS = [method for method, _, _, _ in BY_ID]
STRANGE = [NO_TASK, "x", "../head", "a/b", "\0", "\u00e4\U0001f600", "\U000e0001" * 256, "%s%n"]


@pytest.mark.parametrize(("method", "name", "kind", "request_"), BY_ID, ids=METHOD_IDS)
@pytest.mark.parametrize("wanted", STRANGE, ids=range(len(STRANGE)))
async def test_what_does_not_exist_is_not_found(
    caller: Caller, method: str, name: str, kind: str, request_: Message, wanted: str
) -> None:
    setattr(request_, name, wanted)
    error = await refused(caller, method, request_)
    assert (error.code, error.reason) == (NOT_FOUND, f"{kind.upper()}_NOT_FOUND")
    assert error.metadata == {kind: wanted}


@pytest.mark.parametrize(("method", "name", "kind", "request_"), BY_ID, ids=METHOD_IDS)
@pytest.mark.parametrize("wanted", ["", LONG_ID], ids=["empty", "too long"])
async def test_an_id_that_cannot_be(
    caller: Caller, method: str, name: str, kind: str, request_: Message, wanted: str
) -> None:
    setattr(request_, name, wanted)
    await refused_field(caller, method, request_, name)


@pytest.mark.parametrize(("method", "name"), [(m, n) for m, n, _ in BY_QUEUE_NAME[4:]])
async def test_a_queue_must_be_named(caller: Caller, method: str, name: str) -> None:
    request = getattr(pb, f"{method}Request")()
    await refused_field(caller, method, request, name)


PAGED = ["ListTasks", "ListQueues", "ListNodes"]


@pytest.mark.parametrize("method", PAGED)
@pytest.mark.parametrize("size", [-1, 1_001, 10**9, -(2**31), 2**31 - 1])
async def test_a_page_size_out_of_bounds(caller: Caller, method: str, size: int) -> None:
    request = getattr(pb, f"{method}Request")(page_size=size)
    error = await refused_field(caller, method, request, "page_size")
    limit = "1" if size < 0 else "1000"
    assert (error.metadata["limit"], error.metadata["value"]) == (limit, str(size))


GARBAGE = [
    "x",
    "====",
    "bm8=",
    "W10=",
    "e30=",
    "bnVsbA==",
    "WzEsMiwzXQ==",
    "\U0001f600",
    "A" * 9_999,
]


@pytest.mark.parametrize("method", PAGED)
@pytest.mark.parametrize("token", GARBAGE, ids=range(len(GARBAGE)))
async def test_a_page_token_that_is_not_ours(caller: Caller, method: str, token: str) -> None:
    request = getattr(pb, f"{method}Request")(page_token=token)
    error = await refused_field(caller, method, request, "page_token")
    assert error.reason == "STALE_PAGE_TOKEN"


@pytest.mark.parametrize(
    "token", [*GARBAGE, "MS4=", "LTEuMA==", "MS4tMQ==", "MC41", "MS45OTk5OTk5OTk5"]
)
async def test_a_resume_token_that_is_not_ours(caller: Caller, token: str) -> None:
    request = pb.WatchTasksRequest(resume_token=token)
    await refused_field(caller, "WatchTasks", request, "resume_token")


@pytest.mark.parametrize("method", ["ListTasks", "WatchTasks"])
@pytest.mark.parametrize("state", [0, -1, 10, 2**31 - 1])
async def test_a_state_that_is_none(caller: Caller, method: str, state: Any) -> None:
    request = getattr(pb, f"{method}Request")(states=[t.TASK_STATE_PENDING, state])
    await refused_field(caller, method, request, "states")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetTask", pb.GetTaskRequest(id=NO_TASK)),
        ("ListTasks", pb.ListTasksRequest()),
        ("WaitTask", pb.WaitTaskRequest(id=NO_TASK)),
    ],
)
@pytest.mark.parametrize("view", [-1, 3, 2**31 - 1])
async def test_a_view_that_is_none(caller: Caller, method: str, request_: Any, view: Any) -> None:
    request_.view = view
    await refused_field(caller, method, request_, "view")


async def test_too_many_watched_ids(caller: Caller) -> None:
    request = pb.WatchTasksRequest(ids=[NO_TASK] * 10_001)
    error = await refused_field(caller, "WatchTasks", request, "ids")
    assert error.metadata["limit"] == "10000"


@pytest.mark.parametrize("bad", ["", LONG_ID], ids=["empty", "too long"])
async def test_a_watched_id_that_cannot_be(caller: Caller, bad: str) -> None:
    request = pb.WatchTasksRequest(ids=[NO_TASK, bad])
    await refused_field(caller, "WatchTasks", request, "ids[1]")


BAD_WAITS = [second(-1), second(3_601), second(0, -1), HUGE, second(-(2**62))]


@pytest.mark.parametrize("timeout", BAD_WAITS, ids=range(len(BAD_WAITS)))
async def test_a_wait_out_of_bounds(caller: Caller, timeout: Duration) -> None:
    request = pb.WaitTaskRequest(id=NO_TASK, timeout=timeout)
    error = await refused_field(caller, "WaitTask", request, "timeout")
    assert error.metadata["limit"] == ("3600.0" if timeout.seconds > 0 else "0")


@pytest.mark.parametrize("grace", [second(-1), second(86_401), HUGE], ids=range(3))
async def test_a_drain_grace_out_of_bounds(caller: Caller, grace: Duration) -> None:
    request = pb.DrainNodeRequest(name="n", grace=grace)
    error = await refused_field(caller, "DrainNode", request, "grace")
    assert error.metadata["limit"] == ("86400.0" if grace.seconds > 0 else "0")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempt", -1),
        ("offset", -1),
        ("offset", 2**63 - 1),
        ("tail_lines", -1),
        ("tail_lines", 100_001),
        ("head_lines", -1),
        ("head_lines", 100_001),
        ("stdout_from", -1),
        ("stderr_until", -1),
    ],
)
async def test_log_bounds(caller: Caller, name: str, value: int) -> None:
    request = pb.StreamTaskLogsRequest(id=NO_TASK)
    setattr(request, name, value)
    await refused_field(caller, "StreamTaskLogs", request, name)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("head_lines", {"head_lines": 1, "tail_lines": 1}),
        ("head_lines", {"head_lines": 1, "follow": True}),
        ("stdout_until", {"stdout_until": 1, "follow": True}),
        ("stderr_until", {"stderr_until": 1, "stderr_from": 2}),
    ],
)
async def test_what_does_not_fit_together_of_a_log(
    caller: Caller, name: str, asked: dict[str, Any]
) -> None:
    request = pb.StreamTaskLogsRequest(id=NO_TASK, **asked)
    await refused_field(caller, "StreamTaskLogs", request, name)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("id", {"id": ""}),
        ("text", {"text": ""}),
        ("text", {"text": "x" * 257}),
        ("text", {"text": "a\nb"}),
        ("attempt", {"attempt": -1}),
        ("stdout_from", {"stdout_from": -1}),
        ("stderr_from", {"stderr_from": -1}),
        ("max_matches", {"max_matches": -1}),
        ("max_matches", {"max_matches": 1_001}),
    ],
)
async def test_bounds_of_a_search_in_a_log(
    caller: Caller, name: str, asked: dict[str, Any]
) -> None:
    request = pb.SearchTaskLogsRequest(**{"id": NO_TASK, "text": "x", **asked})
    await refused_field(caller, "SearchTaskLogs", request, name)


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("queue.placement", q.Queue(name="a", placement=7)),  # type: ignore[arg-type]
        ("queue.placement", q.Queue(name="a", placement=-1)),  # type: ignore[arg-type]
        ("queue.disconnect", q.Queue(name="a", disconnect=3)),  # type: ignore[arg-type]
        ("queue.retention.age", q.Queue(name="a", retention=q.Retention(age=second(0)))),
        ("queue.retention.age", q.Queue(name="a", retention=q.Retention(age=second(0, 9)))),
        ("queue.retention.age", q.Queue(name="a", retention=q.Retention(age=second(-5)))),
        ("queue.retention.age", q.Queue(name="a", retention=q.Retention(age=HUGE))),
        ("queue.retention.count", q.Queue(name="a", retention=q.Retention(count=-1))),
        ("queue.retention.count", q.Queue(name="a", retention=q.Retention(count=10**6 + 1))),
    ],
)
async def test_bad_queue_settings(caller: Caller, name: str, queue: q.Queue) -> None:
    await refused_field(caller, "CreateQueue", pb.CreateQueueRequest(queue=queue), name)


MUTATING = [
    ("CreateTask", pb.CreateTaskRequest(spec=command())),
    ("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[command()])),
    ("CancelTask", pb.CancelTaskRequest(id=NO_TASK)),
    ("CancelTasks", pb.CancelTasksRequest(ids=[NO_TASK])),
    ("RetryTask", pb.RetryTaskRequest(id=NO_TASK)),
    ("DeleteTask", pb.DeleteTaskRequest(id=NO_TASK)),
    ("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="new"))),
    ("DeleteQueue", pb.DeleteQueueRequest(name="default")),
    ("PauseQueue", pb.PauseQueueRequest(name="default")),
    ("ResumeQueue", pb.ResumeQueueRequest(name="default")),
    ("CordonNode", pb.CordonNodeRequest(name="n")),
    ("UncordonNode", pb.UncordonNodeRequest(name="n")),
    ("DrainNode", pb.DrainNodeRequest(name="n")),
]


@pytest.mark.parametrize(("method", "request_"), MUTATING, ids=[m for m, _ in MUTATING])
async def test_a_request_id_that_is_too_long(caller: Caller, method: str, request_: Any) -> None:
    request_.request_id = LONG
    error = await refused_field(caller, method, request_, "request_id")
    assert (error.metadata["limit"], error.metadata["value"]) == ("128", "129")


@pytest.mark.parametrize("request_id", ["plain", "\U0001f600" * 128, "a/b\0\n"], ids=range(3))
async def test_a_request_id_used_for_something_else_is_refused(
    caller: Caller, request_id: str
) -> None:
    first = pb.CreateTaskRequest(spec=command(), request_id=request_id)
    await caller.call("CreateTask", first)
    other = pb.CreateTaskRequest(spec=command("false"), request_id=request_id)
    error = await refused_field(caller, "CreateTask", other, "request_id")
    assert error.reason == "REQUEST_ID_REUSED"
    batch = pb.BatchCreateTasksRequest(specs=[command()], request_id=request_id)
    error = await refused_field(caller, "BatchCreateTasks", batch, "request_id")
    assert error.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("first", "first_body", "other", "other_body"),
    [
        ("PauseQueue", {"name": "default"}, "ResumeQueue", {"name": "default"}),
        ("CreateQueue", {"queue": {"name": "one"}}, "CreateQueue", {"queue": {"name": "two"}}),
        ("PauseQueue", {"name": "default"}, "DeleteQueue", {"name": "default"}),
    ],
)
async def test_a_request_id_of_another_queue_call_is_refused(
    caller: Caller,
    first: str,
    first_body: dict[str, Any],
    other: str,
    other_body: dict[str, Any],
) -> None:
    request_id = f"{first}-{other}"
    await caller.call(first, getattr(pb, f"{first}Request")(**first_body, request_id=request_id))
    request = getattr(pb, f"{other}Request")(**other_body, request_id=request_id)
    error = await refused_field(caller, other, request, "request_id")
    assert error.reason == "REQUEST_ID_REUSED"


async def test_duplicate_and_reserved_queue_names(caller: Caller) -> None:
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="taken")))
    request = pb.CreateQueueRequest(queue=q.Queue(name="taken"), request_id="another")
    error = await refused(caller, "CreateQueue", request)
    assert error.code is grpc.StatusCode.ALREADY_EXISTS
    assert (error.reason, error.metadata) == ("QUEUE_ALREADY_EXISTS", {"queue": "taken"})
    request = pb.CreateQueueRequest(queue=q.Queue(name="default"))
    error = await refused(caller, "CreateQueue", request)
    assert error.reason == "QUEUE_ALREADY_EXISTS"


async def test_what_the_state_does_not_allow(caller: Caller) -> None:
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="used")))
    made = await caller.call("CreateTask", pb.CreateTaskRequest(queue="used", spec=command()))
    task = made.task.id
    for method, request, reason, metadata in (
        ("DeleteTask", pb.DeleteTaskRequest(id=task), "TASK_NOT_FINISHED", {"task": task}),
        ("RetryTask", pb.RetryTaskRequest(id=task), "TASK_NOT_RETRIABLE", {"task": task}),
        ("DeleteQueue", pb.DeleteQueueRequest(name="used"), "QUEUE_NOT_EMPTY", {"queue": "used"}),
    ):
        error = await refused(caller, method, request)
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (error.reason, error.metadata) == (reason, metadata)


@pytest.mark.parametrize(
    "method",
    [m for m, _ in MUTATING]
    + [m for m, _, _, _ in BY_ID[:2]]
    + ["WatchTasks", "StreamTaskLogs", "GetQueue"],
)
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\x0a" * 7])
async def test_malformed_bytes_on_the_wire(caller: Caller, method: str, body: bytes) -> None:
    before = await caller.dump()
    # The stubs of grpc ask for serializers, without which it sends and answers bytes.
    channel: Any = caller.channel
    streams = method in ("WatchTasks", "StreamTaskLogs")
    open_call = channel.unary_stream if streams else channel.unary_unary
    call = open_call(f"/quorate.v1.Scheduler/{method}")(body, timeout=60)
    with pytest.raises(grpc.aio.AioRpcError) as answer:
        await (call.read() if streams else call)
    error = Refused(answer.value)
    assert (error.code, error.reason) == (INVALID, "MALFORMED_REQUEST")
    assert error.metadata == {"method": method}
    assert await caller.dump() == before


async def test_a_method_that_is_none(caller: Caller) -> None:
    channel: Any = caller.channel
    for path in ("/quorate.v1.Scheduler/Nothing", "/quorate.v2.Scheduler/GetTask"):
        with pytest.raises(grpc.aio.AioRpcError) as answer:
            await channel.unary_unary(path)(b"", timeout=60)
        assert answer.value.code() is grpc.StatusCode.UNIMPLEMENTED
