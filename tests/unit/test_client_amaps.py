"""`AsyncClient.map` as an array: order, failures, endless items, and what is cancelled."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
import pytest_asyncio

from quorate.client.aio import AsyncClient
from quorate.client.maps import plan as plans
from quorate.v1 import job_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer, only


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest_asyncio.fixture
async def client(cluster: FakeCluster) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(FakeServer(cluster).address) as client:
        yield client


def inverse(number: int) -> float:
    return 1 / number


async def test_a_map_is_one_job_with_its_values_in_order(
    client: AsyncClient, cluster: FakeCluster
) -> None:
    values = [value async for value in client.map(abs, range(0, -300, -1))]
    assert values == list(range(300))
    assert only(cluster).state == job_pb2.JOB_STATE_SUCCEEDED
    assert not cluster.tasks


async def test_the_failure_is_raised_at_its_item_and_the_rest_is_cancelled(
    client: AsyncClient, cluster: FakeCluster
) -> None:
    values = client.map(inverse, [1, 2, 0, 4])
    assert [await anext(values), await anext(values)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        await anext(values)
    assert only(cluster).cancel_requested or only(cluster).state == job_pb2.JOB_STATE_FAILED


async def test_endless_items_are_taken_ahead_within_a_bound(
    client: AsyncClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "FIRST_AHEAD", 10)
    monkeypatch.setattr(plans, "MOST_AHEAD", 40)
    taken = itertools.count()
    values = client.map(abs, taken)
    assert [await anext(values) for _ in range(150)] == list(range(150))
    assert next(taken) <= 150 + 40 + 1
    await values.aclose()  # type: ignore[attr-defined]
    assert only(cluster).cancel_requested


async def test_a_map_that_is_given_up_is_ended(client: AsyncClient, cluster: FakeCluster) -> None:
    cluster.hold.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await anext(client.map(abs, range(20)))
    assert only(cluster).cancel_requested


async def test_a_cluster_without_arrays_gets_tasks(
    client: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.refuse("CreateJob", grpc.StatusCode.UNIMPLEMENTED)
    assert [value async for value in client.map(abs, range(30))] == list(range(30))
    assert not cluster.jobs


async def test_a_map_survives_a_stream_that_breaks(
    client: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.stop_after = 3
    assert [value async for value in client.map(abs, range(50))] == list(range(50))
