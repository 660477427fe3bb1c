"""Services on real scheduler processes: any of them is asked, and the leader is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from quorate.runtime.errors import from_rpc_error
from quorate.v1 import service_pb2 as pb
from quorate.v1 import service_pb2_grpc
from tests.support.cluster import Cluster


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, schedulers=2, agents=0) as cluster:
        yield cluster


def stub(channel: grpc.aio.Channel) -> Any:
    return service_pb2_grpc.ServiceRegistryStub(channel)


def channel(server: Any) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(server.address)


def register(name: str) -> pb.RegisterInstanceRequest:
    request = pb.RegisterInstanceRequest(
        instance=pb.ServiceInstance(service="db", id=name, address="127.0.0.1:1")
    )
    request.ttl.FromSeconds(30)
    return request


def create(name: str) -> pb.CreateServiceRequest:
    service = pb.Service(name=name, spec=pb.ServiceSpec(labels={"a": "b"}))
    return pb.CreateServiceRequest(service=service, request_id="r1")


async def test_a_standby_serves_services_and_their_watches(cluster: Cluster) -> None:
    standby = await cluster.standby()
    async with channel(standby) as there:
        registry = stub(there)
        made = (await registry.CreateService(create("db"), timeout=60)).service
        assert (await registry.CreateService(create("db"), timeout=60)).service == made
        watch = registry.WatchServices(pb.WatchServicesRequest(), timeout=20)
        first = await watch.read()
        assert first.snapshot_complete
        assert [service.name for service in first.services] == ["db"]
        await registry.RegisterInstance(register("one"), timeout=60)
        news = await watch.read()
        assert [i.id for i in news.services[0].instances] == ["one"]
        watch.cancel()
        request = pb.GetServiceRequest(name="nothing")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await registry.GetService(request, timeout=60)
        assert from_rpc_error(error.value).reason == "SERVICE_NOT_FOUND"


async def test_reflection_lists_the_registry(cluster: Cluster) -> None:
    server = next(iter(cluster.schedulers.values()))
    async with channel(server) as there:
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(there)
        call = reflection.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        call.cancel()
    names = [service.name for service in answer.list_services_response.service]
    assert "quorate.v1.ServiceRegistry" in names


async def test_the_leaders_death_breaks_watches_and_loses_nothing(cluster: Cluster) -> None:
    standby = await cluster.standby()
    epoch, leader = await cluster.leader()
    async with channel(standby) as there:
        registry = stub(there)
        await registry.CreateService(create("db"), timeout=60)
        before = (await registry.RegisterInstance(register("one"), timeout=60)).instance
        watch = registry.WatchServices(pb.WatchServicesRequest(), timeout=60)
        assert (await watch.read()).snapshot_complete
        leader.kill()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await watch.read()
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        await cluster.leader(after=epoch)
        async with asyncio.timeout(60):
            watch = registry.WatchServices(pb.WatchServicesRequest(), wait_for_ready=True)
            (service,) = (await watch.read()).services
        watch.cancel()
        assert list(service.instances) == [before]
        # Its lease is found again by who leads now.
        assert (await registry.RegisterInstance(register("one"), timeout=60)).instance == before
