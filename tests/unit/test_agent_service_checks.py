"""How replicas are asked for their health, their ports, and the reading of their specs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import _async as health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from node_agent.core.services.health import HealthTerms
from node_agent.services.checks import checker_for
from node_agent.services.ports import Ports
from node_agent.session import messages as wire
from node_agent.task.work import Check, Replica, Unreadable
from quorate.v1 import node_agent_pb2, task_pb2

HTTP = Check("http", "/healthz")


@asynccontextmanager
async def answering(answer: bytes, *, hang: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says `answer` whatever it is asked: its port, and what it was asked."""
    asked: list[bytes] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if hang:
                await done.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def ask(check: Check, port: int, timeout: float = 5.0) -> str:
    checker = checker_for(check, "127.0.0.1", port)
    try:
        return await checker.run(timeout)
    finally:
        await checker.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 204\r\n\r\n", ""),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", ""),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "GET /healthz answered 404"),
        (b"HTTP/1.1 503 \r\n\r\n", "GET /healthz answered 503"),
        (b"", "GET /healthz: the connection was closed before an answer"),
        (b"HTTP/1.1 200", "GET /healthz: the connection was closed before an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "GET /healthz: the answer is not HTTP"),
        (b"HTTP/1.1 2000\r\n"[:9] + b"+20 OK\r\n", "GET /healthz: the answer is not HTTP"),
        (b"x" * 100_000, "GET /healthz: the answer is not HTTP"),
    ],
)
async def test_http(answer: bytes, why: str):
    async with answering(answer) as (port, asked):
        assert await ask(HTTP, port) == why
        [request] = asked
        lines = request.decode().split("\r\n")
        assert lines[0] == "GET /healthz HTTP/1.1"
        assert f"Host: 127.0.0.1:{port}" in lines


async def test_a_replica_that_hangs_is_not_waited_for():
    async with answering(b"", hang=True) as (port, _):
        assert await ask(HTTP, port, 0.05) == "GET /healthz was not answered within 0.05 s"


async def test_tcp():
    async with answering(b"") as (port, _):
        assert await ask(Check("tcp"), port) == ""
    assert "refused" in (await ask(Check("tcp"), port)).lower()
    assert "refused" in (await ask(HTTP, port)).lower()


async def test_grpc():
    server = grpc.aio.server()
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await checks.set("bad", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert await ask(Check("grpc", ""), port) == ""
        assert (await ask(Check("grpc", "bad"), port)).endswith("answered NOT_SERVING")
        assert "NOT_FOUND" in await ask(Check("grpc", "unknown"), port)
    finally:
        await server.stop(None)
    assert "UNAVAILABLE" in await ask(Check("grpc", ""), port, 1.0)


# -- ports -------------------------------------------------------------------------------------


def test_no_two_replicas_get_the_same_port(monkeypatch: pytest.MonkeyPatch):
    offers = iter([1000, 1000, 1001, 1000, 1001, 1002])
    monkeypatch.setattr("node_agent.services.ports.free_port", lambda **_: next(offers))
    ports = Ports()
    assert [ports.take(), ports.take()] == [1000, 1001]
    ports.release(1000)
    # One that was just let go of is left alone for a while, too.
    assert ports.take() == 1002


def test_a_port_is_free():
    ports = Ports()
    port = ports.take()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


# -- specs -------------------------------------------------------------------------------------


def decode(work: task_pb2.ServiceWork) -> Any:
    spec = task_pb2.TaskSpec(service=work)
    assignment = node_agent_pb2.Assignment(
        task_id="t", attempt=1, spec=spec.SerializeToString(), queue="services"
    )
    return wire.attempt_of(assignment)


def service(**fields: object) -> task_pb2.ServiceWork:
    command = task_pb2.CommandWork(argv=["true"])
    return task_pb2.ServiceWork(**{"service": "web", "command": command, **fields})  # type: ignore[arg-type]


def test_defaults_of_a_service():
    attempt = decode(service())
    assert attempt.replica
    assert attempt.drain_grace == 10.0
    work = attempt.work
    assert isinstance(work, Replica)
    assert (work.check, work.terms) == (Check("tcp"), HealthTerms())


def test_a_service_as_given():
    check = task_pb2.HealthCheck(
        grpc_service="",
        interval=Duration(nanos=200_000_000),
        timeout=Duration(seconds=2),
        healthy_after=2,
        unhealthy_after=4,
        start_grace=Duration(),
    )
    attempt = decode(service(generation=7, health=check, drain_grace=Duration(), labels={"a": "b"}))
    assert attempt.drain_grace == 0.0
    assert attempt.work.check == Check("grpc", "")
    assert attempt.work.terms == HealthTerms(0.2, 2.0, 2, 4, 0.0)
    assert (attempt.work.generation, attempt.work.labels) == (7, {"a": "b"})


def test_what_is_out_of_bounds_is_held_to_them():
    check = task_pb2.HealthCheck(
        interval=Duration(),
        timeout=Duration(seconds=3600),
        healthy_after=-1,
        unhealthy_after=99,
        start_grace=Duration(seconds=9999),
    )
    assert decode(service(health=check)).work.terms == HealthTerms(0.1, 60.0, 1, 10, 3600.0)


@pytest.mark.parametrize(
    "work",
    [
        service(service=""),
        service(service="a/b"),
        service(command=task_pb2.CommandWork()),
        service(health=task_pb2.HealthCheck(http_path="healthz")),
        service(health=task_pb2.HealthCheck(http_path="/a HTTP/1.1\r\nX: y")),
    ],
)
def test_a_service_that_makes_no_sense_fails_its_attempt(work: task_pb2.ServiceWork):
    attempt = decode(work)
    assert isinstance(attempt.work, Unreadable)
    assert not attempt.replica
