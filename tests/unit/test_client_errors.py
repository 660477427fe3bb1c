"""Exceptions of the SDK travel between processes; those of tasks never harm the caller."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import grpc
import pytest

from quorate.client.errors import (
    ArgumentNotSerialisable,
    ConsumerEnded,
    DeliveryLost,
    LargeValueError,
    MessageRejected,
    MessageUnroutable,
    PayloadTooLarge,
    QuorateError,
    TaskCancelled,
    TaskFailed,
)
from quorate.client.tracking.outcome import error_of, value_of, with_sources
from quorate.runtime.errors import already_exists, exhausted, invalid, not_found, unavailable
from quorate.security.tls.pem import TlsError
from quorate.v1 import task_pb2


def _delayed() -> QuorateError:
    error = unavailable("LEADER_LOST", "wait")
    error.retry_delay = 0.5
    return error


ERRORS: list[Exception] = [
    QuorateError(grpc.StatusCode.NOT_FOUND, "X", "text", field="f", metadata={"limit": "3"}),
    invalid("spec", "is bad", limit=5),
    not_found("task", "t1"),
    already_exists("queue", "q"),
    exhausted("TOO_MANY", "too many", limit=1),
    _delayed(),
    PayloadTooLarge(10, 5),
    PayloadTooLarge(10, 5, batch=True),
    PayloadTooLarge(10, 5, store=True),
    LargeValueError("BLOB_CORRUPT", "no"),
    ArgumentNotSerialisable("argument 1", "a lock"),
    MessageUnroutable(grpc.StatusCode.NOT_FOUND, "ROUTE_NOT_FOUND", "nowhere"),
    MessageRejected(grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_QUEUE_FULL", "full"),
    ConsumerEnded(grpc.StatusCode.FAILED_PRECONDITION, "MESSAGE_QUEUE_DELETED", "gone"),
    DeliveryLost(grpc.StatusCode.FAILED_PRECONDITION, "UNKNOWN_DELIVERY", "settled"),
    TaskFailed("t", "ValueError", "no", remote_traceback="trace", code=3, attempts=2),
    TaskCancelled("t"),
]


def _facts(error: BaseException) -> tuple[Any, ...]:
    return type(error), str(error), error.args, vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_an_exception_of_the_sdk_unpickles_as_it_was(error: Exception, dumps: Any) -> None:
    assert _facts(pickle.loads(dumps(error))) == _facts(error)


def test_every_kind_of_sdk_exception_is_in_the_list_above() -> None:
    def kinds(of: type) -> set[type]:
        return {of}.union(*map(kinds, of.__subclasses__()))

    ours = {kind for kind in kinds(QuorateError) if kind.__module__.startswith("quorate.")}
    assert ours - {TlsError} <= {type(error) for error in ERRORS}


def _raise_too_large() -> None:
    raise PayloadTooLarge(10, 5)


def test_a_process_pool_survives_an_exception_of_the_sdk() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(PayloadTooLarge) as caught:
            pool.submit(_raise_too_large).result(60)
        assert (caught.value.size, caught.value.limit) == (10, 5)
        assert pool.submit(pow, 2, 3).result(60) == 8


# -- exceptions and results of tasks -----------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    pass


class Slotted(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class UnpicklesToExit(Exception):
    def __reduce__(self) -> Any:
        return sys.exit, (7,)


class ResultThatExits:
    def __reduce__(self) -> Any:
        return sys.exit, (7,)


def _failed(error: Exception) -> task_pb2.Task:
    return task_pb2.Task(
        id="t",
        state=task_pb2.TASK_STATE_FAILED,
        error=task_pb2.TaskError(
            type="X", message="m", traceback="here", pickle=pickle.dumps(error)
        ),
    )


@pytest.mark.parametrize("kind", [Frozen, Slotted])
def test_an_exception_that_cannot_be_changed_arrives_as_itself(kind: type[Exception]) -> None:
    error = error_of(_failed(kind()))
    assert type(error) is kind
    assert isinstance(error.__cause__, TaskFailed)
    assert "here" in error.__notes__[0]


class LookingExits(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        sys.exit(8)


def test_an_exception_that_exits_when_it_is_looked_at_is_a_task_failed() -> None:
    assert type(error_of(_failed(LookingExits()))) is TaskFailed


def test_an_exception_whose_unpickling_exits_is_a_task_failed() -> None:
    assert type(error_of(_failed(UnpicklesToExit()))) is TaskFailed


def test_a_result_whose_unpickling_exits_is_a_task_failed() -> None:
    result = task_pb2.TaskResult(pickle=pickle.dumps(ResultThatExits()))
    task = task_pb2.Task(id="t", state=task_pb2.TASK_STATE_SUCCEEDED, result=result)
    with pytest.raises(TaskFailed) as caught:
        value_of(task)
    assert caught.value.type == "RESULT_NOT_READABLE"


def test_a_remote_traceback_gets_the_source_lines_of_loaded_files_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    told = (
        "Traceback (most recent call last):\n"
        f'  File "{__file__}", line 1, in outer\n'
        f'  File "{__file__}", line 1, in inner\n'
        "    seen on the node\n"
        f'  File "{tmp_path / "secret"}", line 1, in leak\n'
        '  File "/dev/zero", line 1, in hang\n'
        "ValueError: no"
    )
    assert with_sources(told).splitlines()[2:4] == [
        '    """' + (__doc__ or "").splitlines()[0] + '"""',
        f'  File "{__file__}", line 1, in inner',
    ]
    assert with_sources(told).count("\n") == told.count("\n") + 1
