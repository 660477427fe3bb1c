"""Which waits of the SDK a worker hears of, and that nothing else touches it."""

from __future__ import annotations

import asyncio
import pickle
import queue
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import IO, Any

import pytest

from quorate.client.ahandle import AsyncTaskHandle
from quorate.client.futures import future as f
from quorate.client.futures.future import ClusterFuture
from quorate.client.handle import TaskHandle
from quorate.client.tracking import waiting as w
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2, task_pb2


class Host:
    """Counts; refuses when told a limit."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.limit = 0
        self.waits = threading.Event()

    def begin(self) -> int:
        if self.limit:
            raise w.TooManyWait(self.limit)
        self.begun += 1
        self.waits.set()
        return self.begun

    def end(self, wait: int) -> None:
        assert wait <= self.begun
        self.ended += 1


class Owner:
    def withdraw(self, futures: list[Any]) -> None: ...

    def is_running(self, task_id: str) -> bool:
        return False

    def large(self, ref: task_pb2.BlobRef) -> IO[bytes]:
        raise AssertionError("no large result")


class Answers:
    """A cluster whose task is finished when it is first asked about."""

    retry_for = poll = 1.0

    def __init__(self, task: task_pb2.Task) -> None:
        self._answer = scheduler_pb2.WaitTaskResponse(task=task)
        self.asked = 0

    async def call(self, *_: object, **__: object) -> scheduler_pb2.WaitTaskResponse:
        self.asked += 1
        return self._answer


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    w.register(host)
    yield host
    w.register(None)
    assert host.begun == host.ended


def future_that_ends(host: Host) -> ClusterFuture[int]:
    """It has its result once somebody waits."""
    future: ClusterFuture[int] = ClusterFuture(Owner())

    def settle() -> None:
        host.waits.wait(60)
        future.set_result(42)

    threading.Thread(target=settle, daemon=True).start()
    return future


def test_a_future(host: Host) -> None:
    assert future_that_ends(host).result(10) == 42
    assert host.begun == 1


def test_a_future_asked_for_its_exception(host: Host) -> None:
    assert future_that_ends(host).exception(10) is None
    assert host.begun == 1


def test_futures_of_the_standard_library_s_wait(host: Host) -> None:
    mine = [future_that_ends(host) for _ in range(3)]
    done, left = futures.wait(mine, 10)
    assert (done, left) == (set(mine), set())
    assert host.begun == 1


def test_futures_of_the_standard_library_s_as_completed(host: Host) -> None:
    mine = [future_that_ends(host) for _ in range(3)]
    assert {future.result() for future in futures.as_completed(mine, 10)} == {42}
    assert 1 <= host.begun <= 3


def test_what_is_known_touches_nothing(host: Host) -> None:
    future: ClusterFuture[int] = ClusterFuture(Owner())
    future.set_result(1)
    assert future.result() == 1
    assert future.exception() is None
    assert list(futures.as_completed([future])) == [future]
    assert futures.wait([future]).done == {future}
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    arrived.put(1)
    assert w.take(arrived, None) == 1
    task = task_pb2.Task(id="t", state=task_pb2.TASK_STATE_SUCCEEDED)
    handle: TaskHandle[Any] = TaskHandle(None, "t")
    handle.settle(task)
    assert handle.wait() is task
    calls = Answers(task)
    later: AsyncTaskHandle[Any] = AsyncTaskHandle(calls, "t")  # type: ignore[arg-type]
    for _ in range(2):
        assert asyncio.run(later.wait()) == task
    assert calls.asked == 1
    assert host.begun == 0


def test_what_is_known_soon_touches_nothing(host: Host) -> None:
    future: ClusterFuture[int] = ClusterFuture(Owner())
    threading.Timer(0.001, future.set_result, [1]).start()
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Timer(0.001, arrived.put, [1]).start()
    with pytest.MonkeyPatch.context() as patch:
        for module in (w, f):
            patch.setattr(module, "BRIEF_SECONDS", 10.0)
        assert future.result() == w.take(arrived, None) == 1
    assert host.begun == 0


def test_a_look_without_patience_touches_nothing(host: Host) -> None:
    future: ClusterFuture[int] = ClusterFuture(Owner())
    with pytest.raises(TimeoutError):
        future.result(0)
    assert not futures.wait([future], 0).done
    with pytest.raises(queue.Empty):
        w.take(queue.SimpleQueue(), 0.001)
    assert host.begun == 0


def test_a_wait_takes_as_long_as_it_may(host: Host) -> None:
    begun = time.monotonic()
    with pytest.raises(queue.Empty):
        w.take(queue.SimpleQueue(), 0.1)
    future: ClusterFuture[int] = ClusterFuture(Owner())
    with pytest.raises(TimeoutError):
        future.result(0.1)
    assert time.monotonic() - begun > 0.15
    assert host.begun == 2


def test_a_rejection_names_the_limit_and_travels(host: Host) -> None:
    host.limit = 64
    with pytest.raises(QuorateError, match="64 tasks of this node wait") as caught:
        w.take(queue.SimpleQueue(), 5)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.code.name, error.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_WAITING_TASKS")
    assert error.metadata["limit"] == "64"


def test_nobody_hears_of_it_outside_of_a_worker() -> None:
    future: ClusterFuture[int] = ClusterFuture(Owner())
    assert type(future._waiters) is list
    with pytest.raises(TimeoutError):
        future.result(0.001)
    with w.waiting():
        pass


def test_an_error_passes_through(host: Host) -> None:
    with pytest.raises(KeyError), w.waiting():
        raise KeyError
