"""Limits and keys of tasks that wait are changed: calls and their errors."""

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
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.storage import record_kinds
from tests.support.one_leader import PREFIX, Leader, leading

KEYS = ("limit_key", "fairness_key", "ordering_key")


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        for name in ("licence", "api"):
            limit = lpb.Limit(name=name, max_running=1)
            await leader.call("CreateLimit", lpb.CreateLimitRequest(limit=limit))
        yield leader


async def create(leader: Leader, **fields: Any) -> str:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), **fields)
    made = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    return str(made.id)


def mask_of(paths: tuple[str, ...]) -> FieldMask:
    return FieldMask(paths=[f"spec.{path}" for path in paths])


async def change(leader: Leader, task: str, *paths: str, **fields: Any) -> task_pb2.TaskSpec:
    named = task_pb2.Task(id=task, spec=task_pb2.TaskSpec(**fields))
    request = pb.UpdateTaskRequest(task=named, update_mask=mask_of(paths))
    found: task_pb2.TaskSpec = (await leader.call("UpdateTask", request)).task.spec
    return found


async def refused(leader: Leader, task: str, *paths: str, **fields: Any) -> QuorateError:
    with pytest.raises(QuorateError) as error:
        await change(leader, task, *paths, **fields)
    return error.value


def said(spec: task_pb2.TaskSpec) -> tuple[list[str], str, str, str]:
    return list(spec.limits), spec.limit_key, spec.fairness_key, spec.ordering_key


async def test_what_is_set_is_taken_over_and_the_rest_stays(leader: Leader) -> None:
    task = await create(leader, limits=["licence"], limit_key="a", ordering_key="o")
    found = await change(leader, task, limits=["api", "licence"], fairness_key="gold")
    assert said(found) == (["api", "licence"], "a", "gold", "o")
    found = await change(leader, task, "limit_key", "ordering_key", limit_key="b")
    assert said(found) == (["api", "licence"], "b", "gold", "")
    found = await change(leader, task, "limits", *KEYS)
    assert said(found) == ([], "", "", "")
    assert leader.driver.state.tasks[task].limits is None  # type: ignore[index]
    stored = await leader.call("GetTask", pb.GetTaskRequest(id=task, view=task_pb2.TASK_VIEW_FULL))
    assert said(stored.task.spec) == ([], "", "", "")
    assert stored.task.spec.command.argv == ["true"]


async def test_the_audit_log_names_them(leader: Leader) -> None:
    task = await create(leader, limits=["licence"])
    await change(leader, task, limits=["api", "licence"], ordering_key="o")
    await change(leader, task, "limits")
    entries = (await leader.call("ListAuditEntries", pb.ListAuditEntriesRequest())).entries
    cleared, changed = ([(one.field, one.after) for one in entry.changes] for entry in entries[:2])
    assert ("limits", "none") in cleared
    assert {("limits", "api, licence"), ("ordering_key", "o")} <= set(changed)


async def test_many_get_them_by_a_filter_and_a_dry_run_changes_nothing(leader: Leader) -> None:
    tasks = [await create(leader) for _ in range(3)]
    request = pb.UpdateTasksRequest(
        queue="default",
        task={"spec": {"limits": ["api"], "fairness_key": "gold"}},
        update_mask=mask_of(("limits", "fairness_key")),
        validate_only=True,
    )
    assert (await leader.call("UpdateTasks", request)).updated == 3
    rows = [leader.driver.state.tasks[task] for task in tasks]  # type: ignore[index]
    assert {row.tenant for row in rows} == {""}
    request.validate_only = False
    assert (await leader.call("UpdateTasks", request)).updated == 3
    rows = [leader.driver.state.tasks[task] for task in tasks]  # type: ignore[index]
    assert {row.tenant for row in rows} == {"gold"}
    assert {row.limits.shared for row in rows if row.limits is not None} == {("api",)}


@pytest.mark.parametrize("validate_only", [True, False])
async def test_a_limit_that_does_not_exist_is_refused_also_in_a_dry_run(
    leader: Leader, validate_only: bool
) -> None:
    task = await create(leader, limits=["licence"])
    request = pb.UpdateTasksRequest(
        ids=[task], task={"spec": {"limits": ["api", "none"]}}, validate_only=validate_only
    )
    with pytest.raises(QuorateError) as many:
        await leader.call("UpdateTasks", request)
    one = await refused(leader, task, limits=["api", "none"])
    for error in (many.value, one):
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "LIMIT_NOT_FOUND",
        )
        assert error.metadata["field"] == "task.spec.limits"
        assert error.metadata["limit"] == "none"
    found = (await leader.call("GetTask", pb.GetTaskRequest(id=task))).task.spec
    assert list(found.limits) == ["licence"]


async def test_a_dry_run_refuses_a_queue_that_does_not_exist(leader: Leader) -> None:
    request = pb.UpdateTasksRequest(
        ids=[await create(leader)], task={"queue": "none"}, validate_only=True
    )
    with pytest.raises(QuorateError) as error:
        await leader.call("UpdateTasks", request)
    assert error.value.reason == "QUEUE_NOT_FOUND"


@pytest.mark.parametrize(
    ("fields", "field", "limit"),
    [
        *(({key: "x" * 257}, f"task.spec.{key}", "256") for key in KEYS),
        ({"limit_key": "a\0b"}, "task.spec.limit_key", ""),
        ({"ordering_key": "a\0b"}, "task.spec.ordering_key", ""),
        ({"limits": ["x"] * 17}, "task.spec.limits", "16"),
        ({"limits": ["No Name"]}, "task.spec.limits", ""),
    ],
)
async def test_bad_values_name_field_and_limit(
    leader: Leader, fields: dict[str, Any], field: str, limit: str
) -> None:
    task = await create(leader, limits=["licence"], ordering_key="o")
    error = await refused(leader, task, **fields)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.metadata["field"] == field
    assert error.metadata.get("limit", "") == limit
    assert limit in str(error)


async def test_keys_of_the_greatest_length_are_taken(leader: Leader) -> None:
    task = await create(leader)
    longest = "ä" * 256
    found = await change(leader, task, **dict.fromkeys(KEYS, longest))
    assert said(found) == ([], longest, longest, longest)


async def test_a_nul_character_in_a_limit_key_is_refused_when_a_task_is_created(
    leader: Leader,
) -> None:
    with pytest.raises(QuorateError) as error:
        await create(leader, limit_key="a\0b")
    assert error.value.metadata["field"] == "spec.limit_key"


async def test_parts_of_them_and_the_unique_key_cannot_be_named(leader: Leader) -> None:
    task = await create(leader, unique=task_pb2.UniqueKey(key="u"))
    for path in ("limits.0", "limit_key.x", "unique", "unique.key", "affinity_key"):
        error = await refused(leader, task, path)
        assert error.reason == "INVALID_FIELD_MASK"
        assert f"spec.{path}" in str(error)


async def test_a_task_that_is_finished_is_a_typed_error(leader: Leader) -> None:
    task = await create(leader)
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    error = await refused(leader, task, limits=["api"])
    assert (error.code, error.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "TASK_NOT_WAITING",
    )


async def test_ordering_keys_are_refused_while_a_scheduler_does_not_know_them(
    leader: Leader,
) -> None:
    task = await create(leader)
    kinds = [one for one in record_kinds.RECORD_KINDS if one != record_kinds.TASK_KEYS]
    record = CandidateRecord(name="old", version="0.9", record_kinds=kinds)
    await leader.etcd.put(PREFIX + b"election/scheduler/2", record.SerializeToString())
    error = await refused(leader, task, ordering_key="o")
    assert error.metadata["kind"] == record_kinds.TASK_KEYS
    assert said(await change(leader, task, limit_key="a")) == ([], "a", "", "")
