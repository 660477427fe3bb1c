"""Sessions of a fake leader with a real agent: fencing, inventory, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from node_agent.executors.worker_program import WorkerLimits
from node_agent.session import servicer as service
from node_agent.session.session import Sessions
from quorate.runtime.errors import from_rpc_error
from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent import (
    INSTANCE,
    Agent,
    Leader,
    Session,
    command,
    running_agent,
    task_id,
)


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    limits = WorkerLimits(max_result=1 << 20)
    async with running_agent(tmp_path / "node", limits=limits) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


async def rejection(session: Session) -> tuple[grpc.StatusCode, str]:
    error = from_rpc_error(await session.ended())
    return error.code, error.reason


async def test_the_first_answer_is_the_inventory_and_the_credit_follows(leader: Leader):
    session = await leader.open()
    inventory = await session.inventory()
    assert inventory == pb.Inventory()
    await session.until(lambda: session.credit == 2)
    assert all(message.instance for message in session.messages)


async def test_a_lower_epoch_is_refused(leader: Leader):
    first = await leader.open(epoch=5)
    await first.inventory()
    assert await rejection(await leader.open(epoch=4)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STALE_EPOCH",
    )
    task = task_id()
    await first.assign(task, command("true"))
    await first.finished(task)


async def test_a_higher_epoch_ends_the_older_session(leader: Leader):
    first = await leader.open(epoch=1)
    await first.inventory()
    second = await leader.open(epoch=2)
    await second.inventory()
    assert (await rejection(first))[1] == "STALE_EPOCH"
    task = task_id()
    await second.assign(task, command("true"))
    await second.finished(task)


async def test_the_same_leader_may_dial_again(leader: Leader):
    first = await leader.open(epoch=1)
    await first.inventory()
    second = await leader.open(epoch=1)
    await second.inventory()
    assert (await rejection(first))[1] == "SESSION_REPLACED"


async def test_an_assignment_of_a_leader_that_was_replaced_is_not_run(agent: Agent, leader: Leader):
    first = await leader.open(epoch=1)
    await first.inventory()
    second = await leader.open(epoch=2)
    await second.inventory()
    task = task_id()
    try:
        await first.assign(task, command("true"))
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # it learned already
    await rejection(first)
    probe = task_id()
    await second.assign(probe, command("true"))
    await second.finished(probe)
    assert not second.reports(task)
    assert agent.driver.machine.live(task) is None


async def test_another_instance_is_refused(leader: Leader):
    session = await leader.open(instance="ffffffffffffffff")
    assert await rejection(session) == (grpc.StatusCode.NOT_FOUND, "INSTANCE_MISMATCH")


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff", b"\x0a" * 7])
@pytest.mark.parametrize("method", ["Session", "ReadLogs"])
async def test_malformed_bytes_on_the_wire(leader: Leader, method: str, body: bytes):
    channel: Any = leader.channel
    path = f"/quorate.v1.NodeAgent/{method}"
    if method == "Session":
        call = channel.stream_stream(path)(timeout=10)
        await call.write(body)
    else:
        call = channel.unary_stream(path)(body, timeout=10)
    with pytest.raises(grpc.aio.AioRpcError) as answer:
        await call.read()
    error = from_rpc_error(answer.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.metadata) == ("MALFORMED_REQUEST", {"method": method})


async def test_malformed_bytes_in_the_middle_of_a_session_end_it(leader: Leader):
    channel: Any = leader.channel
    call = channel.stream_stream("/quorate.v1.NodeAgent/Session")(timeout=10)
    hello = pb.SessionRequest(epoch=1, hello=pb.Hello(instance=INSTANCE, leader="test"))
    await call.write(hello.SerializeToString())
    assert pb.SessionResponse.FromString(await call.read()).instance == INSTANCE
    await call.write(b"\xff")

    async def read_on() -> None:
        while True:
            await call.read()

    with pytest.raises(grpc.aio.AioRpcError) as answer:
        await read_on()
    assert from_rpc_error(answer.value).reason == "MALFORMED_REQUEST"


async def test_a_call_that_a_bug_of_ours_ends_is_an_internal_error(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("of ours")

    monkeypatch.setattr(service.NodeAgent, "_attempt", broken)
    with pytest.raises(grpc.aio.AioRpcError) as answer:
        await leader.logs(task_id())
    monkeypatch.setattr(Sessions, "_check_epoch", broken)
    session = await leader.open()
    for error in (from_rpc_error(answer.value), from_rpc_error(await session.ended())):
        assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "of ours" not in error.message


async def test_who_says_no_hello_is_told_so(leader: Leader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("node_agent.session.session.HELLO_SECONDS", 0.05)
    call = leader.stub.Session()
    with pytest.raises(grpc.aio.AioRpcError) as answer:
        await call.read()
    error = from_rpc_error(answer.value)
    assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "NO_HELLO")


async def test_a_session_begins_with_hello(leader: Leader):
    session = Session(leader.stub.Session(), epoch=1)
    await session.send()
    assert await rejection(session) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"task_id": "f" * 32}, grpc.StatusCode.NOT_FOUND, ""),
        ({"task_id": "../../etc"}, grpc.StatusCode.NOT_FOUND, ""),
        ({"task_id": ""}, grpc.StatusCode.NOT_FOUND, ""),
        ({"task_id": "f" * 32, "offset": -1}, grpc.StatusCode.INVALID_ARGUMENT, "offset"),
        ({"task_id": "f", "tail_lines": -1}, grpc.StatusCode.INVALID_ARGUMENT, "tail_lines"),
        ({"task_id": "f", "tail_lines": 10**6}, grpc.StatusCode.INVALID_ARGUMENT, "tail_lines"),
    ],
)
async def test_logs_of_nothing_known_are_refused(
    leader: Leader, fields: dict, code: grpc.StatusCode, field: str
):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await leader.logs(**{"task": fields.pop("task_id"), **fields})
    error = from_rpc_error(caught.value)
    assert (error.code, error.field) == (code, field)


async def test_an_attempt_that_wrote_nothing_has_an_empty_log(leader: Leader):
    session = await leader.open()
    task = task_id()
    await session.assign(task, command("true"))
    await session.finished(task)
    assert await leader.logs(task) == {"stdout": b"", "stderr": b""}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await leader.logs(task, attempt=2)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_health_and_reflection_are_served(leader: Leader):
    health = health_pb2_grpc.HealthStub(leader.channel)
    for name in ("", "quorate.v1.NodeAgent"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(leader.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([request]), timeout=5):
        services = {service.name for service in answer.list_services_response.service}
        assert "quorate.v1.NodeAgent" in services
        break
