"""Cancelling many tasks from the SDK: pages, refusals, and clusters that have no such call."""

import asyncio

import grpc
import pytest

from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.mapping import bulk, mapper
from quorate.client.mapping.bulk import give_up
from quorate.client.mapping.counts import Cancelled
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until

CANCELLED = 8


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    yield cluster
    cluster.close()


@pytest.fixture
def client(cluster):
    with Client(FakeServer(cluster).address) as client:
        yield client


def test_handles_and_ids_are_cancelled_and_counted(client, cluster):
    handles = [client.submit(abs, n) for n in range(3)]
    chosen = [handles[0], handles[1].id, handles[1], "unknown"]
    counts = client.cancel_tasks(chosen)
    assert counts == Cancelled(cancelled=2, not_found=1)
    assert client.cancel_tasks(chosen) == Cancelled(finished=2, not_found=1)
    assert [cluster.tasks[handle.id].state for handle in handles] == [CANCELLED, CANCELLED, 3]


def test_more_ids_than_one_call_takes_are_several_calls(client, cluster, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_IDS", 2)
    handles = [client.submit(abs, n) for n in range(5)]
    assert client.cancel_tasks(handles).cancelled == 5
    assert [len(request.ids) for request in cluster.bulk_cancels] == [2, 2, 1]
    ids = {request.request_id for request in cluster.bulk_cancels}
    assert len(ids) == 3


def test_a_dry_run_counts(client, cluster):
    client.submit(abs, 1)
    assert client.cancel_tasks(queue="default", dry_run=True).cancelled == 1
    assert client.cancel_tasks(queue="default", states=["pending"]).cancelled == 1


def test_no_tasks_at_all_are_nothing_to_do(client, cluster):
    client.submit(abs, 1)
    assert client.cancel_tasks([]) == Cancelled()
    assert not cluster.bulk_cancels


@pytest.mark.parametrize("arguments", [{}, {"tasks": ["x"], "queue": "q"}, {"states": ["odd"]}])
def test_bad_arguments_are_refused_before_anything_is_sent(client, cluster, arguments):
    with pytest.raises(QuorateError) as error:
        client.cancel_tasks(**arguments)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert not cluster.bulk_cancels


async def test_the_asynchronous_client_does_the_same(cluster):
    async with AsyncClient(FakeServer(cluster).address) as client:
        handles = [await client.submit(abs, n) for n in range(3)]
        assert await client.cancel_tasks(handles[:2]) == Cancelled(cancelled=2)
        assert (await client.cancel_tasks(queue="default")).cancelled == 1


def test_a_cluster_without_the_call_gets_one_for_each_task(client, cluster):
    """A scheduler of an earlier version answers UNIMPLEMENTED."""
    ids = [client.submit(abs, n).id for n in range(3)]
    cluster.refuse("CancelTasks", grpc.StatusCode.UNIMPLEMENTED)
    give_up(client.calls, ids, seconds=5)
    assert [cluster.tasks[task].state for task in ids] == [CANCELLED] * 3


async def test_a_map_that_is_cancelled_while_it_creates_leaves_nothing(cluster):
    cluster.answer_late = 0.3
    async with AsyncClient(FakeServer(cluster).address) as client:

        async def run() -> None:
            async for _ in client.map(abs, range(50), chunk=1):
                pass

        running = asyncio.ensure_future(run())
        await asyncio.to_thread(wait_until, lambda: cluster.tasks)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        states = {task.state for task in cluster.tasks.values()}
    assert len(cluster.tasks) == 50
    assert states == {CANCELLED}


def test_an_interrupted_map_leaves_nothing(client, cluster, monkeypatch):
    """Ctrl-C while the tasks are created: the same request says which there are."""
    real = mapper.send_batch
    calls = []

    def interrupted(calls_, request):
        ids = real(calls_, request)
        calls.append(request.request_id)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return ids

    monkeypatch.setattr(mapper, "send_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(client.map(abs, range(50), chunk=1))
    assert calls[0] == calls[1]
    assert len(cluster.tasks) == 50
    assert {task.state for task in cluster.tasks.values()} == {CANCELLED}


def test_async_functions_are_awaited_in_maps(client, cluster):
    cluster.hold.set()
    assert list(client.map(doubled, range(10), chunk=4)) == [2 * n for n in range(10)]
    with pytest.raises(ValueError, match="3"):
        list(client.map(odd_one_out, range(10), chunk=10))


async def doubled(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def odd_one_out(number: int) -> int:
    if number == 3:
        raise ValueError(number)
    return number
