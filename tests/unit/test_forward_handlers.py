"""A standby that forwards to a leader: in-process servers, real gRPC over the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import AsyncMock

import grpc
import pytest

from quorate.runtime.errors import from_rpc_error, not_found
from quorate.runtime.ids import InstanceId
from quorate.security.limits import LARGE_AT_ONCE, CallerLimits, CallLimits, Kind
from quorate.security.metadata import FORWARDED
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc
from scheduler.api.forward import ForwardingHandlers
from scheduler.api.role import Leader, Role, Roles, Servicers
from scheduler.api.servicer import Servicer
from tests.support.tls import NoticingDialer

SERVICE = scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]
Context = grpc.aio.ServicerContext[Any, Any]


class FakeScheduler:
    """Answers a few methods and remembers what it saw."""

    def __init__(self) -> None:
        self.metadata: dict[str, str | bytes] = {}
        self.remaining: float | None = None
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()

    @property
    def servicers(self) -> Servicers:
        fake = Servicer({"GetTask": self.GetTask}, {"WatchTasks": self.WatchTasks})
        return {SERVICE.full_name: fake}

    async def GetTask(self, request: Any, context: Context) -> Any:
        self.metadata = dict(context.invocation_metadata() or ())
        self.remaining = context.time_remaining()
        if request.id == "absent":
            raise not_found("task", request.id)
        if request.id == "bug":
            raise ValueError("a secret of ours")
        if request.id == "aborts":
            await context.abort(grpc.StatusCode.ABORTED, "said so")
        if request.id == "slow":
            await self._block()
        context.set_trailing_metadata((("trailer", "kept"),))
        reply = scheduler_pb2.GetTaskResponse()
        reply.task.id = request.id
        return reply

    async def WatchTasks(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:
        for number in range(3):
            yield scheduler_pb2.WatchTasksResponse(resume_token=str(number))
        if request.resume_token == "absent":
            raise not_found("task", "x")
        if request.resume_token == "bug":
            raise ValueError("a secret of ours")
        if request.resume_token == "endless":
            await self._block()

    async def _block(self) -> None:
        self.entered.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@dataclass
class Process:
    """One scheduler: its role, its handlers, its server."""

    roles: Roles
    handlers: ForwardingHandlers
    server: grpc.aio.Server
    address: str
    fake: FakeScheduler = field(default_factory=FakeScheduler)

    def follow(self, other: Process) -> None:
        self.roles.seen(other.as_leader())

    def as_leader(self) -> Leader:
        return Leader(b"k", 1, 1, "n", InstanceId(self.address), self.address)


class Cluster:
    """Starts processes and stubs, and closes them in the end."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def process(self, **options: Any) -> Process:
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        roles = Roles(InstanceId(address))
        handlers = ForwardingHandlers(SERVICE, roles, **options)
        server.add_generic_rpc_handlers((handlers.handler(),))
        await server.start()
        self._stack.push_async_callback(handlers.close)
        self._stack.push_async_callback(server.stop, None)
        return Process(roles, handlers, server, address)

    async def leader(self, **options: Any) -> Process:
        process = await self.process(**options)
        process.roles.lead(process.fake.servicers)
        return process

    async def stub(self, process: Process) -> Any:
        return scheduler_pb2_grpc.SchedulerStub(await self.channel(process))

    async def channel(self, process: Process) -> grpc.aio.Channel:
        return await self._stack.enter_async_context(grpc.aio.insecure_channel(process.address))


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


def get(task: str) -> Any:
    return scheduler_pb2.GetTaskRequest(id=task)


def watch(token: str = "") -> Any:
    return scheduler_pb2.WatchTasksRequest(resume_token=token)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def reason(call: Any) -> tuple[grpc.StatusCode, str]:
    error = from_rpc_error(await failure(call))
    return error.code, error.reason


async def drain(call: Any) -> list[str]:
    return [answer.resume_token async for answer in call]


async def test_unary_call_is_answered(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    call = stub.GetTask(get("t1"), timeout=5)
    assert (await call).task.id == "t1"
    assert dict(await call.trailing_metadata())["trailer"] == "kept"


async def test_error_keeps_code_message_and_details(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    error = from_rpc_error(await failure(stub.GetTask(get("absent"), timeout=5)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND")
    assert error.metadata == {"task": "absent"}
    assert error.message == "task 'absent' does not exist"


async def test_a_bug_is_internal_without_its_traceback(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    raw = await failure(stub.GetTask(get("bug"), timeout=5))
    error = from_rpc_error(raw)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in repr(raw)


async def test_an_abort_of_the_servicer_is_kept(served: tuple[FakeScheduler, Any]) -> None:
    _, stub = served
    error = await failure(stub.GetTask(get("aborts"), timeout=5))
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
    await asyncio.wait_for(fake.entered.wait(), 5)
    call.cancel()
    await asyncio.wait_for(fake.cancelled.wait(), 5)


async def test_cancelled_stream_is_cancelled_at_the_leader(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    call = stub.WatchTasks(watch("endless"))
    await asyncio.wait_for(fake.entered.wait(), 5)
    call.cancel()
    await asyncio.wait_for(fake.cancelled.wait(), 5)


async def test_deadline_reaches_the_servicer(served: tuple[FakeScheduler, Any]) -> None:
    fake, stub = served
    await stub.GetTask(get("t"), timeout=20)
    assert fake.remaining is not None
    # gRPC rounds a deadline up on every hop.
    assert 15 < fake.remaining < 21


async def test_call_past_its_deadline_is_cancelled_at_the_leader(
    served: tuple[FakeScheduler, Any],
) -> None:
    fake, stub = served
    error = await failure(stub.GetTask(get("slow"), timeout=0.3))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(fake.cancelled.wait(), 5)


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
    await asyncio.wait_for(leader.fake.cancelled.wait(), 5)


async def test_metadata_passes_but_what_grpc_owns_does_not(cluster: Cluster) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    standby.follow(leader)
    stub = await cluster.stub(standby)
    await stub.GetTask(get("t"), timeout=5, metadata=(("who", "me"), ("some-bin", b"\x00\xff")))
    assert leader.fake.metadata["who"] == "me"
    assert leader.fake.metadata["some-bin"] == b"\x00\xff"
    assert leader.fake.metadata[FORWARDED] == "1"


async def test_malformed_request_is_refused(cluster: Cluster) -> None:
    leader = await cluster.leader()
    channel: Any = await cluster.channel(leader)
    for call in (
        channel.unary_unary("/quorate.v1.Scheduler/GetTask")(b"\xff\xff", timeout=5),
        channel.unary_stream("/quorate.v1.Scheduler/WatchTasks")(b"\xff\xff", timeout=5).read(),
    ):
        assert await reason(call) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


async def test_a_call_without_a_request_is_refused(cluster: Cluster) -> None:
    channel: Any = await cluster.channel(await cluster.leader())
    call = channel.stream_unary("/quorate.v1.Scheduler/GetTask")(timeout=5)
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
    call = channel.unary_unary("/quorate.v1.Scheduler/GetTask")(b"\xff\xff", timeout=5)
    assert await reason(call) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


async def test_unknown_method_is_unimplemented(cluster: Cluster) -> None:
    channel: Any = await cluster.channel(await cluster.leader())
    call = channel.unary_unary("/quorate.v1.Scheduler/Nothing")(b"", timeout=5)
    assert (await failure(call)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_forwarded_call_is_not_forwarded_again(cluster: Cluster) -> None:
    first = await cluster.process(leader_wait=0.1)
    second = await cluster.process()
    first.follow(second)
    second.follow(first)
    stub = await cluster.stub(second)
    marked = stub.GetTask(get("t"), timeout=5, metadata=((FORWARDED, "1"),))
    assert await reason(marked) == (grpc.StatusCode.UNAVAILABLE, "NOT_LEADER")
    # One hop to `second`, which refuses; `first` then sees no other leader in time.
    plain = (await cluster.stub(first)).GetTask(get("t"), timeout=5)
    assert await reason(plain) == (grpc.StatusCode.UNAVAILABLE, "NO_LEADER")


async def test_call_refused_by_a_former_leader_goes_to_the_next_one(cluster: Cluster) -> None:
    opened = asyncio.Event()

    former, leader = await cluster.process(), await cluster.leader()
    standby = await cluster.process(dialer=NoticingDialer(lambda _: opened.set()))
    former.follow(leader)
    standby.follow(former)
    call = (await cluster.stub(standby)).GetTask(get("t"), timeout=5)
    await asyncio.wait_for(opened.wait(), 5)
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
    call = stub.GetTask(get("t"), timeout=5)
    stream = asyncio.create_task(drain(stub.WatchTasks(watch())))
    async with asyncio.timeout(5):
        await waiting.acquire()
        await waiting.acquire()
    standby.follow(leader)
    assert (await call).task.id == "t"
    assert await stream == ["0", "1", "2"]


async def test_without_a_leader_a_call_is_unavailable_after_a_short_wait(cluster: Cluster) -> None:
    standby = await cluster.process(leader_wait=0.05)
    stub = await cluster.stub(standby)
    expected = (grpc.StatusCode.UNAVAILABLE, "NO_LEADER")
    assert await reason(stub.GetTask(get("t"), timeout=5)) == expected
    assert await reason(drain(stub.WatchTasks(watch()))) == expected


async def test_leader_that_stops_during_a_call_is_leader_lost(cluster: Cluster) -> None:
    leader, standby = await cluster.leader(), await cluster.process()
    standby.follow(leader)
    stub = await cluster.stub(standby)
    unary = stub.GetTask(get("slow"), timeout=30)
    stream = asyncio.create_task(drain(stub.WatchTasks(watch("endless"))))
    await asyncio.wait_for(leader.fake.entered.wait(), 5)
    await leader.server.stop(None)
    expected = (grpc.StatusCode.UNAVAILABLE, "LEADER_LOST")
    assert await reason(unary) == expected
    assert await reason(stream) == expected
    assert await reason(stub.GetTask(get("t"), timeout=5)) == expected


async def test_silent_leader_loses_its_calls_when_another_leads(cluster: Cluster) -> None:
    silent, standby, leader = await cluster.leader(), await cluster.process(), None
    standby.follow(silent)
    stub = await cluster.stub(standby)
    unary = stub.GetTask(get("slow"), timeout=30)
    stream = asyncio.create_task(drain(stub.WatchTasks(watch("endless"))))
    await asyncio.wait_for(silent.fake.entered.wait(), 5)
    leader = await cluster.leader()
    standby.follow(leader)
    assert (await stub.GetTask(get("t"), timeout=5)).task.id == "t"
    expected = (grpc.StatusCode.UNAVAILABLE, "LEADER_LOST")
    assert await reason(unary) == expected
    assert await reason(stream) == expected


async def test_call_under_way_may_come_home_after_a_hand_over(cluster: Cluster) -> None:
    former, standby = await cluster.leader(), await cluster.process()
    standby.follow(former)
    call = (await cluster.stub(standby)).GetTask(get("slow"), timeout=30)
    await asyncio.wait_for(former.fake.entered.wait(), 5)
    standby.follow(await cluster.leader())
    former.fake.go_on.set()
    assert (await call).task.id == "slow"
