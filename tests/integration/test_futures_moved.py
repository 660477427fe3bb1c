"""Tasks that go to another queue while somebody waits for them in the first one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import quorate
from quorate.client.transport.rpcs import CREATE_QUEUE, PAUSE_QUEUE, RESUME_QUEUE
from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.futures import environment
from tests.support.served import Served, served_by
from tests.support.waiting import until

served = served_by(nodes=1, slots=4)


@pytest.fixture
def client(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[quorate.Client]:
    environment(served, monkeypatch)
    with quorate.Client() as client:
        yield client


def make(client: quorate.Client, *names: str) -> None:
    """Queues that start nothing yet."""
    for name in names:
        client.calls.call(CREATE_QUEUE, pb.CreateQueueRequest(queue=queue_pb2.Queue(name=name)))
        client.calls.call(PAUSE_QUEUE, pb.PauseQueueRequest(name=name))


def start(client: quorate.Client, *names: str) -> None:
    for name in names:
        client.calls.call(RESUME_QUEUE, pb.ResumeQueueRequest(name=name))


def test_futures_follow_their_tasks_from_queue_to_queue(client: quorate.Client) -> None:
    make(client, "one", "two", "three")
    with quorate.Executor(queue="one") as pool:
        found = [pool.submit(pow, 2, n) for n in range(20)]
        until(lambda: all(future.task_id for future in found), 5.0)
        ids = [future.task_id for future in found]
        assert client.update_tasks(ids[:10], to_queue="two").updated == 10
        client.update_tasks(ids[5:8], to_queue="three")
        client.update_tasks(ids[:1], to_queue="one")
        start(client, "one", "two", "three")
        assert [future.result(5) for future in found] == [2**n for n in range(20)]


async def test_an_async_map_follows_its_tasks(client: quorate.Client) -> None:
    make(client, "here", "there")

    async def gather() -> list[int]:
        async with quorate.AsyncClient() as cluster:
            # With an affinity key they are tasks, not an array.
            here = cluster.options(queue="here", affinity_key="moved")
            return [value async for value in here.map(abs, range(20))]

    values = asyncio.create_task(gather())
    while not (ids := [task.id for task in client.tasks(queue="here")]):
        await asyncio.sleep(0.01)
    assert client.update_tasks(ids, to_queue="there").updated == len(ids)
    start(client, "here", "there")
    assert await asyncio.wait_for(values, 60) == list(range(20))
