"""PATCH by REST of a service of the real registry: what a body holds is changed, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from quorate.v1 import service_pb2 as pb
from quorate.v1.scheduler_pb2 import GetClusterResponse
from tests.support.registry import Calls
from tests.support.rest import client_of, problem
from tests.support.service_calls import (
    create,
    get,
    leaders_calls,
    refused,
    standing_scheduler,
    update,
)

scheduler = standing_scheduler
calls = leaders_calls


class RegistryUpstream:
    """Calls a registry in this process."""

    addresses = ("nowhere",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def unary(self, method: Any, request: Any, **_: Any) -> Any:
        if method.name == "GetCluster":
            # The gateway asks with it whether a token is good, before it reads a body.
            return GetClusterResponse()
        return await getattr(self._calls, method.name)(request)


@pytest.fixture
async def client(calls: Calls) -> AsyncIterator[httpx.AsyncClient]:
    await calls.CreateService(
        create(
            "web",
            replicas=2,
            command={"argv": ["serve"], "env": {"A": "1"}},
            health={"http_path": "/ok", "healthy_after": 2},
            labels={"a": "b"},
            proxy={"retries": 4, "hosts": ["shop.example"]},
        )
    )
    async with client_of(RegistryUpstream(calls)) as made:
        yield made


async def patched(client: httpx.AsyncClient, body: dict[str, Any], query: str = "") -> pb.Service:
    answer = await client.patch(f"/v1/services/web{query}", json=body)
    assert answer.status_code == 200, answer.text
    return pb.Service(generation=int(answer.json()["service"]["generation"]))


async def test_a_patch_without_a_mask_changes_what_its_body_holds(
    client: httpx.AsyncClient, calls: Calls
) -> None:
    before = (await get(calls, "web")).spec
    answer = await patched(client, {"spec": {"proxy": {"rateLimit": 2}}})
    assert answer.generation == 1
    before.proxy.rate_limit = 2
    assert (await get(calls, "web")).spec == before


@pytest.mark.parametrize(
    ("body", "change"),
    [
        ({"spec": {"proxy": {"retries": 0}}}, {"proxy": {"retries": 0}}),
        ({"spec": {"health": None}}, {"health": None}),
        ({"spec": {"health": {"tcp": True}}}, {"health": {"tcp": True}}),
        ({"spec": {"labels": {"c": "d"}}}, {"labels": {"c": "d"}}),
        ({"spec": {"health": {}, "max_surge": 3}}, {"max_surge": 3}),
        ({"spec": {}}, {}),
        ({"spec": {"drainGrace": "2s"}}, {"drain_grace": {"seconds": 2}}),
    ],
)
async def test_null_clears_zero_is_set_and_maps_are_replaced(
    client: httpx.AsyncClient, calls: Calls, body: dict[str, Any], change: dict[str, Any]
) -> None:
    wanted = (await get(calls, "web")).spec
    for name, value in change.items():
        if name == "labels" or value is None:
            wanted.ClearField(name)
    wanted.MergeFrom(pb.ServiceSpec(**{k: v for k, v in change.items() if v is not None}))
    if change.get("proxy"):
        wanted.proxy.retries = 0
    await patched(client, body)
    assert (await get(calls, "web")).spec == wanted


async def test_what_was_read_can_be_sent_back_with_a_change(
    client: httpx.AsyncClient, calls: Calls
) -> None:
    before = (await get(calls, "web")).spec
    service = (await client.get("/v1/services/web")).json()["service"]
    service["spec"]["replicas"] = 3
    await patched(client, service)
    before.replicas = 3
    assert (await get(calls, "web")).spec == before
    # Its etag is old by now.
    stale = await client.patch("/v1/services/web", json=service)
    problem(stale, 409, "ETAG_MISMATCH")


async def test_a_given_mask_says_what_is_meant(client: httpx.AsyncClient, calls: Calls) -> None:
    body = {"spec": {"replicas": 3, "labels": {"c": "d"}}}
    await patched(client, body, "?updateMask=spec.replicas")
    spec = (await get(calls, "web")).spec
    assert spec.replicas == 3
    assert spec.labels == {"a": "b"}
    await patched(client, {"spec": {"labels": {"c": "d"}}}, "?updateMask=spec")
    assert (await get(calls, "web")).spec == pb.ServiceSpec(labels={"c": "d"})


@pytest.mark.parametrize("query", ["", "?updateMask=*", "?updateMask=spec"])
async def test_a_spec_is_not_replaced_by_none(
    client: httpx.AsyncClient, calls: Calls, query: str
) -> None:
    before = (await get(calls, "web")).spec
    for body in ({"spec": None}, {}):
        answer = await client.patch(f"/v1/services/web{query}", json=body)
        problem(answer, 400, "INVALID_FIELD")
    assert (await get(calls, "web")).spec == before


async def test_a_call_without_a_mask_changes_what_it_has_set(
    client: httpx.AsyncClient, calls: Calls
) -> None:
    before = (await get(calls, "web")).spec
    grace = {"seconds": 3}
    request = update("web", proxy={"rate_limit": 2}, drain_grace=grace, labels={"x": "y"})
    await calls.UpdateService(request)
    before.MergeFrom(pb.ServiceSpec(proxy={"rate_limit": 2}, drain_grace=grace))
    before.ClearField("labels")
    before.labels["x"] = "y"
    assert (await get(calls, "web")).spec == before
    nothing = pb.UpdateServiceRequest(service=pb.Service(name="web"))
    assert (await refused(calls.UpdateService(nothing))).field == "service.spec"
