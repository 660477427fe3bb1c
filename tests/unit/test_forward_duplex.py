"""Calls whose requests are a stream, at the leader and through a standby: real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from quorate.security.metadata import FORWARDED
from quorate.v1 import broker_pb2
from tests.support.forwarding import BROKER, Cluster, FakeScheduler, reason
from tests.support.tls import NoticingDialer


def publish(*numbers: int, producer: str = "p") -> Any:
    request = broker_pb2.PublishStreamRequest(producer=producer)
    for number in numbers:
        request.publications.add(number=number)
    return request


async def confirmed(call: Any, count: int) -> list[int]:
    return [(await call.read()).confirmed for _ in range(count)]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack, BROKER)


@pytest.fixture(params=["at the leader", "through a standby"])
async def served(request: pytest.FixtureRequest, cluster: Cluster) -> tuple[FakeScheduler, Any]:
    """The leader's servicer and a stub: of the leader itself, or of a standby."""
    leader = await cluster.leader()
    if request.param == "at the leader":
        return leader.fake, await cluster.broker(leader)
    standby = await cluster.process()
    standby.follow(leader)
    return leader.fake, await cluster.broker(standby)


async def test_answers_come_while_requests_go_on(served: tuple[FakeScheduler, Any]) -> None:
    fake, stub = served
    call = stub.PublishStream(timeout=60)
    for first in (1, 4, 7):
        await call.write(publish(first, first + 1, first + 2))
        assert await confirmed(call, 3) == [first, first + 1, first + 2]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined]
    assert await call.code() is grpc.StatusCode.OK
    assert fake.producers == ["p", "p", "p"]


@pytest.mark.parametrize("before", [[], ["p"]])
async def test_a_failure_keeps_its_details(
    served: tuple[FakeScheduler, Any], before: list[str]
) -> None:
    _, stub = served
    for producer, expected in (
        ("absent", (grpc.StatusCode.NOT_FOUND, "PRODUCER_NOT_FOUND")),
        ("bug", (grpc.StatusCode.INTERNAL, "INTERNAL")),
    ):
        requests = [publish(producer=name) for name in (*before, producer)]
        call = stub.PublishStream(iter(requests), timeout=60)

        async def drain(call: Any = call) -> None:
            async for _ in call:
                pass

        assert await reason(drain()) == expected


async def test_a_cancelled_call_is_cancelled_at_the_leader(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    call = stub.PublishStream()
    await call.write(publish(producer="endless"))
    await asyncio.wait_for(fake.entered.wait(), 60)
    call.cancel()
    await asyncio.wait_for(fake.cancelled.wait(), 60)


async def test_a_caller_that_has_no_more_ends_the_servicers_requests(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    call = stub.PublishStream(iter([publish(1)]), timeout=60)
    assert [answer.confirmed async for answer in call] == [1]
    await asyncio.wait_for(fake.ended.wait(), 60)


async def test_a_malformed_first_request_and_none_at_all(cluster: Cluster) -> None:
    channel: Any = await cluster.channel(await cluster.leader())
    call = channel.stream_stream("/quorate.v1.Broker/PublishStream")(timeout=60)
    await call.done_writing()
    assert await reason(call.read()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "MALFORMED_REQUEST",
    )


async def test_a_leader_that_stops_during_a_call_is_leader_lost(cluster: Cluster) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    standby.follow(leader)
    call = (await cluster.broker(standby)).PublishStream(timeout=60)
    await call.write(publish(1))
    assert await confirmed(call, 1) == [1]
    await leader.server.stop(None)
    assert await reason(call.read()) == (grpc.StatusCode.UNAVAILABLE, "LEADER_LOST")


async def test_a_call_that_a_former_leader_refuses_goes_on_whole(cluster: Cluster) -> None:
    opened = asyncio.Event()
    former, leader = await cluster.process(), await cluster.leader()
    standby = await cluster.process(dialer=NoticingDialer(lambda _: opened.set()))
    former.follow(leader)
    standby.follow(former)
    call = (await cluster.broker(standby)).PublishStream(timeout=60)
    for number in (1, 2, 3):
        await call.write(publish(number))
    await asyncio.wait_for(opened.wait(), 60)
    standby.follow(leader)
    assert await confirmed(call, 3) == [1, 2, 3]
    assert leader.fake.metadata[FORWARDED] == "1"
    call.cancel()


async def test_a_call_that_was_passed_on_is_not_passed_on_again(cluster: Cluster) -> None:
    first, second = await cluster.process(leader_wait=0.1), await cluster.process()
    first.follow(second)
    second.follow(first)
    marked = (await cluster.broker(second)).PublishStream(
        iter([publish(1)]), timeout=5, metadata=((FORWARDED, "1"),)
    )
    assert await reason(marked.read()) == (grpc.StatusCode.UNAVAILABLE, "NOT_LEADER")


async def test_a_sender_is_held_while_the_leader_takes_nothing(cluster: Cluster) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    standby.follow(leader)
    call = (await cluster.broker(standby)).PublishStream()
    await call.write(publish(producer="endless"))
    await asyncio.wait_for(leader.fake.entered.wait(), 60)
    large = publish()
    large.publications.add().message.body = bytes(1 << 20)
    sent = 0
    held = False
    while not held and sent < 64:
        try:
            async with asyncio.timeout(1):
                await call.write(large)
            sent += 1
        except TimeoutError:
            held = True
    # What the windows of two connections hold; it does not grow with what is sent.
    assert held
    call.cancel()
