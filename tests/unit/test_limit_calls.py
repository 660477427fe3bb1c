"""CreateLimit and its like, UpdateQueue, and the limits of tasks: what callers meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.v1 import limit_pb2 as lpb
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.storage.record_kinds import RECORD_KINDS
from tests.support.one_leader import PREFIX, Leader, leading

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        # Its own key says what a scheduler of this version says.
        record = CandidateRecord(name="s1", record_kinds=RECORD_KINDS)
        await leader.etcd.put(PREFIX + b"election/scheduler/1", record.SerializeToString())
        yield leader


async def refused(leader: Leader, method: str, request: Any) -> QuorateError:
    with pytest.raises(QuorateError) as told:
        await leader.call(method, request)
    return told.value


def limit(name: str = "licence", **fields: Any) -> lpb.Limit:
    return lpb.Limit(name=name, **fields)


async def test_a_limit_is_made_read_changed_and_deleted(leader: Leader) -> None:
    made = await leader.call(
        "CreateLimit", lpb.CreateLimitRequest(limit=limit(max_running=5, rate={"count": 10}))
    )
    assert (made.limit.rate.burst, made.limit.rate.period.seconds) == (1, 1)
    spec = task_pb2.TaskSpec(limits=["licence"])
    spec.command.argv.append("true")
    await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))
    changed = await leader.call(
        "UpdateLimit",
        lpb.UpdateLimitRequest(limit=limit(max_running=7), update_mask=FieldMask(paths=["rate"])),
    )
    assert not changed.limit.HasField("rate")
    assert changed.limit.max_running == 5
    assert (changed.limit.running, changed.limit.live_tasks) == (0, 1)
    [listed] = (await leader.call("ListLimits", lpb.ListLimitsRequest())).limits
    assert listed == (await leader.call("GetLimit", lpb.GetLimitRequest(name="licence"))).limit
    error = await refused(leader, "DeleteLimit", lpb.DeleteLimitRequest(name="licence"))
    assert (error.code, error.reason) == (PRECONDITION, "LIMIT_IN_USE")
    await leader.call("CreateLimit", lpb.CreateLimitRequest(limit=limit("b", max_running=1)))
    await leader.call("DeleteLimit", lpb.DeleteLimitRequest(name="b"))
    error = await refused(leader, "GetLimit", lpb.GetLimitRequest(name="b"))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "LIMIT_NOT_FOUND")


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("limit", {}),
        ("limit.max_running", {"max_running": 0}),
        ("limit.max_running", {"max_running": -1}),
        ("limit.max_running", {"max_running": 10**10}),
        ("limit.rate.count", {"rate": {}}),
        ("limit.rate.count", {"rate": {"count": -5}}),
        ("limit.rate", {"rate": {"count": 1_000_000}}),
        ("limit.rate.period", {"rate": {"count": 1, "period": {"seconds": 32 * 86_400}}}),
        ("limit.rate.period", {"rate": {"count": 1, "period": {"nanos": 1_000}}}),
        ("limit.rate.burst", {"rate": {"count": 1, "burst": -1}}),
        ("limit.name", {"name": "No", "max_running": 1}),
        ("limit.name", {"name": "", "max_running": 1}),
    ],
)
async def test_a_bad_limit_names_its_field(leader: Leader, field: str, bad: dict) -> None:
    wanted = lpb.Limit(**{"name": "x", **bad})
    error = await refused(leader, "CreateLimit", lpb.CreateLimitRequest(limit=wanted))
    assert (error.code, error.field) == (INVALID, field)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("queue.max_running", {"max_running": 0}),
        ("queue.max_running_per_key", {"max_running_per_key": -1}),
        ("queue.max_length", {"max_length": 0}),
        ("queue.length_policy", {"length_policy": 2}),
        ("queue.length_policy", {"length_policy": 9, "max_length": 1}),
        ("queue.rate_per_key.count", {"rate_per_key": {"burst": 2}}),
        ("queue.retention.age", {"retention": {"age": {"seconds": -1}}}),
        ("queue.placement", {"placement": 9}),
        ("queue.aging", {"aging": {"nanos": 1_000}}),
        ("queue.share", {"share": 0.0001}),
        ("queue.share", {"share": 1_001.0}),
        ("queue.share", {"share": float("nan")}),
        ("queue.weights[gold]", {"weights": {"gold": 0.0}}),
        ("queue.weights", {"weights": {f"k{n}": 1.0 for n in range(1_001)}}),
    ],
)
async def test_a_bad_setting_names_its_field_and_changes_nothing(
    leader: Leader, field: str, bad: dict
) -> None:
    before = await leader.call("GetQueue", pb.GetQueueRequest(name="default"))
    wanted = queue_pb2.Queue(name="default", **bad)
    mask = FieldMask(paths=list(bad))
    request = pb.UpdateQueueRequest(queue=wanted, update_mask=mask)
    error = await refused(leader, "UpdateQueue", request)
    assert (error.code, error.field) == (INVALID, field)
    assert await leader.call("GetQueue", pb.GetQueueRequest(name="default")) == before
    error = await refused(
        leader, "CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="n", **bad))
    )
    assert (error.code, error.field) == (INVALID, field)


@pytest.mark.parametrize("path", ["name", "counts", "paused", "rate.none", "x", "rate.count.y"])
async def test_a_path_that_is_no_setting_is_refused(leader: Leader, path: str) -> None:
    request = pb.UpdateQueueRequest(
        queue=queue_pb2.Queue(name="default"), update_mask=FieldMask(paths=[path])
    )
    error = await refused(leader, "UpdateQueue", request)
    assert (error.code, error.reason) == (INVALID, "INVALID_FIELD_MASK")


async def update(leader: Leader, *paths: str, **fields: Any) -> queue_pb2.Queue:
    request = pb.UpdateQueueRequest(
        queue=queue_pb2.Queue(name="default", **fields), update_mask=FieldMask(paths=paths)
    )
    queue: queue_pb2.Queue = (await leader.call("UpdateQueue", request)).queue
    return queue


async def test_an_update_changes_what_it_names_and_nothing_else(leader: Leader) -> None:
    queue = await update(leader, max_running=4, rate={"count": 100, "period": {"seconds": 60}})
    assert (queue.max_running, queue.rate.count, queue.rate.burst) == (4, 100, 1)
    queue = await update(leader, "retention.age", retention={"age": {"seconds": 5}, "count": 3})
    assert (queue.retention.age.seconds, queue.retention.count) == (5, 100_000)
    assert queue.max_running == 4
    queue = await update(leader, aging={"seconds": 60}, weights={"gold": 3.0})
    assert (queue.aging.seconds, dict(queue.weights)) == (60, {"gold": 3.0})
    queue = await update(leader, "weights")
    assert (queue.aging.seconds, dict(queue.weights)) == (60, {})
    queue = await update(leader, share=2.5)
    assert (queue.aging.seconds, queue.share) == (60, 2.5)
    assert (await update(leader, "share")).share == 0.0
    queue = await update(leader, max_length=9, length_policy=2)
    queue = await update(leader, "max_length", "rate")
    assert not queue.HasField("max_length")
    assert not queue.HasField("rate")
    assert queue.length_policy == lpb.LENGTH_POLICY_UNSPECIFIED
    queue = await update(leader, "*")
    assert not queue.HasField("max_running")
    assert queue.retention.age.seconds == 86_400
    error = await refused(
        leader,
        "UpdateQueue",
        pb.UpdateQueueRequest(queue=queue_pb2.Queue(name="nowhere", max_running=1)),
    )
    assert error.reason == "QUEUE_NOT_FOUND"


async def test_a_task_that_names_an_unknown_limit_is_refused_and_named(leader: Leader) -> None:
    spec = task_pb2.TaskSpec(limits=["none"])
    spec.command.argv.append("true")
    error = await refused(leader, "CreateTask", pb.CreateTaskRequest(spec=spec))
    assert (error.code, error.reason) == (PRECONDITION, "LIMIT_NOT_FOUND")
    assert error.metadata["limit"] == "none"
    error = await refused(leader, "BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[spec] * 3))
    assert error.reason == "LIMIT_NOT_FOUND"


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("spec.limit_key", {"limit_key": "k" * 257}),
        ("spec.fairness_key", {"fairness_key": "k" * 257}),
        ("spec.ordering_key", {"ordering_key": "k" * 257}),
        ("spec.unique.key", {"unique": {}}),
        ("spec.unique.key", {"unique": {"key": "k" * 257}}),
        ("spec.unique.key", {"unique": {"key": "k" * 10_240}}),
        ("spec.unique.key", {"unique": {"key": "a\0b"}}),
        ("spec.unique.on_conflict", {"unique": {"key": "k", "on_conflict": 9}}),
        ("spec.unique.window", {"unique": {"key": "k", "window": {"nanos": 999_999_999}}}),
        ("spec.unique.window", {"unique": {"key": "k", "window": {"seconds": 31 * 86_400 + 1}}}),
        ("spec.unique.window", {"unique": {"key": "k", "window": {"seconds": -1}}}),
        ("spec.ordering_key", {"ordering_key": "a\0b"}),
        ("spec.limits", {"limits": [f"l{n}" for n in range(17)]}),
        ("spec.limits", {"limits": ["No"]}),
        ("spec.limits", {"limits": [""]}),
    ],
)
async def test_bad_limits_of_a_task(leader: Leader, field: str, bad: dict) -> None:
    spec = task_pb2.TaskSpec(**bad)
    spec.command.argv.append("true")
    error = await refused(leader, "CreateTask", pb.CreateTaskRequest(spec=spec))
    assert (error.code, error.field) == (INVALID, field)


async def test_a_unique_key_answers_with_the_task_that_is_there(leader: Leader) -> None:
    spec = task_pb2.TaskSpec(unique=task_pb2.UniqueKey(key="a"))
    spec.command.argv.append("true")
    first = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    second = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    assert first.id == second.id
    error = await refused(leader, "BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[spec]))
    assert (error.code, error.field) == (INVALID, "specs[0].unique.on_conflict")
    spec.unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REJECT
    error = await refused(leader, "CreateTask", pb.CreateTaskRequest(spec=spec))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "TASK_ALREADY_EXISTS")
    assert error.metadata["task"] == first.id


async def test_unique_keys_of_a_batch_are_all_new_or_none_is_created(leader: Leader) -> None:
    specs = []
    for key in ("a", "b", "c"):
        specs.append(task_pb2.TaskSpec(unique=task_pb2.UniqueKey(key=key)))
        specs[-1].command.argv.append("true")
        specs[-1].unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REJECT
    first = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=specs[2]))).task
    error = await refused(leader, "BatchCreateTasks", pb.BatchCreateTasksRequest(specs=specs))
    assert (error.code, error.field) == (grpc.StatusCode.ALREADY_EXISTS, "specs[2].unique")
    assert error.metadata["task"] == first.id
    made = await leader.call("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=specs[:2]))
    assert len(made.ids) == 2
    twice = pb.BatchCreateTasksRequest(specs=[specs[0], specs[1], specs[0]])
    error = await refused(leader, "BatchCreateTasks", twice)
    assert (error.code, error.field) == (INVALID, "specs[2].unique.key")
    specs[2].unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REPLACE
    made = await leader.call("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=specs[2:]))
    old = (await leader.call("GetTask", pb.GetTaskRequest(id=first.id))).task
    assert old.state == task_pb2.TASK_STATE_CANCELLED
    assert f"replaced by task {made.ids[0]!r}".replace("'", "") in old.error.message


async def test_an_older_scheduler_holds_windows_and_replacing_back(leader: Leader) -> None:
    await leader.etcd.put(PREFIX + b"election/scheduler/2", b"")
    for unique in ({"window": {"seconds": 5}}, {"on_conflict": 3}):
        spec = task_pb2.TaskSpec(unique=task_pb2.UniqueKey(key="a", **unique))
        spec.command.argv.append("true")
        error = await refused(leader, "CreateTask", pb.CreateTaskRequest(spec=spec))
        assert (error.code, error.reason) == (PRECONDITION, "SCHEDULER_TOO_OLD")


async def test_a_full_queue_says_how_full_it_is(leader: Leader) -> None:
    await update(leader, max_length=1)
    spec = task_pb2.TaskSpec(limit_key="a")
    spec.command.argv.append("true")
    await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))
    error = await refused(leader, "CreateTask", pb.CreateTaskRequest(spec=spec))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert (error.metadata["queue"], error.metadata["limit"]) == ("default", "1")


async def test_an_older_scheduler_holds_limits_back(leader: Leader) -> None:
    await leader.etcd.put(PREFIX + b"election/scheduler/2", b"")
    error = await refused(leader, "CreateLimit", lpb.CreateLimitRequest(limit=limit(max_running=1)))
    assert (error.code, error.reason) == (PRECONDITION, "SCHEDULER_TOO_OLD")
    wanted = queue_pb2.Queue(name="default", max_running=1)
    error = await refused(leader, "UpdateQueue", pb.UpdateQueueRequest(queue=wanted))
    assert error.reason == "SCHEDULER_TOO_OLD"
    # What an older one understands too is changed all the same.
    wanted = queue_pb2.Queue(name="default", placement="PLACEMENT_STRATEGY_ROUND_ROBIN")
    await leader.call("UpdateQueue", pb.UpdateQueueRequest(queue=wanted))
