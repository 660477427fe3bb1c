"""Placement rules, hooks and deadlines of tasks that wait are changed: calls, SDK, command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from quorate.client.work.updates import update_of
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.v1 import placement_pb2, queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.handlers.bulk.update import REFUSED, UPDATED
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.model.events import SpecUpdate
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.values import BulkAct, TaskSpec, TaskState
from scheduler.storage import record_kinds
from scheduler.storage.records import task_spec
from tests.support.command_line import command_line
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.fake_scheduler import FakeCluster
from tests.support.one_leader import PREFIX, Leader, leading
from tests.support.same_state import differences

IN = placement_pb2.LABEL_OPERATOR_IN


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


def rules(*labels: str, **more: Any) -> placement_pb2.PlacementRules:
    """Only on nodes with each of these labels set to "yes"."""
    nodes = [placement_pb2.NodeRule(label=one, operator=IN, values=["yes"]) for one in labels]
    return placement_pb2.PlacementRules(nodes=nodes, **more)


async def create(leader: Leader, **fields: Any) -> str:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), **fields)
    made = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    return str(made.id)


async def change(leader: Leader, task: str, *paths: str, **fields: Any) -> task_pb2.TaskSpec:
    named = task_pb2.Task(id=task, spec=task_pb2.TaskSpec(**fields))
    mask = FieldMask(paths=[f"spec.{path}" for path in paths])
    request = pb.UpdateTaskRequest(task=named, update_mask=mask)
    found: task_pb2.TaskSpec = (await leader.call("UpdateTask", request)).task.spec
    return found


async def test_rules_are_replaced_one_kind_at_a_time_and_as_a_whole(leader: Leader) -> None:
    tolerations = [placement_pb2.Toleration(key="gpu")]
    task = await create(leader, placement=rules("ssd", tolerations=tolerations))
    found = await change(leader, task, "placement.nodes", placement=rules("fast", "near"))
    assert found.placement == rules("fast", "near", tolerations=tolerations)
    found = await change(leader, task, "placement.nodes")
    assert found.placement == placement_pb2.PlacementRules(tolerations=tolerations)
    found = await change(leader, task, "placement.tolerations")
    assert not found.HasField("placement")
    assert (await change(leader, task, placement=rules("a"))).placement == rules("a")
    assert not (await change(leader, task, "placement")).HasField("placement")
    entries = (await leader.call("ListAuditEntries", pb.ListAuditEntriesRequest())).entries
    fields = [one.field for entry in entries for one in entry.changes]
    assert "placement.nodes" in fields


async def test_hooks_are_replaced_and_removed(leader: Leader) -> None:
    task = await create(leader)
    hook = task_pb2.Hook(argv=["mkdir", "x"])
    found = await change(leader, task, "hooks.setup", hooks=task_pb2.Hooks(setup=hook))
    assert found.hooks == task_pb2.Hooks(setup=hook)
    found = await change(leader, task, "hooks.cleanup", hooks=task_pb2.Hooks(cleanup=hook))
    assert found.hooks == task_pb2.Hooks(setup=hook, cleanup=hook)
    await change(leader, task, "hooks.setup")
    assert not (await change(leader, task, "hooks.cleanup")).HasField("hooks")


@pytest.mark.parametrize(
    ("paths", "fields", "field"),
    [
        (
            ("placement",),
            {"placement": placement_pb2.PlacementRules(spread="zone")},
            "task.spec.placement.spread",
        ),
        (
            ("placement.nodes",),
            {"placement": placement_pb2.PlacementRules(nodes=[placement_pb2.NodeRule()])},
            "task.spec.placement.nodes[0].label",
        ),
        (
            ("placement", "labels"),
            {"placement": placement_pb2.PlacementRules(distinct=["shard"])},
            "task.spec.placement.distinct[0]",
        ),
        (
            ("hooks.setup",),
            {"hooks": task_pb2.Hooks(setup=task_pb2.Hook())},
            "task.spec.hooks.setup",
        ),
        (("placement.disk",), {}, "update_mask"),
        (("hooks.teardown",), {}, "update_mask"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_changes(
    leader: Leader, paths: tuple[str, ...], fields: dict[str, Any], field: str
) -> None:
    task = await create(leader, placement=rules("ssd"))
    with pytest.raises(QuorateError) as error:
        await change(leader, task, *paths, **fields)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == field
    found = (await leader.call("GetTask", pb.GetTaskRequest(id=task))).task.spec
    assert found.placement == rules("ssd")


async def test_a_task_without_the_label_is_left_alone(leader: Leader) -> None:
    distinct = placement_pb2.PlacementRules(distinct=["shard"])
    with_label = await create(leader, labels={"shard": "1"})
    without = await create(leader)
    request = pb.UpdateTasksRequest(
        ids=[with_label, without],
        task=task_pb2.Task(spec=task_pb2.TaskSpec(placement=distinct)),
        update_mask=FieldMask(paths=["spec.placement"]),
    )
    counts = await leader.call("UpdateTasks", request)
    assert (counts.updated, counts.skipped) == (1, 1)
    # Nor can the label be taken from the one that has it.
    with pytest.raises(QuorateError) as error:
        await change(leader, with_label, "labels")
    assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (record_kinds.PLACEMENT, {"placement": rules("ssd")}),
        (record_kinds.TASK_HOOKS, {"hooks": task_pb2.Hooks(setup=task_pb2.Hook(argv=["true"]))}),
    ],
)
async def test_it_is_refused_while_a_scheduler_does_not_know_it(
    leader: Leader, kind: str, fields: dict[str, Any]
) -> None:
    task = await create(leader)
    kinds = [one for one in record_kinds.RECORD_KINDS if one != kind]
    record = CandidateRecord(name="old", version="0.9", record_kinds=kinds)
    await leader.etcd.put(PREFIX + b"election/scheduler/2", record.SerializeToString())
    with pytest.raises(QuorateError) as error:
        await change(leader, task, *fields, **fields)
    assert error.value.metadata["kind"] == kind
    assert (await change(leader, task, priority=3)).priority == 3


async def test_hooks_do_not_make_a_spec_larger_than_one_that_is_created(leader: Leader) -> None:
    """It would be more than a transaction of etcd takes."""
    limit = 256 << 10

    def hooks(size: int) -> task_pb2.Hooks:
        return task_pb2.Hooks(setup=task_pb2.Hook(argv=["true", "x" * size]))

    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true", "x" * (limit // 2)]))
    task = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task.id
    with pytest.raises(QuorateError) as error:
        await change(leader, task, hooks=hooks(limit))
    assert error.value.reason == "PAYLOAD_TOO_LARGE"
    assert error.value.metadata["field"] == "task.spec"
    with pytest.raises(QuorateError) as error:
        await change(leader, task, "hooks.setup", hooks=hooks(limit // 2))
    assert error.value.reason == "TASK_NOT_UPDATABLE"
    assert len((await change(leader, task, hooks=hooks(limit // 4))).hooks.setup.argv) == 2


def test_an_update_brings_no_more_bytes_than_the_quota_allows() -> None:
    log = Log()
    c = Cluster(log=log, limits=Limits(caller_quota=Quota(stored_bytes=2_000)))
    task = c.submit(placed(""), creator="submitter:ci")
    light = c.state.callers["submitter:ci"].stored_bytes

    def update(size: int) -> BulkDone:
        made = placed("x" * size)
        asked = SpecUpdate(lambda _: made, size=size)
        answer = c.call(
            lambda token: e.BulkAsked(
                [task], frozenset(), e.Request(), token, act=BulkAct.UPDATE, update=asked
            )
        )
        assert isinstance(answer, BulkDone)
        return answer

    assert update(2_000).counts[REFUSED] == 1
    assert c.state.callers["submitter:ci"].stored_bytes == light
    assert update(1_000).counts[UPDATED] == 1
    # Once it is there it may be changed, and become smaller.
    assert update(1_000).counts[UPDATED] == update(1).counts[UPDATED] == 1
    log.flush()
    assert not differences(c.state, log.fold.state)


def placed(label: str) -> TaskSpec:
    message = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    if label:
        message.placement.CopyFrom(rules(label))
    return task_spec(message, message.SerializeToString())


def test_a_task_goes_to_the_node_that_its_new_rules_allow_and_a_standby_knows_them() -> None:
    log = Log()
    c = Cluster(log=log)
    task = c.submit(placed("ssd"))
    node = c.node("hdd", credit=1)
    assert c.state_of(task) is TaskState.PENDING
    update = SpecUpdate(lambda _: placed(""), size=100)
    c.call(
        lambda token: e.BulkAsked(
            [task], frozenset(), e.Request(), token, act=BulkAct.UPDATE, update=update
        )
    )
    for state in (log.followed(), log.loaded().state):
        row = state.tasks[task]
        assert row.rules is None
        assert row.kind == c.row(task).kind
    assert c.row(task).node == "hdd"
    node.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_the_sdk_names_what_goes_together() -> None:
    made = update_of({"where": "disk=ssd", "spread": "zone"})
    assert list(made["update_mask"].paths) == [
        *("spec.placement.nodes", "spec.placement.strategy", "spec.placement.spread"),
    ]
    assert made["task"].spec.placement.strategy == queue_pb2.PLACEMENT_STRATEGY_SPREAD
    cleared = update_of({"where": (), "tolerate": (), "clean_up": ()})
    assert not cleared["task"].spec.HasField("placement")
    assert list(cleared["update_mask"].paths) == [
        *("spec.placement.nodes", "spec.placement.tolerations", "spec.hooks.cleanup"),
    ]
    with pytest.raises(QuorateError, match="set_up: is required with set_up_timeout"):
        update_of({"set_up_timeout": 5.0})


def test_the_command_line_changes_and_removes_rules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capfdbinary: Any
) -> None:
    cluster = FakeCluster()
    cluster.hold.clear()
    task = "0" * 32
    cluster.tasks[task] = task_pb2.Task(id=task, queue="q", state=task_pb2.TASK_STATE_PENDING)
    quorate = command_line(cluster, monkeypatch, tmp_path, capfdbinary)
    try:
        rule = ("--where", "disk=ssd", "--tolerate", "gpu", "--near", "app=cache")
        assert quorate("update", task, *rule, "--start-deadline", "60")[0] == 0
        assert quorate("update", task, "--any-node")[0] == 0
        assert quorate("update", task, "--clean-up", "rm -r x", "--clean-up-timeout", "5")[0] == 0
        code, _, err = quorate("update", task, "--any-node", "--where", "a=b")
        assert code == 2
        assert "leave out --where" in err
        first, second, third = cluster.task_updates
    finally:
        cluster.close()
    assert first.task.spec.placement.nodes[0].label == "disk"
    assert set(first.update_mask.paths) == {
        *("spec.placement.nodes", "spec.placement.tolerations", "spec.placement.near"),
        "spec.start_deadline",
    }
    assert not second.task.spec.HasField("placement")
    assert {path.rpartition(".")[2] for path in second.update_mask.paths} == {
        *("nodes", "tolerations", "near", "apart", "distinct", "strategy", "spread"),
    }
    assert list(third.task.spec.hooks.cleanup.argv) == ["rm", "-r", "x"]
