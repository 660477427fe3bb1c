"""WatchTasks: every version once and in order, from any token on."""

from __future__ import annotations

import base64
from itertools import count, pairwise
from typing import Any

import grpc
import pytest

from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import service_pb2, service_pb2_grpc
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Refused, caller_of_served, calling, serve, served_by

CREATED, UPDATED, DELETED = (
    pb.TaskEvent.KIND_CREATED,
    pb.TaskEvent.KIND_UPDATED,
    pb.TaskEvent.KIND_DELETED,
)
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
_queues = count(1)


served = served_by(nodes=1)
caller = caller_of_served


async def new_queue(caller: Caller, *, paused: bool = False) -> str:
    name = f"q{next(_queues)}"
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name=name)))
    if paused:
        await caller.call("PauseQueue", pb.PauseQueueRequest(name=name))
    return name


async def create(caller: Caller, queue: str, *argv: str) -> str:
    spec = t.TaskSpec(command=t.CommandWork(argv=argv or ("true",)))
    return str(
        (await caller.call("CreateTask", pb.CreateTaskRequest(queue=queue, spec=spec))).task.id
    )


class Watch:
    """A watch that has begun, and what it was told."""

    def __init__(self, caller: Caller, **request: Any) -> None:
        self._call = caller.stub.WatchTasks(pb.WatchTasksRequest(**request), timeout=20)
        self.answers: list[pb.WatchTasksResponse] = []

    async def begin(self) -> Watch:
        first = await self._call.read()
        assert first is not EOF, self._call
        assert not first.events
        assert first.resume_token
        self.answers.append(first)
        return self

    @property
    def events(self) -> list[pb.TaskEvent]:
        return [event for answer in self.answers for event in answer.events]

    async def until(self, size: int) -> list[pb.TaskEvent]:
        """Read until there are so many events; there must not be more."""
        while len(self.events) < size:
            answer = await self._call.read()
            assert answer is not EOF
            assert answer.events, "a keepalive within the time of a test"
            self.answers.append(answer)
        self._call.cancel()
        assert len(self.events) == size
        return self.events


def brief(event: pb.TaskEvent) -> tuple[int, str, int]:
    return event.kind, event.task.id, event.task.state


async def test_the_life_of_a_task_event_by_event(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    watch = await Watch(caller, queue=queue).begin()
    task = await create(caller, queue, "echo", "x")
    await caller.call("ResumeQueue", pb.ResumeQueueRequest(name=queue))
    await caller.call("WaitTask", pb.WaitTaskRequest(id=task))
    await caller.call("DeleteTask", pb.DeleteTaskRequest(id=task))
    events = await watch.until(4)
    assert [brief(event) for event in events] == [
        (CREATED, task, t.TASK_STATE_PENDING),
        (UPDATED, task, t.TASK_STATE_RUNNING),
        (UPDATED, task, t.TASK_STATE_SUCCEEDED),
        (DELETED, task, t.TASK_STATE_UNSPECIFIED),
    ]
    created, running, succeeded, deleted = (event.task for event in events)
    assert created.spec.name == "echo"
    assert created.spec.WhichOneof("work") is None
    assert not running.HasField("spec")
    assert running.attempts[0].node == "n1"
    assert succeeded.result.exit_code == 0
    assert deleted == t.Task(id=task, queue=queue)
    revisions = [event.revision for event in events]
    assert revisions == sorted(revisions)


async def test_lists_and_the_beginning_of_a_watch_say_up_to_which_revision_they_tell(
    caller: Caller,
) -> None:
    queue = await new_queue(caller, paused=True)
    before = await Watch(caller, queue=queue).begin()
    await create(caller, queue)
    registry = service_pb2_grpc.ServiceRegistryStub(caller.channel)
    services = await registry.ListServices(service_pb2.ListServicesRequest(), timeout=20)
    revisions = [
        (await caller.call("ListQueues", pb.ListQueuesRequest())).revision,
        (await caller.call("ListNodes", pb.ListNodesRequest())).revision,
        (await caller.call("GetCluster", pb.GetClusterRequest())).cluster.revision,
        services.revision,
    ]
    after = await Watch(caller, queue=queue).begin()
    await create(caller, queue)
    first, second = [event.revision for event in await before.until(2)]
    assert before.answers[0].revision < first
    for revision in (*revisions, after.answers[0].revision):
        assert first <= revision < second
    ((last,), (answer, *_)) = await after.until(1), after.answers
    assert last.revision == second > answer.revision


async def test_from_each_token_exactly_the_rest_is_told(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    watch = await Watch(caller, queue=queue).begin()
    # Batches put many events into one revision; single calls make a revision each.
    specs = [t.TaskSpec(command=t.CommandWork(argv=["true"]))] * 120
    batch = pb.BatchCreateTasksRequest(queue=queue, specs=specs)
    made = list((await caller.call("BatchCreateTasks", batch)).ids)
    for task in made[:10]:
        await caller.call("CancelTask", pb.CancelTaskRequest(id=task))
    await caller.call("DeleteTask", pb.DeleteTaskRequest(id=made[0]))
    await caller.call("RetryTask", pb.RetryTaskRequest(id=made[1]))
    events = await watch.until(120 + 10 + 1 + 1)
    assert len({(event.kind, event.task.id, event.revision) for event in events}) == len(events)
    told = 0
    for answer in watch.answers:
        told += len(answer.events)
        rest = await Watch(caller, queue=queue, resume_token=answer.resume_token).begin()
        assert rest.answers[0].resume_token == answer.resume_token
        assert await rest.until(len(events) - told) == events[told:]


async def test_a_token_inside_a_revision_goes_on_behind_its_event(caller: Caller) -> None:
    queue = await new_queue(caller, paused=True)
    watch = await Watch(caller, queue=queue).begin()
    specs = [t.TaskSpec(command=t.CommandWork(argv=["true"]))] * 12
    await caller.call("BatchCreateTasks", pb.BatchCreateTasksRequest(queue=queue, specs=specs))
    events = await watch.until(12)
    revision = events[0].revision
    assert {event.revision for event in events} == {revision}
    # Which index in the revision each event has is not for callers to know: try all of them.
    left = []
    for index in range(16):
        token = base64.urlsafe_b64encode(f"{revision}.{index}".encode()).decode()
        marker = await create(caller, queue)
        rest = await Watch(caller, queue=queue, resume_token=token).begin()
        seen: list[pb.TaskEvent] = []
        while not any(event.task.id == marker for event in seen):
            rest.answers.append(await rest._call.read())
            seen = rest.events
        rest._call.cancel()
        rest_of_revision = [event for event in seen if event.revision == revision]
        assert rest_of_revision == events[len(events) - len(rest_of_revision) :]
        left.append(len(rest_of_revision))
    assert left[-1] == 0
    assert all(before - after in (0, 1) for before, after in pairwise(left))
    assert set(left) >= set(range(12))


async def test_filters(caller: Caller) -> None:
    one, two = await new_queue(caller, paused=True), await new_queue(caller, paused=True)
    by_queue = await Watch(caller, queue=one).begin()
    by_state = await Watch(caller, queue=one, states=[t.TASK_STATE_CANCELLED]).begin()
    first = await create(caller, one)
    by_id = await Watch(caller, ids=[first]).begin()
    other, second = await create(caller, two), await create(caller, one)
    for task in (first, other, second):
        await caller.call("CancelTask", pb.CancelTaskRequest(id=task))
    await caller.call("DeleteTask", pb.DeleteTaskRequest(id=first))
    cancelled, pending = t.TASK_STATE_CANCELLED, t.TASK_STATE_PENDING
    assert [brief(event) for event in await by_queue.until(5)] == [
        (CREATED, first, pending),
        (CREATED, second, pending),
        (UPDATED, first, cancelled),
        (UPDATED, second, cancelled),
        (DELETED, first, 0),
    ]
    assert [brief(event) for event in await by_state.until(2)] == [
        (UPDATED, first, cancelled),
        (UPDATED, second, cancelled),
    ]
    assert [brief(event) for event in await by_id.until(2)] == [
        (UPDATED, first, cancelled),
        (DELETED, first, 0),
    ]


async def test_a_token_of_the_future_is_out_of_range(caller: Caller) -> None:
    before = await caller.dump()
    for revision in (10**9, 10**18, 10**40):
        token = base64.urlsafe_b64encode(f"{revision}.0".encode()).decode()
        with pytest.raises(Refused) as answer:
            await caller.call("WatchTasks", pb.WatchTasksRequest(resume_token=token))
        assert answer.value.code is grpc.StatusCode.OUT_OF_RANGE
        assert answer.value.reason == "RESUME_TOKEN_GONE"
        assert answer.value.metadata["field"] == "resume_token"
        assert "list the tasks again" in answer.value.message
    assert await caller.dump() == before


async def test_a_token_that_was_compacted_away_is_out_of_range(
    own_etcd: Any,
) -> None:
    etcd = await own_etcd()
    with serve(etcd.endpoint) as served:
        async with calling(served) as caller:
            watch = await Watch(caller).begin()
            token = watch.answers[0].resume_token
            await create(caller, "default")
            (event,) = await watch.until(1)
            last = watch.answers[-1].resume_token
            await create(caller, "default")
            await caller.etcd.compact(event.revision)
            before = await caller.dump()
            # What the leader still has needs no etcd.
            recent = await Watch(caller, resume_token=token).begin()
            assert [event.kind for event in await recent.until(2)] == [CREATED, CREATED]
            token = base64.urlsafe_b64encode(b"1.0").decode()
            with pytest.raises(Refused) as answer:
                await caller.call("WatchTasks", pb.WatchTasksRequest(resume_token=token))
            assert answer.value.code is grpc.StatusCode.OUT_OF_RANGE
            assert answer.value.reason == "RESUME_TOKEN_GONE"
            assert "list the tasks again" in answer.value.message
            assert await caller.dump() == before
            # Behind the compacted revision nothing is missing yet.
            rest = await Watch(caller, resume_token=last).begin()
            assert [event.kind for event in await rest.until(1)] == [CREATED]
