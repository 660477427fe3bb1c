"""`quorate.async_current()`: what a coroutine adds to its job, on a client of its loop."""

from __future__ import annotations

import asyncio

import pytest

import quorate
from quorate.client import current
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

TASK = "0" * 31 + "1"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch):
    cluster = FakeCluster()
    cluster.tasks[TASK] = task_pb2.Task(id=TASK, queue="default")
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_TASK_ID", TASK)
    monkeypatch.setenv("QUORATE_ATTEMPT", "3")
    monkeypatch.setenv("QUORATE_AGENT_INSTANCE", "i1")
    monkeypatch.setenv("QUORATE_NODE", "n1")
    yield cluster
    cluster.close()


def double(number: int) -> int:
    return 2 * number


async def adds() -> list[int]:
    here = quorate.async_current()
    assert (here.task_id, here.attempt, here.node) == (TASK, 3, "n1")
    handles = await asyncio.gather(*[here.submit(double, number) for number in range(4)])
    named = await here.options(name="named", request_id="mine").submit(double, 5)
    ended = await here.command(["true"], name="program")
    await here.progress(0.5, "half")
    assert await ended == 0
    return [await handle for handle in (*handles, named)]


def test_what_it_adds_names_its_attempt_and_is_numbered(cluster: FakeCluster) -> None:
    before = set(cluster.requests)
    assert asyncio.run(adds()) == [0, 2, 4, 6, 10]
    made = [one for one in cluster.requests if one not in before]
    assert sorted(made) == sorted([*(f"{TASK}:{n}" for n in (0, 1, 2, 3, 5)), "mine"])
    for parent in cluster.parents:
        assert (parent.task_id, parent.attempt, parent.instance) == (TASK, 3, "i1")
    # Another loop has another client, and the numbers go on.
    assert asyncio.run(adds()) == [0, 2, 4, 6, 10]
    assert f"{TASK}:9" in cluster.requests


def test_numbers_are_those_of_the_other_one(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORATE_ATTEMPT", "4")
    monkeypatch.setattr(current, "process_client", quorate.Client)

    async def both() -> None:
        quorate.current().submit(pow, 2, 2)
        await quorate.async_current().submit(pow, 2, 2)

    asyncio.run(both())
    assert {f"{TASK}:0", f"{TASK}:1"} <= set(cluster.requests)


def test_outside_of_a_task_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUORATE_TASK_ID", raising=False)
    with pytest.raises(RuntimeError, match="no task"):
        quorate.async_current()
