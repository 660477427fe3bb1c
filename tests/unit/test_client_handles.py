"""Handles are values: equal, hashable, picklable; many are made and followed at once."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Iterator

import pytest

import quorate
from quorate.client import shared
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.decorator import task
from quorate.client.handle import TaskHandle
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def address(cluster: FakeCluster) -> str:
    return FakeServer(cluster).address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, retry_for=10) as client:
        yield client


@pytest.fixture
def own_client(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client of this process goes to the cluster of the test."""
    monkeypatch.setenv("QUORATE_ADDRESS", address)
    monkeypatch.setattr(shared, "_client", None)
    yield
    shared.process_client().close()


def test_handles_of_one_task_are_one_key(client: Client) -> None:
    handle = client.submit(pow, 2, 3)
    assert {handle: 1}[client.get(handle.id)] == 1
    assert handle != client.submit(pow, 2, 3)
    assert handle != handle.id


@pytest.mark.usefixtures("own_client")
def test_a_handle_pickles_and_goes_through_the_client_of_its_process(client: Client) -> None:
    copy: TaskHandle[int] = pickle.loads(pickle.dumps(client.submit(pow, 2, 3)))
    assert copy.result(30) == 8


def _result_of(handle: TaskHandle[int]) -> int:
    return handle.result(30)


@pytest.mark.usefixtures("own_client")
def test_a_handle_may_be_an_argument_of_a_task(client: Client) -> None:
    first = client.submit(pow, 2, 3)
    assert first.result(30) == 8
    assert client.submit(_result_of, first).result(30) == 8


@pytest.mark.usefixtures("own_client")
async def test_a_handle_of_the_async_client_pickles_as_a_plain_one(address: str) -> None:
    async with AsyncClient(address) as client:
        handle = await client.submit(pow, 2, 3)
        assert await handle == 8
        assert pickle.loads(pickle.dumps(handle)) == TaskHandle(None, handle.id)
        assert handle == client.get(handle.id)


def test_a_handle_without_a_cluster_says_so_when_it_is_used(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    data = pickle.dumps(client.submit(pow, 2, 3))
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(shared, "_client", None)
    copy = pickle.loads(data)
    with pytest.raises(QuorateError, match="quorate up"):
        copy.result(1)


def test_many_calls_are_created_at_once(client: Client, cluster: FakeCluster) -> None:
    handles = client.submit_many(operator.add, [(n, 1) for n in range(2_500)])
    assert [handle.result(60) for handle in handles[:3]] == [1, 2, 3]
    assert len(set(handles)) == 2_500
    made = [method for method, _ in cluster.calls if method == "BatchCreateTasks"]
    assert len(made) == 3
    assert client.submit_many(operator.add, []) == []


def test_a_request_id_makes_a_submission_repeatable(client: Client) -> None:
    once = client.options(request_id="night-7")
    assert once.submit(pow, 2, 3) == once.submit(pow, 2, 3)
    many = client.options(request_id="night-8")
    calls = [(n, 1) for n in range(1_500)]
    assert many.submit_many(operator.add, calls) == many.submit_many(operator.add, calls)
    with pytest.raises(QuorateError, match="request_id: is not allowed: a map creates many tasks"):
        next(iter(once.map(abs, [1])))
    with pytest.raises(
        QuorateError, match="request_id: is not allowed: an executor creates many tasks"
    ):
        quorate.Executor(client=client, request_id="night-9")


def test_handles_come_as_they_finish(client: Client, cluster: FakeCluster) -> None:
    first = client.submit(pow, 2, 3)
    first.wait(30)
    cluster.hold.clear()
    held = client.submit(pow, 2, 4)
    arriving = quorate.as_completed([held, first, held], timeout=60)
    assert next(arriving) == first
    cluster.hold.set()
    assert next(arriving).result() == 16
    with pytest.raises(StopIteration):
        next(arriving)


def test_handles_that_do_not_finish_in_time_are_counted(
    client: Client, cluster: FakeCluster
) -> None:
    cluster.hold.clear()
    handles = client.submit_many(pow, [(2, 3), (2, 4)])
    with pytest.raises(TimeoutError, match="2 of 2 tasks are not finished"):
        list(quorate.as_completed(handles, timeout=0.05))
    cluster.hold.set()
    assert sorted(handle.result() for handle in quorate.as_completed(handles, 60)) == [8, 16]


@task
def squared(x: int) -> int:
    return x * x


def test_types_follow_the_function(client: Client) -> None:
    # mypy checks the annotations.
    handle: TaskHandle[int] = client.submit(squared, 3)
    value: int = handle.result(30)
    code: TaskHandle[int] = client.command(["true"])
    assert (value, code.result(30)) == (9, 0)
