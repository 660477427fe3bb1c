"""What each call about tasks promises, on a served cluster with one node."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from quorate.v1.scheduler_pb2_grpc import SchedulerStub
from tests.support.served import Caller, Refused, caller_of_served, served_by
from tests.support.tls import open_aio

_queues = count(1)


served = served_by(nodes=1)
caller = caller_of_served


async def new_queue(caller: Caller, *, paused: bool = False) -> str:
    """A queue of the test's own."""
    name = f"q{next(_queues)}"
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name=name)))
    if paused:
        await caller.call("PauseQueue", pb.PauseQueueRequest(name=name))
    return name


def command(*argv: str, **more: Any) -> t.TaskSpec:
    return t.TaskSpec(command=t.CommandWork(argv=argv or ("true",)), **more)


async def create(caller: Caller, queue: str, spec: t.TaskSpec | None = None) -> str:
    request = pb.CreateTaskRequest(queue=queue, spec=spec or command())
    return str((await caller.call("CreateTask", request)).task.id)


async def finished(caller: Caller, task: str) -> t.Task:
    request = pb.WaitTaskRequest(id=task, timeout=Duration(seconds=15))
    found: t.Task = (await caller.call("WaitTask", request)).task
    assert found.state >= t.TASK_STATE_SUCCEEDED, found
    return found


async def pages(caller: Caller, **request: Any) -> list[list[t.Task]]:
    """All pages of a list."""
    found, token = [], ""
    while True:
        answer = await caller.call("ListTasks", pb.ListTasksRequest(page_token=token, **request))
        found.append(list(answer.tasks))
        token = answer.next_page_token
        if not token:
            return found


async def test_a_list_is_newest_first_over_all_queues_and_states(caller: Caller) -> None:
    paused, open_ = await new_queue(caller, paused=True), await new_queue(caller)
    made = []
    for queue in (paused, open_, paused, open_, open_):
        made.append(await create(caller, queue))
    for task in (made[1], made[3], made[4]):
        await finished(caller, task)
    durations = (await caller.call("GetQueue", pb.GetQueueRequest(name=open_))).queue.durations
    assert (durations.waits, durations.runs) == (3, 3)
    for half, most in (
        (durations.wait_p50, durations.wait_p99),
        (durations.run_p50, durations.run_p99),
    ):
        assert 0 < half.ToNanoseconds() <= most.ToNanoseconds()
    await caller.call("CancelTask", pb.CancelTaskRequest(id=made[2]))
    newest_first = made[::-1]
    listed = [task.id for page in await pages(caller, page_size=2) for task in page]
    assert listed[:5] == newest_first
    one = await pages(caller, queue=paused, page_size=1)
    assert [[task.id for task in page] for page in one if page] == [[made[2]], [made[0]]]
    done = await pages(caller, queue=open_, states=[t.TASK_STATE_SUCCEEDED])
    assert [task.id for page in done for task in page] == [made[4], made[3], made[1]]
    states = [t.TASK_STATE_PENDING, t.TASK_STATE_CANCELLED]
    both = [task for page in await pages(caller, queue=paused, states=states) for task in page]
    assert [(task.id, task.state) for task in both] == [
        (made[2], t.TASK_STATE_CANCELLED),
        (made[0], t.TASK_STATE_PENDING),
    ]
    none = await pages(caller, queue=paused, states=[t.TASK_STATE_RUNNING])
    assert [task for page in none for task in page] == []


async def test_pages_hold_what_stays_once_while_tasks_come_and_go(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    specs = [command() for _ in range(40)]
    made = list(
        (
            await caller.call(
                "BatchCreateTasks", pb.BatchCreateTasksRequest(queue=queue, specs=specs)
            )
        ).ids
    )
    seen, token = [], ""
    for turn in count():
        request = pb.ListTasksRequest(queue=queue, page_size=7, page_token=token)
        answer = await caller.call("ListTasks", request)
        seen += [task.id for task in answer.tasks]
        token = answer.next_page_token
        if not token:
            break
        # One comes, one that was seen goes, one that was not seen goes.
        await create(caller, queue)
        for gone in (seen[-1], made[turn]):
            await caller.call("CancelTask", pb.CancelTaskRequest(id=gone))
            await caller.call("DeleteTask", pb.DeleteTaskRequest(id=gone))
    removed = set(made[:turn])
    assert seen == [task for task in reversed(made) if task not in removed]


async def test_a_page_token_of_another_list_is_stale(caller: Caller) -> None:
    queue, other = await new_queue(caller, paused=True), await new_queue(caller)
    for _ in range(3):
        await create(caller, queue)
    request = pb.ListTasksRequest(queue=queue, page_size=1)
    token = (await caller.call("ListTasks", request)).next_page_token
    assert token
    for method, bad in (
        ("ListTasks", pb.ListTasksRequest(queue=other, page_token=token)),
        ("ListTasks", pb.ListTasksRequest(page_token=token)),
        (
            "ListTasks",
            pb.ListTasksRequest(queue=queue, states=[t.TASK_STATE_PENDING], page_token=token),
        ),
        ("ListQueues", pb.ListQueuesRequest(page_token=token)),
        ("ListNodes", pb.ListNodesRequest(page_token=token)),
    ):
        with pytest.raises(Refused) as answer:
            await caller.call(method, bad)
        assert answer.value.reason == "STALE_PAGE_TOKEN"
        assert answer.value.fields == ["page_token"]
    # The size of the page may change on the way, and the page the token came from may be gone.
    request = pb.ListTasksRequest(queue=queue, page_size=1_000, page_token=token)
    assert len((await caller.call("ListTasks", request)).tasks) == 2


async def test_views(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    spec = command("echo", "x", labels={"a": "b"}, priority=3)
    task = await create(caller, queue, spec)
    default = (await caller.call("GetTask", pb.GetTaskRequest(id=task))).task
    full = (await caller.call("GetTask", pb.GetTaskRequest(id=task, view=t.TASK_VIEW_FULL))).task
    basic = (await caller.call("GetTask", pb.GetTaskRequest(id=task, view=t.TASK_VIEW_BASIC))).task
    assert default == full
    assert list(full.spec.command.argv) == ["echo", "x"]
    assert basic.spec.WhichOneof("work") is None
    assert (basic.spec.name, basic.spec.priority, dict(basic.spec.labels)) == (
        "echo",
        3,
        {"a": "b"},
    )
    (listed,) = (await pages(caller, queue=queue))[0]
    assert listed == basic
    ((listed,),) = await pages(caller, queue=queue, view=t.TASK_VIEW_FULL)
    assert listed == full
    at_once = pb.WaitTaskRequest(id=task, timeout=Duration())
    assert (await caller.call("WaitTask", at_once)).task == basic
    at_once.view = t.TASK_VIEW_FULL
    assert (await caller.call("WaitTask", at_once)).task == full


async def test_a_wait_ends_with_its_time_or_with_the_task(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    task = await create(caller, queue)
    request = pb.WaitTaskRequest(id=task, timeout=Duration(nanos=30_000_000))
    assert (await caller.call("WaitTask", request)).task.state == t.TASK_STATE_PENDING
    waiting = asyncio.create_task(finished(caller, task))
    await caller.call("WaitTask", request)
    await caller.call("ResumeQueue", pb.ResumeQueueRequest(name=queue))
    assert (await waiting).state == t.TASK_STATE_SUCCEEDED
    assert (await finished(caller, task)).result.exit_code == 0


async def test_cancelling_and_its_repeats(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    task = await create(caller, queue)
    cancel = pb.CancelTaskRequest(id=task, request_id=f"cancel {task}")
    assert (await caller.call("CancelTask", cancel)).task.state == t.TASK_STATE_CANCELLED
    before = await caller.dump()
    assert (await caller.call("CancelTask", cancel)).task.state == t.TASK_STATE_CANCELLED
    again = pb.CancelTaskRequest(id=task)
    assert (await caller.call("CancelTask", again)).task.state == t.TASK_STATE_CANCELLED
    assert await caller.dump() == before
    # The repeat of a call that was done does not cancel what was retried since.
    await caller.call("RetryTask", pb.RetryTaskRequest(id=task))
    assert (await caller.call("CancelTask", cancel)).task.state == t.TASK_STATE_PENDING


async def test_cancelling_what_runs_ends_it(caller: Caller) -> None:
    task = await create(caller, "default", command("sleep", "60"))
    stream = caller.stub.WatchTasks(pb.WatchTasksRequest(ids=[task]), timeout=15)
    async for answer in stream:
        if any(event.task.state == t.TASK_STATE_RUNNING for event in answer.events):
            break
    asked = (await caller.call("CancelTask", pb.CancelTaskRequest(id=task))).task
    # The attempt may have ended before this was answered.
    assert asked.state in (t.TASK_STATE_RUNNING, t.TASK_STATE_CANCELLED)
    assert asked.cancel_requested
    assert (await finished(caller, task)).state == t.TASK_STATE_CANCELLED
    stream.cancel()


async def test_what_succeeded_is_not_cancelled(caller: Caller) -> None:
    task = await create(caller, "default")
    await finished(caller, task)
    before = await caller.dump()
    with pytest.raises(Refused) as answer:
        await caller.call("CancelTask", pb.CancelTaskRequest(id=task))
    assert answer.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (answer.value.reason, answer.value.metadata) == ("TASK_FINISHED", {"task": task})
    with pytest.raises(Refused) as answer:
        await caller.call("RetryTask", pb.RetryTaskRequest(id=task))
    assert answer.value.reason == "TASK_NOT_RETRIABLE"
    assert await caller.dump() == before


async def test_retrying_and_its_repeats(caller: Caller) -> None:
    task = await create(caller, "default", command("false"))
    assert (await finished(caller, task)).error.type == "EXIT_CODE"
    retry = pb.RetryTaskRequest(id=task, request_id=f"retry {task}")
    await caller.call("RetryTask", retry)
    second = await finished(caller, task)
    assert (second.state, second.attempt) == (t.TASK_STATE_FAILED, 2)
    before = await caller.dump()
    assert (await caller.call("RetryTask", retry)).task.attempt == 2
    assert await caller.dump() == before
    await caller.call("DeleteTask", pb.DeleteTaskRequest(id=task))
    before = await caller.dump()
    # Its first answer, or what is left of it.
    assert (await caller.call("RetryTask", retry)).task.id == task
    assert await caller.dump() == before
    with pytest.raises(Refused) as answer:
        await caller.call("RetryTask", pb.RetryTaskRequest(id=task, request_id="another"))
    assert answer.value.reason == "TASK_NOT_FOUND"


async def test_deleting_and_its_repeats(caller: Caller) -> None:
    task = await create(caller, "default")
    await finished(caller, task)
    delete = pb.DeleteTaskRequest(id=task, request_id=f"delete {task}")
    await caller.call("DeleteTask", delete)
    before = await caller.dump()
    assert not [key for key in before if key.endswith(task.encode())]
    await caller.call("DeleteTask", delete)
    assert await caller.dump() == before
    for method in ("GetTask", "CancelTask", "DeleteTask", "RetryTask", "WaitTask"):
        with pytest.raises(Refused) as answer:
            await caller.call(method, getattr(pb, f"{method}Request")(id=task))
        assert (answer.value.code, answer.value.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "TASK_NOT_FOUND",
        )


async def test_creating_and_its_repeats(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    one = pb.CreateTaskRequest(queue=queue, spec=command(), request_id="one")
    first = (await caller.call("CreateTask", one)).task
    assert not first.HasField("spec")
    many = pb.BatchCreateTasksRequest(queue=queue, specs=[command()] * 300, request_id="many")
    ids = list((await caller.call("BatchCreateTasks", many)).ids)
    assert ids == sorted(set(ids))
    before = await caller.dump()
    assert (await caller.call("CreateTask", one)).task == first
    assert list((await caller.call("BatchCreateTasks", many)).ids) == ids
    assert await caller.dump() == before
    # An empty queue name means `default`: the scope of a request id is the queue.
    counts = (await caller.call("GetQueue", pb.GetQueueRequest(name=queue))).queue.counts
    assert counts.pending == 301


async def test_a_task_for_later_is_scheduled(caller: Caller) -> None:
    later = Timestamp(seconds=4_000_000_000)
    with pytest.raises(Refused):
        await create(caller, "default", command(not_before=later))
    later.GetCurrentTime()
    later.seconds += 3_600
    request = pb.CreateTaskRequest(spec=command(not_before=later))
    made = (await caller.call("CreateTask", request)).task
    assert made.state == t.TASK_STATE_SCHEDULED
    assert made.schedule_time.seconds == later.seconds
    found = (await caller.call("GetTask", pb.GetTaskRequest(id=made.id))).task
    assert (found.state, found.schedule_time) == (made.state, made.schedule_time)
    await caller.call("CancelTask", pb.CancelTaskRequest(id=made.id))


ATTEMPT_FAULTS = [
    (t.PythonWork(entrypoint="no_such_module:f"), "ENTRYPOINT_NOT_FOUND"),
    (t.PythonWork(entrypoint="json:no_such_function"), "ENTRYPOINT_NOT_FOUND"),
    (t.PythonWork(entrypoint="json:decoder.no.such"), "ENTRYPOINT_NOT_FOUND"),
    (t.PythonWork(entrypoint="math:pi"), "ENTRYPOINT_NOT_CALLABLE"),
    (t.PythonWork(entrypoint="math:sqrt", pickle=b"not a pickle"), "ARGUMENTS_NOT_READABLE"),
    (t.PythonWork(pickle=b"\x80\x05K\x01."), "ARGUMENTS_NOT_READABLE"),
    (t.PythonWork(entrypoint="builtins:object"), "RESULT_NOT_SERIALISABLE"),
    (t.PythonWork(entrypoint="math:sqrt", json="[-1]"), "ValueError"),
    (t.PythonWork(entrypoint="math:sqrt", json='["x"]'), "TypeError"),
    (t.PythonWork(entrypoint="builtins:str.center", json='["x", 2000000]'), "RESULT_TOO_LARGE"),
]


@pytest.mark.parametrize(("work", "kind"), ATTEMPT_FAULTS, ids=range(len(ATTEMPT_FAULTS)))
async def test_what_cannot_be_called_fails_its_attempt_with_a_type(
    caller: Caller, work: t.PythonWork, kind: str
) -> None:
    task = await finished(caller, await create(caller, "default", t.TaskSpec(python=work)))
    assert (task.state, task.error.type) == (t.TASK_STATE_FAILED, kind)
    assert task.error.message


@pytest.mark.parametrize(
    "work",
    [
        t.CommandWork(argv=["/no/such/program"]),
        t.CommandWork(argv=["/"]),
        t.CommandWork(argv=["true"], cwd="/no/such/folder"),
        t.CommandWork(argv=["true", "x" * 200_000]),
        t.CommandWork(argv=["true"], env={"A": "x" * 200_000}),
    ],
    ids=["missing", "a folder", "no cwd", "argument too long", "environment too long"],
)
async def test_a_program_that_cannot_be_started_says_so(
    caller: Caller, work: t.CommandWork
) -> None:
    task = await finished(caller, await create(caller, "default", t.TaskSpec(command=work)))
    assert (task.state, task.error.type) == (t.TASK_STATE_FAILED, "NOT_STARTED")


async def test_a_client_as_grpc_makes_it_lists_large_specs_and_results(caller: Caller) -> None:
    queue = await new_queue(caller)
    text = "x" * 120_000
    work = t.PythonWork(entrypoint="operator:add", json=f'["{text}", "{text}"]')
    specs = [t.TaskSpec(python=work)] * 20
    batch = pb.BatchCreateTasksRequest(queue=queue, specs=specs)
    made = (await caller.call("BatchCreateTasks", batch)).ids
    for task in made:
        await finished(caller, task)
    async with open_aio(caller.served.address) as channel:
        stub: Any = SchedulerStub(channel)
        for view in (t.TASK_VIEW_UNSPECIFIED, t.TASK_VIEW_FULL):
            request = pb.ListTasksRequest(queue=queue, view=view)
            listed: list[str] = []
            while True:
                page = await stub.ListTasks(request, timeout=60)
                listed += [task.id for task in page.tasks if len(task.result.json) > 240_000]
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break
            assert listed == sorted(made, reverse=True)


async def test_a_run_longer_than_its_timeout_fails(caller: Caller) -> None:
    spec = command("sleep", "60", timeout=Duration(nanos=200_000_000))
    task = await finished(caller, await create(caller, "default", spec))
    assert (task.state, task.error.type) == (t.TASK_STATE_FAILED, "TIMEOUT")
