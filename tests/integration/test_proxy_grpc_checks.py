"""Checks of outside instances that speak gRPC: a health server that stops serving, and is gone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import _async as health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.proxy.balancing.checks import Checks
from gateway.proxy.balancing.grpc_check import ask_grpc
from quorate.v1 import service_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.proxy import ProxyBench, proxy_bench, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Greeter:
    """A gRPC server whose health a test sets."""

    def __init__(self) -> None:
        self.health = health.HealthServicer()
        self.port = 0

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)


@pytest.fixture
async def greeter() -> AsyncIterator[Greeter]:
    made = Greeter()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bench() -> AsyncIterator[ProxyBench]:
    async with proxy_bench() as made:
        checking = asyncio.create_task(Checks(made.proxy.services).run())
        yield made
        checking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checking


def publish(bench: ProxyBench, port: int, service: str, node: str = "") -> None:
    check = task_pb2.HealthCheck(grpc_service=service, unhealthy_after=2, healthy_after=2)
    check.interval.FromMilliseconds(100)
    check.timeout.FromMilliseconds(1_000)
    one = pb.ServiceInstance(
        id="a", address=f"127.0.0.1:{port}", state=pb.INSTANCE_STATE_HEALTHY, node=node
    )
    spec = pb.ServiceSpec(health=check)
    bench.proxy.replace([pb.Service(name="greeter", spec=spec, instances=[one])])


def passing(bench: ProxyBench) -> bool | None:
    found: bool | None = bench.figures("greeter")["instances"][0]["passing"]
    return found


@pytest.mark.parametrize("service", ["", "shop.Greeter"])
async def test_one_that_does_not_serve_or_is_gone_fails_until_it_serves_again(
    bench: ProxyBench, greeter: Greeter, service: str
) -> None:
    await greeter.health.set(service, SERVING)
    publish(bench, greeter.port, service)
    assert passing(bench) is True  # by its own word
    await greeter.health.set(service, NOT_SERVING)
    await until(lambda: passing(bench) is False)
    answer = await bench.get("/services/greeter/")
    assert (answer.status, answer.reason) == (503, "NO_INSTANCE")
    await greeter.health.set(service, SERVING)
    await until(lambda: passing(bench) is True)
    await greeter.stop()
    await until(lambda: passing(bench) is False)
    await greeter.start()
    await until(lambda: passing(bench) is True)


async def test_a_replica_is_its_agents_to_check(bench: ProxyBench, greeter: Greeter) -> None:
    publish(bench, greeter.port, "", node="n1")
    assert passing(bench) is None


async def test_why_a_check_fails(greeter: Greeter, bench: ProxyBench) -> None:
    port = greeter.port
    assert await ask_grpc("127.0.0.1", port, "", 5) == ""
    assert "NOT_FOUND" in await ask_grpc("127.0.0.1", port, "nobody", 5)
    await greeter.health.set("", NOT_SERVING)
    assert (await ask_grpc("127.0.0.1", port, "", 5)).endswith("answered NOT_SERVING")
    not_grpc = await bench.instance("http")
    assert "failed with" in await ask_grpc("127.0.0.1", not_grpc.port, "", 5)
    # It takes the connection and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert "DEADLINE_EXCEEDED" in await ask_grpc("127.0.0.1", port, "", 0.2)
