"""Calls that cannot be pickled, unpickled or survived: each future ends, and the pool goes on.

CPython's cases of `ExecutorDeadlockTest`. There a crash breaks the pool for good; here it is the
outcome of its call alone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import quorate
from quorate.errors import ArgumentNotSerialisable, TaskFailed
from tests.support.futures import environment
from tests.support.served import Served, served_by

served = served_by(nodes=1, slots=2)
SECONDS = 40


@pytest.fixture
def pool(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[quorate.Executor]:
    environment(served, monkeypatch)
    with quorate.Executor(crash_limit=1) as pool:
        yield pool


class Unpickled:
    """Does something when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._calls = (call, arguments)

    def __reduce__(self) -> Any:
        return self._calls


class Unpicklable:
    """Does something when it is pickled."""

    def __reduce__(self) -> Any:
        raise ValueError("not me")


def test_error_at_task_pickle(pool):
    with pytest.raises(ArgumentNotSerialisable, match="not me"):
        pool.submit(id, Unpicklable())
    assert pool.submit(abs, -1).result(SECONDS) == 1


# What the argument does when the node reads it; the error's type.
AT_TASK_UNPICKLE = {
    "error": (Unpickled(int, "x"), "ARGUMENTS_NOT_READABLE"),
    "exit": (Unpickled(sys.exit, 1), "ARGUMENTS_NOT_READABLE"),
    "crash": (Unpickled(os._exit, 1), "WORKER_CRASHED"),
}


@pytest.mark.parametrize("what", AT_TASK_UNPICKLE)
def test_at_task_unpickle(pool, what):
    """test_error_..., test_exit_... and test_crash_at_task_unpickle"""
    argument, kind = AT_TASK_UNPICKLE[what]
    error = pool.submit(id, argument).exception(SECONDS)
    assert isinstance(error, TaskFailed)
    assert error.type == kind
    assert pool.submit(abs, -1).result(SECONDS) == 1


def fails() -> None:
    raise ValueError("here")


DURING = {
    "error": (lambda: int("x"), ValueError, "ValueError"),
    "exit": (lambda: sys.exit(3), TaskFailed, "SystemExit"),
    "crash": (lambda: os._exit(3), TaskFailed, "WORKER_CRASHED"),
    "killed": (lambda: os.kill(os.getpid(), signal.SIGKILL), TaskFailed, "WORKER_CRASHED"),
}


@pytest.mark.parametrize("what", DURING)
def test_during_func_exec_on_worker(pool, what):
    """test_error_..., test_exit_..., test_crash_during_func_exec_on_worker; test_killed_child"""
    function, type_, kind = DURING[what]
    error = pool.submit(function).exception(SECONDS)
    assert type(error) is type_
    if isinstance(error, TaskFailed):
        assert error.type == kind
    assert pool.submit(abs, -1).result(SECONDS) == 1


def result_of(call: Callable[..., Any], *arguments: Any) -> Callable[[], object]:
    """A function whose result does something when the node pickles it."""

    def function() -> object:
        def reduce(self: object) -> Any:
            return call(*arguments)

        return type("Result", (), {"__reduce__": reduce})()

    return function


AT_RESULT_PICKLE = {
    "error": (result_of(int, "x"), "RESULT_NOT_SERIALISABLE"),
    "exit": (result_of(sys.exit, 1), "RESULT_NOT_SERIALISABLE"),
    "crash": (result_of(os._exit, 1), "WORKER_CRASHED"),
}


@pytest.mark.parametrize("what", AT_RESULT_PICKLE)
def test_during_result_pickle_on_worker(pool, what):
    """test_error_..., test_exit_... and test_crash_during_result_pickle_on_worker"""
    function, kind = AT_RESULT_PICKLE[what]
    error = pool.submit(function).exception(SECONDS)
    assert isinstance(error, TaskFailed)
    assert error.type == kind
    assert pool.submit(abs, -1).result(SECONDS) == 1


def unpickles(call: Callable[..., Any], *arguments: Any) -> Callable[[], object]:
    """A function whose result does something when it is unpickled here."""

    def function() -> object:
        return type("Result", (), {"__reduce__": lambda self: (call, arguments)})()

    return function


@pytest.mark.parametrize(("call", "argument"), [(int, "x"), (sys.exit, 1)], ids=["error", "exit"])
def test_during_result_unpickle_in_result_handler(pool, call, argument):
    """test_error_... and test_exit_during_result_unpickle_in_result_handler"""
    error = pool.submit(unpickles(call, argument)).exception(SECONDS)
    assert isinstance(error, BaseException)
    assert pool.submit(abs, -1).result(SECONDS) == 1


def test_shutdown_deadlock(pool):
    """`shutdown` behind a call that ends its worker."""
    future = pool.submit(DURING["crash"][0])
    pool.shutdown()
    assert isinstance(future.exception(0), TaskFailed)


def test_shutdown_deadlock_pickle(pool):
    """`shutdown` behind a call that cannot be sent."""
    with pytest.raises(ArgumentNotSerialisable):
        pool.submit(id, Unpicklable())
    begin = time.monotonic()
    pool.shutdown()
    assert time.monotonic() - begin < 5
