"""`quorate.Executor` behaves as `concurrent.futures` says."""

import concurrent.futures
import operator
import threading

import grpc
import pytest

from quorate.client.client import Client
from quorate.client.errors import ArgumentNotSerialisable
from quorate.client.futures.executor import Executor
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def address(cluster):
    return FakeServer(cluster).address


@pytest.fixture
def pool(address):
    with Executor(address=address) as pool:
        yield pool


def test_it_is_an_executor_and_its_futures_are_futures(pool):
    assert isinstance(pool, concurrent.futures.Executor)
    future = pool.submit(pow, 2, 5)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(10) == 32
    assert future.done()
    assert not future.running()


def test_a_future_raises_the_original_exception(pool):
    future = pool.submit(operator.truediv, 1, 0)
    assert isinstance(future.exception(10), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        future.result()


def test_map_with_several_iterables_and_chunks(pool, cluster):
    assert list(pool.map(pow, range(100), [2] * 100, chunksize=10)) == [n * n for n in range(100)]
    (job,) = cluster.jobs.values()
    assert job.shown().count == 100
    assert not cluster.tasks


def test_map_raises_at_the_item_and_times_out(pool, cluster):
    results = pool.map(operator.truediv, [4, 1], [2, 0])
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)
    cluster.hold.clear()
    with pytest.raises(TimeoutError):
        next(pool.map(abs, [1], timeout=0.05))
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(abs, [1], chunksize=0)


def test_wait_and_as_completed_work(pool):
    futures = {pool.submit(operator.neg, n): n for n in range(20)}
    for future in concurrent.futures.as_completed(futures, timeout=60):
        assert future.result() == -futures[future]


def test_many_submits_are_few_calls(pool, cluster):
    futures = [pool.submit(abs, -n) for n in range(500)]
    assert [future.result(20) for future in futures] == list(range(500))
    batches = [method for method, _ in cluster.calls if method == "BatchCreateTasks"]
    assert len(batches) < 250


def test_a_call_that_waits_on_the_cluster_can_be_cancelled(pool, cluster):
    cluster.hold.clear()
    future = pool.submit(abs, -1)
    wait_until(lambda: future.task_id)
    assert not future.running()
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(10)
    wait_until(lambda: cluster.tasks[future.task_id].state == 8)


def test_a_finished_call_cannot_be_cancelled(pool):
    future = pool.submit(abs, -1)
    future.result(10)
    assert not future.cancel()


def test_what_does_not_serialise_is_refused_at_submit(pool, cluster):
    with pytest.raises(ArgumentNotSerialisable):
        pool.submit(abs, threading.Lock())
    assert not cluster.tasks


def test_shutdown_waits_and_then_refuses(address):
    pool = Executor(address=address)
    future = pool.submit(pow, 2, 3)
    pool.shutdown()
    assert future.done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, 1)


def test_shutdown_can_cancel_what_has_not_run(address, cluster):
    cluster.hold.clear()
    pool = Executor(address=address)
    futures = [pool.submit(abs, -n) for n in range(5)]
    wait_until(lambda: all(future.task_id for future in futures))
    pool.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)


def test_max_workers_bounds_what_is_on_the_cluster_at_once(address, cluster):
    cluster.hold.clear()
    with Executor(max_workers=2, address=address) as pool:
        futures = [pool.submit(abs, -n) for n in range(6)]
        wait_until(lambda: len(cluster.tasks) == 2)
        cluster.hold.set()
        assert [future.result(20) for future in futures] == list(range(6))
    with pytest.raises(ValueError, match="max_workers"):
        Executor(max_workers=0, address=address)


def test_a_future_fails_when_its_creation_is_refused(pool, cluster):
    cluster.refuse("BatchCreateTasks", grpc.StatusCode.FAILED_PRECONDITION)
    assert "ordered" in str(pool.submit(abs, 1).exception(10))
    assert pool.submit(abs, -2).result(10) == 2


def test_a_borrowed_client_stays_open_and_options_are_applied(address, cluster):
    with Client(address) as client:
        with Executor(client=client, priority=9) as pool:
            assert pool.submit(abs, -1).result(10) == 1
        assert client.submit(abs, -2).result(10) == 2
    assert sorted(task.spec.priority for task in cluster.tasks.values()) == [0, 9]
