"""What the service registry refuses, by the name of the field."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from quorate.v1 import service_pb2 as pb
from tests.support.registry import Calls
from tests.support.service_calls import (
    create,
    get,
    leaders_calls,
    refused,
    register,
    standing_scheduler,
)

scheduler = standing_scheduler
calls = leaders_calls


BAD_SPECS: list[tuple[str, dict[str, Any]]] = [
    ("service.spec.replicas", {"replicas": -1}),
    ("service.spec.replicas", {"replicas": 1001, "command": {"argv": ["x"]}}),
    ("service.spec.command", {"replicas": 1, "command": None}),
    ("service.spec.command.argv", {"command": {"argv": []}}),
    ("service.spec.command.cwd", {"command": {"argv": ["x"], "cwd": "here"}}),
    ("service.spec.resources", {"resources": {"cpu": 1}}),
    ("service.spec.resources.cpu", {"command": {"argv": ["x"]}, "resources": {"cpu": -1}}),
    ("service.spec.placement", {"placement": {"distinct": []}}),
    (
        "service.spec.placement.distinct[0]",
        {"command": {"argv": ["x"]}, "placement": {"distinct": ["app"]}},
    ),
    (
        "service.spec.placement.nodes[0].label",
        {"command": {"argv": ["x"]}, "placement": {"nodes": [{"values": ["x"]}]}},
    ),
    ("service.spec.labels", {"labels": {"": "x"}}),
    ("service.spec.labels", {"labels": {f"{n}": "x" for n in range(33)}}),
    ("service.spec.labels", {"labels": {f"{n}": "x" * 128 for n in range(20)}}),
    ("service.spec.max_surge", {"max_surge": 101}),
    ("service.spec.max_surge", {"max_surge": -1}),
    ("service.spec.max_unavailable", {"max_unavailable": 101}),
    ("service.spec.drain_grace", {"drain_grace": {"seconds": 3601}}),
    ("service.spec.health.http_path", {"health": {"http_path": "ok"}}),
    ("service.spec.health.http_path", {"health": {"http_path": "/a\r\nX: y"}}),
    ("service.spec.health.tcp", {"health": {"tcp": False}}),
    ("service.spec.health.grpc_service", {"health": {"grpc_service": "x" * 257}}),
    ("service.spec.health.interval", {"health": {"interval": {"nanos": 1}}}),
    ("service.spec.health.timeout", {"health": {"timeout": {"seconds": 61}}}),
    ("service.spec.health.healthy_after", {"health": {"healthy_after": 11}}),
    ("service.spec.health.unhealthy_after", {"health": {"unhealthy_after": -1}}),
    ("service.spec.health.start_grace", {"health": {"start_grace": {"seconds": 3601}}}),
    ("service.spec.proxy.balancing", {"proxy": {"balancing": 9}}),
    ("service.spec.proxy.hash_on", {"proxy": {"balancing": 4}}),
    ("service.spec.proxy.hash_on.header", {"proxy": {"hash_on": {"header": "a b"}}}),
    ("service.spec.proxy.hash_on.cookie", {"proxy": {"hash_on": {"cookie": ""}}}),
    ("service.spec.proxy.hash_on.path", {"proxy": {"hash_on": {"path": False}}}),
    ("service.spec.proxy.hosts", {"proxy": {"hosts": ["a.b"] * 17}}),
    ("service.spec.proxy.hosts[1]", {"proxy": {"hosts": ["a.b", "a b"]}}),
    ("service.spec.proxy.timeout", {"proxy": {"timeout": {"seconds": 0}}}),
    ("service.spec.proxy.retries", {"proxy": {"retries": 6}}),
    ("service.spec.proxy.retry_budget", {"proxy": {"retry_budget": float("nan")}}),
    ("service.spec.proxy.rate_limit", {"proxy": {"rate_limit": 1e7}}),
    ("service.spec.proxy.concurrency_limit", {"proxy": {"concurrency_limit": 65537}}),
    ("service.spec.proxy.prefer_label", {"proxy": {"prefer_label": "x" * 129}}),
    ("service.spec.proxy.eject_after", {"proxy": {"eject_after": 101}}),
    ("service.spec.proxy.eject_for", {"proxy": {"eject_for": {"seconds": 301}}}),
    ("service.spec.proxy.circuit_breaker", {"proxy": {"circuit_breaker": -1}}),
]


@pytest.mark.parametrize(("field", "spec"), BAD_SPECS, ids=lambda value: str(value)[:60])
async def test_a_bad_spec_is_refused_by_name(calls: Calls, field: str, spec: dict) -> None:
    error = await refused(calls.CreateService(create("web", **spec)))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


BAD_INSTANCES: list[tuple[str, dict[str, Any]]] = [
    ("instance.service", {"service": "No"}),
    ("instance.id", {"name": ""}),
    ("instance.id", {"name": "a/b"}),
    ("instance.id", {"name": "x" * 129}),
    ("instance.address", {"address": ""}),
    ("instance.address", {"address": "localhost"}),
    ("instance.address", {"address": "localhost:0"}),
    ("instance.address", {"address": "localhost:65536"}),
    ("instance.address", {"address": "http://a:1"}),
    ("instance.address", {"address": "a b:1"}),
    ("instance.weight", {"weight": 1001}),
    ("instance.state", {"state": 5}),
    ("instance.labels", {"labels": {"": "x"}}),
    ("ttl", {"ttl": 1}),
    ("ttl", {"ttl": 3601}),
]


@pytest.mark.parametrize(("field", "fields"), BAD_INSTANCES, ids=lambda value: str(value)[:60])
async def test_a_bad_instance_is_refused_by_name(calls: Calls, field: str, fields: dict) -> None:
    await calls.CreateService(create("db"))
    request = register(**{"service": "db", "name": "one", **fields})
    error = await refused(calls.RegisterInstance(request))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize("address", ["localhost:1", "[::1]:65535", "10.0.0.1:80", "a-b.c:443"])
async def test_good_addresses_are_taken(calls: Calls, address: str) -> None:
    await calls.CreateService(create("db"))
    answer = await calls.RegisterInstance(register("db", "one", address))
    assert answer.instance.address == address


async def test_instances_are_bounded(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    await calls.CreateService(create("db"))
    object.__setattr__(calls.limits, "service_instances", 2)
    for name in ("a", "b"):
        await calls.RegisterInstance(register("db", name))
    error = await refused(calls.RegisterInstance(register("db", "c")))
    assert (error.reason, error.metadata["limit"]) == ("TOO_MANY_INSTANCES", "2")
    await calls.RegisterInstance(register("db", "a"))


async def test_bad_names_are_refused(calls: Calls) -> None:
    assert (await refused(get(calls, "No"))).field == "name"
    assert (await refused(calls.CreateService(create("")))).field == "service.name"
    request = pb.CreateServiceRequest(service=pb.Service(name="web"))
    assert (await refused(calls.CreateService(request))).field == "service.spec"
    bad = pb.WatchServicesRequest(names=["No"])
    assert (await refused(anext(calls.WatchServices(bad)))).field == "names[0]"
    many = pb.WatchServicesRequest(names=["a"] * 1_001)
    assert (await refused(anext(calls.WatchServices(many)))).field == "names"
