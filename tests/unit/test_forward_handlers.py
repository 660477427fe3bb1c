"""A standby that forwards to a leader: in-process servers, real gRPC over the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from unittest.mock import AsyncMock

import grpc
import pytest

from quorate.runtime.errors import from_rpc_error
from quorate.security.limits import LARGE_AT_ONCE, CallerLimits, CallLimits, Kind
from quorate.security.metadata import FORWARDED
from tests.support.forwarding import (
    Cluster,
    FakeScheduler,
    drain,
    failure,
    get,
    reason,
    watch,
)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack)


@pytest.fixture(params=["at the leader", "through a standby"])
async def served(request: pytest.FixtureRequest, cluster: Cluster) -> tuple[FakeScheduler, Any]:
    """The leader's servicer and a stub: of the leader itself, or of a standby."""
    leader = await cluster.leader()
    if request.param == "at the leader":
        return leader.fake, await cluster.stub(leader)
    standby = await cluster.process()
    standby.follow(leader)
    return leader.fake, await cluster.stub(standby)


async def test_unary_call_is_answered(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    call = stub.GetTask(get("t1"), timeout=60)
    assert (await call).task.id == "t1"
    assert dict(await call.trailing_metadata())["trailer"] == "kept"


async def test_error_keeps_code_message_and_details(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    error = from_rpc_error(await failure(stub.GetTask(get("absent"), timeout=60)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")
    assert error.metadata == {"task": "absent"}
    assert error.message == "task 'absent' does not exist"


async def test_a_bug_is_internal_without_its_traceback(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    raw = await failure(stub.GetTask(get("bug"), timeout=60))
    error = from_rpc_error(raw)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in repr(raw)


async def test_an_abort_of_the_servicer_is_kept(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    error = await failure(stub.GetTask(get("aborts"), timeout=60))
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "said so")


async def test_stream_is_answered(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    assert await drain(stub.WatchTasks(watch())) == ["0", "1", "2"]


async def test_stream_that_fails_midway_keeps_its_details(
    served: tuple[FakeScheduler, Any],
) -> None:
    _, stub = served
    assert await reason(drain(stub.WatchTasks(watch("absent")))) == (
        grpc.StatusCode.NOT_FOUND,
        "TASK_NOT_FOUND",
    )
    assert await reason(drain(stub.WatchTasks(watch("bug")))) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
    )


async def test_cancelled_unary_call_is_cancelled_at_the_leader(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    call = stub.GetTask(get("slow"), timeout=30)
    await asyncio.wait_for(fake.entered.wait(), 60)
    call.cancel()
    await asyncio.wait_for(fake.cancelled.wait(), 60)


async def test_cancelled_stream_is_cancelled_at_the_leader(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    call = stub.WatchTasks(watch("endless"))
    await asyncio.wait_for(fake.entered.wait(), 60)
    call.cancel()
    await asyncio.wait_for(fake.cancelled.wait(), 60)


async def test_deadline_reaches_the_servicer(served: tuple[FakeScheduler, Any]) -> None:
    fake, stub = served
    await stub.GetTask(get("t"), timeout=60)
    assert fake.remaining is not None
    # gRPC rounds a deadline up on every hop.
    assert 30 < fake.remaining < 61


async def test_call_past_its_deadline_is_cancelled_at_the_leader(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    error = await failure(stub.GetTask(get("slow"), timeout=0.3))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(fake.cancelled.wait(), 60)


@pytest.mark.parametrize("where", ["at the leader", "through a standby"])
async def test_unary_call_without_a_deadline_gets_one(cluster: Cluster, where: str) -> None:
    leader = await cluster.leader(default_timeout=0.2)
    standby = await cluster.process(default_timeout=0.2)
    standby.follow(leader)
    stub = await cluster.stub(leader if where == "at the leader" else standby)
    assert await reason(stub.GetTask(get("slow"))) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
    )
    await asyncio.wait_for(leader.fake.cancelled.wait(), 60)


async def test_metadata_passes_but_what_grpc_owns_does_not(cluster: Cluster) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    standby.follow(leader)
    stub = await cluster.stub(standby)
    await stub.GetTask(get("t"), timeout=60, metadata=(("who", "me"), ("some-bin", b"\x00\xff")))
    assert leader.fake.metadata["who"] == "me"
    assert leader.fake.metadata["some-bin"] == b"\x00\xff"
    assert leader.fake.metadata[FORWARDED] == "1"


async def test_malformed_request_is_refused(cluster: Cluster) -> None:
    leader = await cluster.leader()
    channel: Any = await cluster.channel(leader)
    for call in (
        channel.unary_unary("/quorate.v1.Scheduler/GetTask")(b"\xff\xff", timeout=60),
        channel.unary_stream("/quorate.v1.Scheduler/WatchTasks")(b"\xff\xff", timeout=60).read(),
    ):
        assert await reason(call) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


async def test_a_call_without_a_request_is_refused(cluster: Cluster) -> None:
    channel: Any = await cluster.channel(await cluster.leader())
    call = channel.stream_unary("/quorate.v1.Scheduler/GetTask")(timeout=60)
    await call.done_writing()
    assert await reason(call) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


async def test_a_request_is_not_read_before_its_caller_may_send_it(cluster: Cluster) -> None:
    limits = CallerLimits(lambda name: CallLimits(), monotonic=lambda: 100.0)
    leader = await cluster.leader(limits=limits)
    channel: Any = await cluster.channel(leader)
    # So much of it was refused that nothing more is read: not even that this is no request.
    limits.begin(None, Kind.CALL)
    for _ in range(8):
        await limits.read(None, AsyncMock(return_value=bytes(LARGE_AT_ONCE // 8 + 1)))
    call = channel.unary_unary("/quorate.v1.Scheduler/GetTask")(b"\xff\xff", timeout=0.5)
    assert (await failure(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    limits.answered(None, LARGE_AT_ONCE)
    call = channel.unary_unary("/quorate.v1.Scheduler/GetTask")(b"\xff\xff", timeout=60)
    assert await reason(call) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


async def test_unknown_method_is_unimplemented(cluster: Cluster) -> None:
    channel: Any = await cluster.channel(await cluster.leader())
    call = channel.unary_unary("/quorate.v1.Scheduler/Nothing")(b"", timeout=60)
    assert (await failure(call)).code() is grpc.StatusCode.UNIMPLEMENTED
