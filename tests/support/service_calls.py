"""What tests of the service registry ask of a `Standing`, and the fixtures they ask it with.

A test module has them by `scheduler = standing_scheduler` and `calls = leaders_calls`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

from quorate.etcd.client import EtcdClient
from quorate.runtime.errors import QuorateError
from quorate.v1 import service_pb2 as pb
from tests.support.registry import Calls, Standing, standing

_clusters = count(1)


@pytest.fixture
async def standing_scheduler(etcd_client: EtcdClient) -> AsyncIterator[Standing]:
    """The fixture `scheduler`: of a cluster that no other test uses."""
    async with standing(etcd_client, "s1", f"registry-{next(_clusters)}") as scheduler:
        yield scheduler


@pytest.fixture
async def leaders_calls(scheduler: Standing) -> AsyncIterator[Calls]:
    """The fixture `calls`: of one term of `scheduler`."""
    async with scheduler.leading() as calls:
        yield calls


def create(name: str, request_id: str = "", **spec: Any) -> pb.CreateServiceRequest:
    """CreateService; with a command if there are to be replicas."""
    if spec.get("replicas"):
        spec.setdefault("command", {"argv": ["serve"]})
    service = pb.Service(name=name, spec=pb.ServiceSpec(**spec))
    return pb.CreateServiceRequest(service=service, request_id=request_id)


def update(name: str, *paths: str, etag: str = "", **spec: Any) -> pb.UpdateServiceRequest:
    request = pb.UpdateServiceRequest(
        service=pb.Service(name=name, etag=etag, spec=pb.ServiceSpec(**spec))
    )
    request.update_mask.paths.extend(paths)
    return request


def register(
    service: str, name: str, address: str = "127.0.0.1:80", ttl: float = 2, **more: Any
) -> pb.RegisterInstanceRequest:
    request = pb.RegisterInstanceRequest(
        instance=pb.ServiceInstance(service=service, id=name, address=address, **more)
    )
    request.ttl.FromMilliseconds(round(ttl * 1000))
    return request


async def get(calls: Calls, name: str) -> pb.Service:
    service: pb.Service = (await calls.GetService(pb.GetServiceRequest(name=name))).service
    return service


async def refused(call: Any) -> QuorateError:
    with pytest.raises(QuorateError) as error:
        await call
    return error.value
