"""Arrays through the asyncio client, against a scheduler in this process."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.jobs import parts
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
async def client(cluster: FakeCluster) -> AsyncIterator[AsyncClient]:
    servers = [FakeServer(cluster), FakeServer(cluster)]
    async with AsyncClient(",".join(one.address for one in servers), retry_for=5) as client:
        yield client


def half(number: int) -> float:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


async def test_an_array_from_its_creation_to_its_deletion(
    client: AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 3)
    cluster.stop_after = 2
    cluster.refuse("AppendJobItems", grpc.StatusCode.RESOURCE_EXHAUSTED)
    job = await client.array(half, range(8), max_parallel=2)
    assert cluster.appended == [3, 2]
    assert [one async for one in job.results(failures="skip")] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="1 is odd"):
        [one async for one in job.results()]
    assert (await job).counts.failed == 4
    assert await job.status() == "FAILED"
    assert (await job.progress()).finished == 8
    assert repr((await job.outcome(3)).error) == "ValueError('3 is odd')"
    assert (await job.outcome(4)).value == 2.0
    with pytest.raises(QuorateError, match="index: 8 is none"):
        await job.outcome(8)
    (group,) = await job.errors()
    assert group.count == 4
    assert [one.index async for one in job.subtasks(["failed"])] == [1, 3, 5, 7]
    assert [one.count async for one in job.ranges(["failed"])] == [4]
    assert [one.id async for one in client.jobs(states=["failed"])] == [job.id]
    await job.retry()
    await job.wait(60)
    assert not await job.cancel()
    await job.delete()
    with pytest.raises(QuorateError, match="does not exist"):
        await client.job(job.id).job()


async def test_an_open_array_takes_items_as_they_come(client: AsyncClient) -> None:
    async def items() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    job = await client.array(abs, open=True)
    assert await job.append(items()) == 3
    assert await job.append([-4]) == 4
    await job.pause()
    await job.resume()
    await job.close()
    assert [one async for one in job.results()] == [0, 1, 2, 4]


async def test_two_programs_append_the_same_items_at_once(
    client: AsyncClient, cluster: FakeCluster
) -> None:
    job = await client.array(abs, open=True)

    async def items() -> AsyncIterator[int]:
        assert await client.job(job.id).append([-1, -2]) == 2
        for number in (-1, -2):
            yield number

    assert await job.append(items()) == 4
    assert [pickle.loads(one) for one in cluster.jobs[job.id].items] == [-1, -2, -1, -2]


async def test_items_that_cannot_be_read_cancel_the_job(
    client: AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ITEMS", 2)
    cluster.hold.clear()

    def items() -> Iterator[int]:
        yield from range(7)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await client.array(abs, items())
    assert [one.cancel_requested async for one in client.jobs()] == [True]


async def test_a_handle_travels_by_its_id(client: AsyncClient) -> None:
    job = await client.array_spec(
        (await (await client.submit(abs, 1)).task(full=True)).spec, count=0
    )
    assert await job.done()
    there = pickle.loads(pickle.dumps(job))
    assert there.id == job.id == client.job(job.id).id
    assert job == client.job(job.id)
    assert hash(job) == hash(client.job(job.id))


def test_both_clients_have_the_same_methods_about_jobs() -> None:
    for name in ("array", "array_spec", "map_reduce", "job", "jobs"):
        assert callable(getattr(Client, name))
        assert callable(getattr(AsyncClient, name))


async def test_map_reduce(client: AsyncClient) -> None:
    job = await client.map_reduce(half, [2, 4], sum, fan_in=10)
    assert await job.result(10) == 3.0
    assert (await job.job()).spec.reduce.fan_in == 10
    failed = await client.array(half, [2], reduce=half)
    with pytest.raises(TypeError, match="unsupported operand"):
        await failed.result(10)
