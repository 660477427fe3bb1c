"""`map` as an array: order, failures, time, endless items, and what tasks do instead."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import grpc
import pytest

from quorate.client.client import Client
from quorate.client.errors import ArgumentNotSerialisable
from quorate.client.futures.executor import Executor
from quorate.client.maps import plan as plans
from quorate.v1 import job_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer, only, wait_until


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
    with Client(address) as client:
        yield client


@pytest.fixture
def pool(address: str) -> Iterator[Executor]:
    with Executor(address=address) as pool:
        yield pool


def inverse(number: int) -> float:
    return 1 / number


def test_a_map_is_one_job_with_its_values_in_order(client: Client, cluster: FakeCluster) -> None:
    assert list(client.map(abs, range(0, -500, -1))) == list(range(500))
    assert only(cluster).state == job_pb2.JOB_STATE_SUCCEEDED
    assert not cluster.tasks
    assert list(client.map(abs, [])) == []


def test_the_failure_is_raised_at_its_item_and_the_rest_is_cancelled(
    client: Client, cluster: FakeCluster
) -> None:
    values = client.map(inverse, [1, 2, 0, 4])
    assert [next(values), next(values)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(values)
    assert only(cluster).cancel_requested or only(cluster).state == job_pb2.JOB_STATE_FAILED


def test_endless_items_are_taken_ahead_within_a_bound(
    client: Client, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "FIRST_AHEAD", 10)
    monkeypatch.setattr(plans, "MOST_AHEAD", 40)
    taken = itertools.count()
    values = client.map(abs, taken)
    assert [next(values) for _ in range(200)] == list(range(200))
    assert next(taken) <= 200 + 40 + 1
    values.close()  # type: ignore[attr-defined]
    assert only(cluster).cancel_requested


def test_a_map_that_takes_too_long_is_ended(client: Client, cluster: FakeCluster) -> None:
    cluster.hold.clear()
    with pytest.raises(TimeoutError):
        next(client.map(abs, range(20), timeout=0.05))
    assert only(cluster).cancel_requested


def test_options_and_chunks_that_an_array_does_not_have_make_tasks(
    client: Client, cluster: FakeCluster
) -> None:
    assert list(client.map(abs, range(5), chunk=5)) == list(range(5))
    assert list(client.options(ordering_key="k").map(abs, range(5))) == list(range(5))
    assert list(client.map_unordered(abs, [1])) == [1]
    assert not cluster.jobs
    assert len(cluster.tasks) >= 3


def test_a_cluster_without_arrays_gets_tasks(client: Client, cluster: FakeCluster) -> None:
    cluster.refuse("CreateJob", grpc.StatusCode.UNIMPLEMENTED)
    assert list(client.map(abs, range(30))) == list(range(30))
    assert not cluster.jobs


def test_an_item_that_is_too_large_and_what_follows_are_tasks(
    address: str, cluster: FakeCluster
) -> None:
    items = [b"a", b"b", b"c" * 5_000, b"d"]
    with Client(address, payload_limit=1_000) as client:
        values = client.map(len, items)
        assert [next(values), next(values)] == [1, 1]
        assert only(cluster).count == 2
        with pytest.raises(Exception, match="limit"):
            next(values)


def test_a_map_survives_a_stream_that_breaks(client: Client, cluster: FakeCluster) -> None:
    cluster.stop_after = 3
    assert list(client.map(abs, range(50))) == list(range(50))


def test_executor_values_can_be_taken_after_its_end(address: str) -> None:
    with Executor(address=address) as pool:
        values = pool.map(pow, range(50), [2] * 50)
    assert list(values) == [n * n for n in range(50)]


def test_an_executor_bounds_its_calls(address: str, cluster: FakeCluster) -> None:
    with Executor(3, address=address) as pool:
        assert list(pool.map(abs, range(5))) == list(range(5))
    assert only(cluster).spec.max_parallel == 3


def test_shutdown_cancels_what_has_not_begun(address: str, cluster: FakeCluster) -> None:
    cluster.hold.clear()
    pool = Executor(address=address)
    values = pool.map(abs, range(50))
    wait_until(lambda: len(cluster.jobs) == 1)
    pool.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        list(values)
    assert only(cluster).state == job_pb2.JOB_STATE_CANCELLED


def test_what_cannot_be_sent_is_said_where_the_values_are_taken(pool: Executor) -> None:
    with pytest.raises(ArgumentNotSerialisable):
        list(pool.map(abs, [threading.Lock()]))


def test_leaving_an_executor_map_cancels_the_rest(pool: Executor, cluster: FakeCluster) -> None:
    cluster.hold.clear()
    with pytest.raises(TimeoutError):
        next(pool.map(abs, range(20), timeout=0.05))
    # On a busy machine it is created only now.
    wait_until(lambda: bool(cluster.jobs) and only(cluster).cancel_requested)
