"""What lies on a bound is accepted, what lies beyond is refused with the bound.

Every refusal over the wire is in test_service_bad_specs.py and test_service_bad_requests.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from quorate.runtime.errors import QuorateError
from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from scheduler.api import validate
from scheduler.api.queues import validate as queues
from scheduler.api.specs.check import SpecCheck
from scheduler.api.tasks import validate as tasks

NOW = 1_800_000_000.0
DAY = 86_400


def check(spec: t.TaskSpec, limit: int = 256 << 10) -> Any:
    return SpecCheck(limit).spec(spec, "spec", NOW)


def command(*argv: str, **more: Any) -> t.TaskSpec:
    return t.TaskSpec(command=t.CommandWork(argv=argv or ("true",)), **more)


ON_THE_BOUND = [
    command(*["x"] * 1_024),
    command("true", ""),
    command(name="x" * 128),
    command(name="\u00e4" * 128),
    command(labels={f"{n:0128}": "v" * 128 for n in range(32)}),
    command(priority=1_000),
    command(priority=-1_000),
    command(timeout=Duration(nanos=1)),
    command(timeout=Duration(seconds=30 * DAY)),
    command(not_before=Timestamp()),
    command(not_before=Timestamp(seconds=int(NOW) + 366 * DAY)),
    command(retry=t.RetryPolicy(max_attempts=1_000, crash_limit=100)),
    command(retry=t.RetryPolicy(initial_backoff=Duration(), max_backoff=Duration(seconds=DAY))),
    command(retry=t.RetryPolicy(multiplier=1, jitter=0)),
    command(retry=t.RetryPolicy(multiplier=100, jitter=1, fatal_errors=["E"] * 64)),
    command(resources=t.Resources(cpu=1_024, memory=1 << 50)),
    command(resources=t.Resources(counters={f"c{n}": 1 << 31 for n in range(16)})),
    command(affinity_key="x" * 256),
    t.TaskSpec(command=t.CommandWork(argv=["x"], cwd="/", env={"A": ""})),
    t.TaskSpec(python=t.PythonWork(entrypoint="m:f")),
    t.TaskSpec(python=t.PythonWork(entrypoint="a.b_1._c:D.e.f2")),
    t.TaskSpec(python=t.PythonWork(entrypoint="m\u00f6d:f\u00fcr")),
    t.TaskSpec(python=t.PythonWork(entrypoint="m:f", json="[]")),
    t.TaskSpec(python=t.PythonWork(entrypoint="m:f", json=' {"args": [1], "kwargs": {"a": 2}} ')),
    t.TaskSpec(python=t.PythonWork(entrypoint="m:f", json="{}")),
    t.TaskSpec(python=t.PythonWork(entrypoint="m:f", pickle=b"")),
    t.TaskSpec(python=t.PythonWork(pickle=b"x")),
]


@pytest.mark.parametrize("spec", ON_THE_BOUND, ids=range(len(ON_THE_BOUND)))
def test_what_lies_on_a_bound_is_accepted(spec: t.TaskSpec) -> None:
    assert t.TaskSpec.FromString(check(spec).spec) == spec


def test_the_payload_limit_is_inclusive() -> None:
    spec = command("x" * 100)
    assert check(spec, limit=spec.ByteSize())
    with pytest.raises(QuorateError) as rejection:
        check(spec, limit=spec.ByteSize() - 1)
    assert rejection.value.reason == "PAYLOAD_TOO_LARGE"
    assert rejection.value.metadata["limit"] == str(spec.ByteSize() - 1)


@given(
    st.lists(
        st.recursive(
            st.none()
            | st.booleans()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            st.lists,
            max_leaves=5,
        )
    )
)
def test_any_json_array_is_accepted(arguments: list[Any]) -> None:
    text = json.dumps(arguments)
    assert check(t.TaskSpec(python=t.PythonWork(entrypoint="m:f", json=text)))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_duration_is_within_bounds_or_refused_by_name(seconds: int, nanos: int) -> None:
    try:
        amount = validate.duration("f", Duration(seconds=seconds, nanos=nanos), 60.0)
    except QuorateError as rejection:
        assert rejection.field == "f"  # noqa: PT017
    else:
        assert 0 < amount <= 60.0
        assert 0 <= nanos < 10**9


@pytest.mark.parametrize(
    ("good", "bad", "call"),
    [
        (1, -1, validate.page_size),
        (1_000, 1_001, validate.page_size),
        (0, -1, lambda value: tasks.offset(value, "offset")),
        (1 << 62, (1 << 62) + 1, lambda value: tasks.offset(value, "offset")),
        (100_000, 100_001, lambda value: tasks.lines("tail_lines", value)),
        (0, -1, lambda value: tasks.lines("tail_lines", value)),
        (0, -1, tasks.attempt),
        (2, 3, tasks.view),
        ("a" * 64, "a" * 65, lambda name: validate.queue_name("queue", name)),
        ("0._-", "._-", lambda name: validate.queue_name("queue", name)),
        ("x" * 256, "x" * 257, lambda name: validate.required("id", name)),
        ("x" * 128, "x" * 129, validate.request_id),
        (["x"] * 10_000, ["x"] * 10_001, tasks.watched),
    ],
)
def test_both_sides_of_a_bound(good: Any, bad: Any, call: Callable[[Any], object]) -> None:
    call(good)
    with pytest.raises(QuorateError) as rejection:
        call(bad)
    assert rejection.value.field


def test_defaults() -> None:
    assert validate.page_size(0) == 100
    assert validate.queue_name("queue", "", default=True) == "default"
    assert queues.retention(q.Queue()) == (86_400.0, 100_000)
    longest = q.Retention(age=Duration(seconds=366 * DAY), count=1_000_000)
    assert queues.retention(q.Queue(retention=longest)) == (366.0 * DAY, 1_000_000)
    shortest = q.Retention(age=Duration(seconds=1), count=1)
    assert queues.retention(q.Queue(retention=shortest)) == (1.0, 1)


def test_a_batch_on_its_bound_is_accepted() -> None:
    tasks.batch(pb.BatchCreateTasksRequest(specs=[command()] * 10_000))


@pytest.mark.parametrize(
    ("value", "limit"), [(0, "1"), (-5, "1"), (11, "10"), (float("nan"), "10")]
)
def test_the_limit_of_an_error_is_the_bound_that_was_broken(value: float, limit: str) -> None:
    with pytest.raises(QuorateError) as error:
        validate.between("field", value, 1, 10)
    assert error.value.metadata["limit"] == limit


def test_a_duration_below_0_breaks_the_lower_bound() -> None:
    with pytest.raises(QuorateError) as error:
        validate.duration("field", Duration(seconds=-1), 60.0)
    assert error.value.metadata["limit"] == "0"
