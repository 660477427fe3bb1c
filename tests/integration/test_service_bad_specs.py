"""Every field of a task's spec, out of its bounds: refused by name, and nothing changed."""

from __future__ import annotations

import math

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.bad_requests import (
    HUGE,
    KIB,
    LONG,
    LONG_ID,
    command,
    needs,
    python,
    refused_field,
    retry,
    second,
)
from tests.support.served import Caller, Refused, caller_of_served, served_by

served = served_by()
caller = caller_of_served

SPECS: list[tuple[str, str | None, t.TaskSpec]] = [
    ("work", None, t.TaskSpec()),
    ("command.argv", None, t.TaskSpec(command=t.CommandWork())),
    ("command.argv", None, command("")),
    ("command.argv", None, command("", "x")),
    ("command.argv", None, command("echo", "nul\0")),
    ("command.argv", "1024", command(*["x"] * 1025)),
    ("command.cwd", None, t.TaskSpec(command=t.CommandWork(argv=["x"], cwd="relative"))),
    ("command.cwd", None, t.TaskSpec(command=t.CommandWork(argv=["x"], cwd="/a\0b"))),
    ("command.env", None, t.TaskSpec(command=t.CommandWork(argv=["x"], env={"": "1"}))),
    ("command.env", None, t.TaskSpec(command=t.CommandWork(argv=["x"], env={"A=B": "1"}))),
    ("command.env", None, t.TaskSpec(command=t.CommandWork(argv=["x"], env={"A": "\0"}))),
    ("python.entrypoint", None, t.TaskSpec(python=t.PythonWork())),
    ("python.entrypoint", None, python("", json="[]")),
    ("python.entrypoint", None, python("no_colon")),
    ("python.entrypoint", None, python("os:")),
    ("python.entrypoint", None, python(":getcwd")),
    ("python.entrypoint", None, python("a b:c")),
    ("python.entrypoint", None, python("os.:getcwd")),
    ("python.entrypoint", None, python("os..path:join")),
    ("python.entrypoint", None, python("os:path..join")),
    ("python.entrypoint", None, python("os:path\n")),
    ("python.json", None, python(json="")),
    ("python.json", None, python(json="[1,")),
    ("python.json", None, python(json="1")),
    ("python.json", None, python(json='"text"')),
    ("python.json", None, python(json="[NaN]")),
    ("python.json", None, python(json="[-Infinity]")),
    ("python.json", None, python(json='{"other": 1}')),
    ("python.json", None, python(json='{"args": {}}')),
    ("python.json", None, python(json='{"kwargs": []}')),
    ("python.json", None, python(json="[" * 100_000)),
    ("python.json", None, python(json="[" + "1" * 5_000 + "]")),
    ("name", "128", command(name=LONG)),
    ("labels", "32", command(labels={str(n): "" for n in range(33)})),
    ("labels", "128", command(labels={LONG: ""})),
    ("labels", "128", command(labels={"a": LONG})),
    ("labels", None, command(labels={"": "a"})),
    ("priority", "1000", command(priority=1_001)),
    ("priority", "1000", command(priority=-1_001)),
    ("timeout", "0", command(timeout=second(0))),
    ("timeout", "0", command(timeout=second(-1))),
    ("timeout", "0", command(timeout=second(0, -1))),
    ("timeout", "2592000.0", command(timeout=second(30 * 86_400, 1))),
    ("timeout", "2592000.0", command(timeout=HUGE)),
    ("timeout", None, command(timeout=second(5, -1))),
    ("timeout", None, command(timeout=second(5, 2_000_000_000))),
    ("not_before", "31622400.0", command(not_before=Timestamp(seconds=-1))),
    ("not_before", "31622400.0", command(not_before=Timestamp(seconds=2**61))),
    ("not_before", None, command(not_before=Timestamp(seconds=5, nanos=-1))),
    ("not_before", None, command(not_before=Timestamp(seconds=5, nanos=2_000_000_000))),
    ("retry.max_attempts", "0", retry(max_attempts=-1)),
    ("retry.max_attempts", "1000", retry(max_attempts=1_001)),
    ("retry.crash_limit", "0", retry(crash_limit=-1)),
    ("retry.crash_limit", "100", retry(crash_limit=101)),
    ("retry.initial_backoff", "0", retry(initial_backoff=second(-1))),
    ("retry.initial_backoff", "86400.0", retry(initial_backoff=second(86_401))),
    ("retry.max_backoff", "0", retry(max_backoff=second(-1))),
    ("retry.max_backoff", "86400.0", retry(max_backoff=HUGE)),
    ("retry.multiplier", "1", retry(multiplier=0.5)),
    ("retry.multiplier", "100", retry(multiplier=101)),
    ("retry.multiplier", "1", retry(multiplier=-2)),
    ("retry.multiplier", "100", retry(multiplier=math.nan)),
    ("retry.multiplier", "100", retry(multiplier=math.inf)),
    ("retry.jitter", "0", retry(jitter=-0.1)),
    ("retry.jitter", "1", retry(jitter=1.1)),
    ("retry.jitter", "1", retry(jitter=math.nan)),
    ("retry.jitter", "0", retry(jitter=-math.inf)),
    ("retry.fatal_errors", "64", retry(fatal_errors=["E"] * 65)),
    ("resources.cpu", "0", needs(cpu=-1)),
    ("resources.cpu", "1024.0", needs(cpu=1_025)),
    ("resources.cpu", "1024.0", needs(cpu=math.nan)),
    ("resources.cpu", "1024.0", needs(cpu=math.inf)),
    ("resources.memory", "0", needs(memory=-1)),
    ("resources.memory", str(1 << 50), needs(memory=2**62)),
    ("resources.counters", "16", needs(counters={f"c{n}": 1 for n in range(17)})),
    ("resources.counters", None, needs(counters={"": 1})),
    ("resources.counters", None, needs(counters={"GPU": 1})),
    ("resources.counters[gpu]", "0", needs(counters={"gpu": -1})),
    ("resources.counters[gpu]", str(1 << 31), needs(counters={"gpu": 2**40})),
    ("affinity_key", "256", command(affinity_key=LONG_ID)),
]


def spec_ids() -> list[str]:
    return [f"{number}-{name}" for number, (name, _, _) in enumerate(SPECS)]


@pytest.mark.parametrize(("name", "limit", "spec"), SPECS, ids=spec_ids())
async def test_a_bad_spec_is_refused_by_field(
    caller: Caller, name: str, limit: str | None, spec: t.TaskSpec
) -> None:
    request = pb.CreateTaskRequest(spec=spec, request_id="never used")
    error = await refused_field(caller, "CreateTask", request, f"spec.{name}")
    assert error.reason == "INVALID_FIELD"
    if limit is not None:
        assert error.metadata["limit"] == limit
        assert "value" in error.metadata


@pytest.mark.parametrize(("name", "limit", "spec"), SPECS, ids=spec_ids())
async def test_one_bad_spec_refuses_the_whole_batch(
    caller: Caller, name: str, limit: str | None, spec: t.TaskSpec
) -> None:
    specs = [command(), command(), spec, command()]
    request = pb.BatchCreateTasksRequest(specs=specs, request_id="never used")
    await refused_field(caller, "BatchCreateTasks", request, f"specs[2].{name}")


async def test_a_spec_is_required(caller: Caller) -> None:
    await refused_field(caller, "CreateTask", pb.CreateTaskRequest(), "spec")


@pytest.mark.parametrize(
    "work",
    [
        t.TaskSpec(command=t.CommandWork(argv=["cat"], stdin=b"x" * 256 * KIB)),
        python(pickle=b"x" * 256 * KIB),
        python(json='["' + "x" * 256 * KIB + '"]'),
    ],
    ids=["stdin", "pickle", "json"],
)
async def test_a_payload_over_the_limit_names_the_limit(caller: Caller, work: t.TaskSpec) -> None:
    error = await refused_field(caller, "CreateTask", pb.CreateTaskRequest(spec=work), "spec")
    assert error.reason == "PAYLOAD_TOO_LARGE"
    assert error.metadata["limit"] == str(256 * KIB)
    assert int(error.metadata["value"]) == work.ByteSize()
    batch = pb.BatchCreateTasksRequest(specs=[command(), work])
    error = await refused_field(caller, "BatchCreateTasks", batch, "specs[1]")
    assert error.reason == "PAYLOAD_TOO_LARGE"


async def test_a_batch_must_hold_tasks(caller: Caller) -> None:
    await refused_field(caller, "BatchCreateTasks", pb.BatchCreateTasksRequest(), "specs")


async def test_a_batch_of_too_many_tasks(caller: Caller) -> None:
    request = pb.BatchCreateTasksRequest(specs=[command()] * 10_001)
    error = await refused_field(caller, "BatchCreateTasks", request, "specs")
    assert (error.metadata["limit"], error.metadata["value"]) == ("10000", "10001")


async def test_a_batch_of_too_many_bytes(caller: Caller) -> None:
    spec = python(pickle=b"x" * 250 * KIB)
    request = pb.BatchCreateTasksRequest(specs=[spec] * 66)
    error = await refused_field(caller, "BatchCreateTasks", request, "specs")
    assert error.reason == "PAYLOAD_TOO_LARGE"
    assert error.metadata["limit"] == str(16 << 20)


async def test_a_message_beyond_what_the_server_receives_changes_nothing(caller: Caller) -> None:
    """gRPC itself refuses it, before a handler could say more."""
    before = await caller.dump()
    request = pb.BatchCreateTasksRequest(specs=[python(pickle=b"x" * (21 << 20))])
    with pytest.raises(Refused) as answer:
        await caller.call("BatchCreateTasks", request)
    assert answer.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await caller.dump() == before
