"""Forwarded calls when leaders come, go and fall silent: in-process servers, real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest

from quorate.runtime.errors import from_rpc_error, leader_lost
from quorate.security.metadata import FORWARDED
from scheduler.api.forwarding.role import Role
from tests.support.forwarding import (
    Cluster,
    drain,
    failure,
    get,
    reason,
    watch,
)
from tests.support.tls import NoticingDialer


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack)


async def test_a_forwarded_call_is_not_forwarded_again(cluster: Cluster) -> None:
    first = await cluster.process(leader_wait=0.1)
    second = await cluster.process()
    first.follow(second)
    second.follow(first)
    stub = await cluster.stub(second)
    marked = stub.GetTask(get("t"), timeout=60, metadata=((FORWARDED, "1"),))
    assert await reason(marked) == (grpc.StatusCode.UNAVAILABLE, "NOT_LEADER")
    # One hop to `second`, which refuses; `first` then sees no other leader in time.
    plain = (await cluster.stub(first)).GetTask(get("t"), timeout=60)
    assert await reason(plain) == (grpc.StatusCode.UNAVAILABLE, "NO_LEADER")


async def test_call_refused_by_a_former_leader_goes_to_the_next_one(cluster: Cluster) -> None:
    opened = asyncio.Event()

    former, leader = await cluster.process(), await cluster.leader()
    standby = await cluster.process(dialer=NoticingDialer(lambda _: opened.set()))
    former.follow(leader)
    standby.follow(former)
    call = (await cluster.stub(standby)).GetTask(get("t"), timeout=60)
    await asyncio.wait_for(opened.wait(), 60)
    standby.follow(leader)
    assert (await call).task.id == "t"


async def test_call_waits_for_a_leader_to_be_known(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    stub = await cluster.stub(standby)
    waiting = asyncio.Semaphore(0)
    other_than = standby.roles.other_than

    async def noticed(role: Role) -> Role:
        waiting.release()
        return await other_than(role)

    monkeypatch.setattr(standby.roles, "other_than", noticed)
    call = stub.GetTask(get("t"), timeout=60)
    stream = asyncio.create_task(drain(stub.WatchTasks(watch())))
    async with asyncio.timeout(60):
        await waiting.acquire()
        await waiting.acquire()
    standby.follow(leader)
    assert (await call).task.id == "t"
    assert await stream == ["0", "1", "2"]


async def test_without_a_leader_a_call_is_unavailable_after_a_short_wait(cluster: Cluster) -> None:
    standby = await cluster.process(leader_wait=0.05)
    stub = await cluster.stub(standby)
    expected = (grpc.StatusCode.UNAVAILABLE, "NO_LEADER")
    assert await reason(stub.GetTask(get("t"), timeout=60)) == expected
    assert await reason(drain(stub.WatchTasks(watch()))) == expected


async def test_leader_that_stops_during_a_call_is_leader_lost(cluster: Cluster) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    standby.follow(leader)
    stub = await cluster.stub(standby)
    unary = stub.GetTask(get("slow"), timeout=30)
    stream = asyncio.create_task(drain(stub.WatchTasks(watch("endless"))))
    await asyncio.wait_for(leader.fake.entered.wait(), 60)
    await leader.server.stop(None)
    expected = (grpc.StatusCode.UNAVAILABLE, "LEADER_LOST")
    assert await reason(unary) == expected
    assert await reason(stream) == expected
    assert await reason(stub.GetTask(get("t"), timeout=60)) == expected


async def test_silent_leader_loses_its_calls_when_another_leads(cluster: Cluster) -> None:
    silent, standby, leader = await cluster.leader(), await cluster.process(), None
    standby.follow(silent)
    stub = await cluster.stub(standby)
    unary = stub.GetTask(get("slow"), timeout=30)
    stream = asyncio.create_task(drain(stub.WatchTasks(watch("endless"))))
    await asyncio.wait_for(silent.fake.entered.wait(), 60)
    leader = await cluster.leader()
    standby.follow(leader)
    assert (await stub.GetTask(get("t"), timeout=60)).task.id == "t"
    expected = (grpc.StatusCode.UNAVAILABLE, "LEADER_LOST")
    assert from_rpc_error(await failure(unary)).message == leader_lost().message
    assert await reason(stream) == expected


async def test_call_under_way_may_come_home_after_a_hand_over(cluster: Cluster) -> None:
    former, standby = await cluster.leader(), await cluster.process()
    standby.follow(former)
    call = (await cluster.stub(standby)).GetTask(get("slow"), timeout=30)
    await asyncio.wait_for(former.fake.entered.wait(), 60)
    standby.follow(await cluster.leader())
    former.fake.go_on.set()
    assert (await call).task.id == "slow"
