"""The asyncio client against a scheduler in this process."""

import asyncio
import itertools
import operator

import grpc
import pytest

from quorate.client.aio import AsyncClient
from quorate.client.errors import TaskCancelled
from quorate.client.tracking import atracker
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def servers(cluster):
    return [FakeServer(cluster), FakeServer(cluster)]


@pytest.fixture
def address(servers):
    return ",".join(server.address for server in servers)


async def test_awaiting_a_handle_is_awaiting_its_result(address):
    async with AsyncClient(address, retry_for=5) as client:
        assert await (await client.submit(pow, 2, 10)) == 1024
        assert await (await client.command(["true"])) == 0
        assert await (await client.submit_json("math:hypot", [3, 4])).result(10) == 5.0


async def test_an_exception_is_the_original_one(address):
    async with AsyncClient(address, retry_for=5) as client:
        handle = await client.submit(operator.truediv, 1, 0)
        with pytest.raises(ZeroDivisionError):
            await handle
        assert await handle.done()
        assert await handle.status() == "FAILED"
        await handle.retry()
        with pytest.raises(ZeroDivisionError):
            await handle


async def test_refused_calls_are_repeated_without_a_second_task(address, cluster):
    cluster.refuse("CreateTask", UNAVAILABLE, UNAVAILABLE)
    async with AsyncClient(address, retry_for=5) as client:
        assert await (await client.submit(abs, -3)) == 3
    assert len(cluster.tasks) == 1


async def test_patience_ends(address, cluster):
    async with AsyncClient("127.0.0.1:1", retry_for=0.2) as client:
        with pytest.raises(QuorateError) as caught:
            await client.submit(abs, -3)
    assert caught.value.code is UNAVAILABLE


async def test_many_tasks_at_once(address):
    async with AsyncClient(address, retry_for=5) as client:
        handles = await asyncio.gather(*(client.submit(operator.neg, n) for n in range(50)))
        assert await asyncio.gather(*(h.result(20) for h in handles)) == [-n for n in range(50)]


async def test_cancel_and_timeout(address, cluster):
    cluster.hold.clear()
    async with AsyncClient(address, retry_for=5) as client:
        handle = await client.submit(abs, -3)
        with pytest.raises(TimeoutError):
            await handle.result(0.05)
        assert await handle.cancel()
        with pytest.raises(TaskCancelled):
            await handle
        assert await handle.cancel()


async def test_a_watch_is_renewed_when_it_is_silent_and_only_then(address, cluster, monkeypatch):
    monkeypatch.setattr(atracker, "SILENCE", 0.3)
    cluster.progress = 0.05
    cluster.hold.clear()

    def watches():
        return sum(method == "WatchTasks" for method, _ in cluster.calls)

    async def until(condition):
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    async with AsyncClient(address, retry_for=5) as client:
        values = client.map(abs, [-1], chunk=1)
        first = asyncio.ensure_future(anext(values))
        await until(lambda: cluster.progressed >= 12)
        assert watches() == 1
        cluster.frozen = True
        await until(lambda: watches() >= 3)
        cluster.hold.set()
        await until(lambda: all(task.state == 6 for task in cluster.tasks.values()))
        cluster.frozen = False
        assert await first == 1


async def test_map_keeps_order_over_a_failover(address, cluster, servers):
    seen = []
    async with AsyncClient(address, retry_for=10) as client:
        async for value in client.map(abs, range(600), chunk=1):
            seen.append(value)
            if len(seen) == 100:
                cluster.break_watches()
            if len(seen) == 300:
                await asyncio.to_thread(servers[0].stop)
    assert seen == list(range(600))


async def test_map_unordered_has_every_value(address):
    async with AsyncClient(address, retry_for=5) as client:
        values = [v async for v in client.map_unordered(lambda n: n * n, range(1000))]
    assert sorted(values) == [n * n for n in range(1000)]


async def test_leaving_an_endless_map_cancels_the_rest(address, cluster):
    cluster.hold.clear()
    async with AsyncClient(address, retry_for=5) as client:
        values = client.map(abs, itertools.count(), chunk=5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(values)
        assert cluster.tasks
        assert {task.state for task in cluster.tasks.values()} == {8}  # CANCELLED


async def test_a_token_that_is_too_old_makes_the_tracker_list_again(address, cluster):
    cluster.hold.clear()
    async with AsyncClient(address, retry_for=10) as client:
        values = client.map(abs, [-1, -2], chunk=1)
        first = asyncio.ensure_future(anext(values))
        async with asyncio.timeout(60):
            while len(cluster.tasks) < 2:
                await asyncio.sleep(0.01)
            cluster.refuse("WatchTasks", *[UNAVAILABLE] * 4)
            cluster.break_watches()
            cluster.hold.set()
            while any(task.state != 6 for task in cluster.tasks.values()):
                await asyncio.sleep(0.01)
            cluster.forget_tokens()
            assert [await first, await anext(values)] == [1, 2]
    assert any(method == "ListTasks" for method, _ in cluster.calls)


async def test_logs(address):
    async with AsyncClient(address, retry_for=5) as client:
        handle = await client.command(["echo", "hello"])
        await handle.wait(60)
        assert [chunk.data async for chunk in handle.logs()] == [b"hello\n"]


async def test_an_unknown_task_and_a_closed_client(address):
    client = AsyncClient(address, retry_for=1)
    with pytest.raises(QuorateError) as caught:
        await client.get("nope").wait(1)
    assert caught.value.reason == "TASK_NOT_FOUND"
    assert (await client.cluster()).epoch == 7
    await client.close()
    with pytest.raises(QuorateError, match="closed"):
        await client.submit(abs, 1)
