"""Replicas on real agents: kept running, updated, moved and ended, as their watchers see them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from quorate.v1 import scheduler_pb2, service_pb2_grpc, task_pb2
from quorate.v1 import service_pb2 as pb
from tests.support.cluster import Cluster

PROGRAM = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[1].encode())
    def log_message(self, *words): pass
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Web:
    """The service `web`, and a watch of it that was never interrupted."""

    def __init__(self, cluster: Cluster, registry: Any) -> None:
        self.cluster = cluster
        self.registry = registry
        self.least_ready = 1_000
        self._watch = registry.WatchServices(pb.WatchServicesRequest(names=["web"]))
        self.service: pb.Service | None = None

    def spec(self, replicas: int, version: str) -> pb.ServiceSpec:
        spec = pb.ServiceSpec(replicas=replicas, health=task_pb2.HealthCheck(http_path="/"))
        spec.command.argv.extend([sys.executable, "-c", PROGRAM, version])
        spec.health.interval.FromMilliseconds(100)
        spec.drain_grace.FromMilliseconds(200)
        return spec

    async def create(self, replicas: int) -> None:
        service = pb.Service(name="web", spec=self.spec(replicas, "1"))
        await self.registry.CreateService(pb.CreateServiceRequest(service=service), timeout=10)
        await self.until(lambda web: web.ready == replicas)

    async def update(self, replicas: int, version: str) -> None:
        service = pb.Service(name="web", spec=self.spec(replicas, version))
        await self.registry.UpdateService(pb.UpdateServiceRequest(service=service), timeout=10)

    async def until(self, condition: Callable[[pb.Service], bool]) -> pb.Service:
        """Follow the watch until the service is so; `least_ready` is what was seen meanwhile."""
        self.least_ready = 1_000
        async with asyncio.timeout(60):
            while self.service is None or not condition(self.service):
                answer = await self._watch.read()
                for service in answer.services:
                    self.service = service
                    self.least_ready = min(self.least_ready, service.ready)
        return self.service

    async def gone(self) -> None:
        async with asyncio.timeout(60):
            while "web" not in (await self._watch.read()).removed:
                pass


async def ask(instance: pb.ServiceInstance) -> bytes:
    """What a replica answers to a request."""
    host, _, port = instance.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.rpartition(b"\r\n\r\n")[2]


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with Cluster(tmp_path, schedulers=2, agents=2, slots=8) as cluster:
        await cluster.in_session()
        server = next(iter(cluster.schedulers.values()))
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield Web(cluster, service_pb2_grpc.ServiceRegistryStub(channel))


async def test_a_service_is_updated_without_a_gap_and_deleted(web: Web) -> None:
    await web.create(3)
    assert web.service is not None
    assert {await ask(instance) for instance in web.service.instances} == {b"1"}
    await web.update(3, "2")
    done = await web.until(
        lambda s: s.updated == 3 == len(s.instances) and {i.generation for i in s.instances} == {2}
    )
    assert web.least_ready >= 3
    assert {await ask(instance) for instance in done.instances} == {b"2"}
    await web.registry.DeleteService(pb.DeleteServiceRequest(name="web"), timeout=10)
    await web.gone()
    assert not await web.cluster.read(b"services/")


async def test_a_drained_node_loses_its_replicas_after_others_are_healthy(web: Web) -> None:
    await web.create(2)
    assert web.service is not None
    node = web.service.instances[0].node
    await web.cluster.call(scheduler_pb2.DrainNodeRequest(name=node))
    done = await web.until(
        lambda s: s.ready == 2 == len(s.instances) and all(i.node != node for i in s.instances)
    )
    assert web.least_ready >= 2
    assert {await ask(instance) for instance in done.instances} == {b"1"}


async def test_replicas_of_a_killed_node_run_again_elsewhere(web: Web) -> None:
    await web.create(2)
    assert web.service is not None
    node = web.service.instances[0].node
    web.cluster.agents[node].kill()
    await web.until(
        lambda s: s.ready == 2 == len(s.instances) and all(i.node != node for i in s.instances)
    )


async def test_a_cancelled_replica_is_replaced(web: Web) -> None:
    await web.create(2)
    assert web.service is not None
    task = web.service.instances[0].id
    await web.cluster.call(scheduler_pb2.CancelTaskRequest(id=task))
    await web.until(
        lambda s: s.ready == 2 == len(s.instances) and all(i.id != task for i in s.instances)
    )
    assert (await web.cluster.task(task)).state == task_pb2.TASK_STATE_CANCELLED
