"""Services on real etcd: created, read, listed, updated and deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, How, Role, set_caller
from quorate.v1 import service_pb2 as pb
from scheduler.core.model.state import SERVICES_QUEUE
from tests.support.registry import Calls, Standing
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


async def test_a_service_is_created_read_listed_updated_and_deleted(
    scheduler: Standing, calls: Calls
) -> None:
    made = (await calls.CreateService(create("web", replicas=2))).service
    assert (made.name, made.generation, made.spec.replicas) == ("web", 1, 2)
    assert made.etag
    assert made.create_time.seconds
    async with asyncio.timeout(60):
        while (await get(calls, "web")).updated < 2:
            pass
    assert SERVICES_QUEUE in scheduler.state.queues
    changed = (await calls.UpdateService(update("web", "spec.replicas", replicas=3))).service
    assert (changed.generation, changed.spec.replicas) == (1, 3)
    assert changed.etag != made.etag
    assert changed.spec.command.argv == ["serve"]
    names = [s.name for s in (await calls.ListServices(pb.ListServicesRequest())).services]
    assert names == ["web"]
    await calls.DeleteService(pb.DeleteServiceRequest(name="web"))
    async with asyncio.timeout(60):
        while "web" in scheduler.state.services:
            await asyncio.sleep(0)
    assert (await refused(get(calls, "web"))).reason == "SERVICE_NOT_FOUND"


async def test_lists_go_by_pages(calls: Calls) -> None:
    for name in ("a", "b", "c"):
        await calls.CreateService(create(name))
    page = await calls.ListServices(pb.ListServicesRequest(page_size=2))
    assert [s.name for s in page.services] == ["a", "b"]
    request = pb.ListServicesRequest(page_size=2, page_token=page.next_page_token)
    page = await calls.ListServices(request)
    assert ([s.name for s in page.services], page.next_page_token) == (["c"], "")


async def test_an_update_with_another_etag_is_aborted(calls: Calls) -> None:
    etag = (await calls.CreateService(create("web"))).service.etag
    await calls.UpdateService(update("web", "spec.labels", etag=etag, labels={"a": "b"}))
    again = update("web", "spec.labels", etag=etag, labels={"a": "c"})
    error = await refused(calls.UpdateService(again))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert (await get(calls, "web")).spec.labels == {"a": "b"}


async def test_a_repeated_update_is_answered_although_its_etag_is_old_by_now(calls: Calls) -> None:
    etag = (await calls.CreateService(create("web"))).service.etag
    for _ in range(2):
        request = update("web", "spec.labels", etag=etag, labels={"a": "b"})
        request.request_id = "r1"
        answer = (await calls.UpdateService(request)).service
        assert answer.spec.labels == {"a": "b"}


async def test_updates_without_an_etag_are_merged_one_after_the_other(calls: Calls) -> None:
    await calls.CreateService(create("web", replicas=1))
    await asyncio.gather(
        calls.UpdateService(update("web", "spec.max_surge", max_surge=7)),
        calls.UpdateService(update("web", "spec.max_unavailable", max_unavailable=3)),
        calls.UpdateService(update("web", "spec.proxy.retries", proxy={"retries": 4})),
    )
    spec = (await get(calls, "web")).spec
    assert (spec.max_surge, spec.max_unavailable, spec.proxy.retries) == (7, 3, 4)


async def test_of_those_who_claim_a_host_at_once_one_gets_it(calls: Calls) -> None:
    claims = [create(name, proxy={"hosts": ["shop.example"]}) for name in ("a", "b", "c")]
    answers = await asyncio.gather(
        *(calls.CreateService(claim) for claim in claims), return_exceptions=True
    )
    (owner,) = [one.service.name for one in answers if isinstance(one, pb.CreateServiceResponse)]
    errors = [one for one in answers if isinstance(one, QuorateError)]
    assert len(errors) == 2
    for error in errors:
        assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "HOST_TAKEN")
        assert error.field == "service.spec.proxy.hosts[0]"
        assert error.metadata["service"] == owner
    await calls.CreateService(create("d"))
    late = update("d", "spec.proxy.hosts", proxy={"hosts": ["Shop.Example"]})
    assert (await refused(calls.UpdateService(late))).reason == "HOST_TAKEN"


async def test_whose_a_host_is_is_hidden_from_who_may_not_name_that_service(calls: Calls) -> None:
    async def bound_admin(pattern: str, call: Any) -> QuorateError:
        set_caller(Caller("ann", Role.ADMIN, How.TOKEN, (pattern,)))
        return await refused(call)

    await calls.CreateService(create("their-secret", proxy={"hosts": ["shop.example"]}))
    await calls.CreateService(create("mine"))
    for ask in (
        lambda: calls.CreateService(create("mine-2", proxy={"hosts": ["shop.example"]})),
        lambda: calls.UpdateService(
            update("mine", "spec.proxy.hosts", proxy={"hosts": ["shop.example"]})
        ),
    ):
        error = await asyncio.create_task(bound_admin("mine*", ask()))
        assert error.reason == "HOST_TAKEN"
        assert error.field == "service.spec.proxy.hosts[0]"
        assert "their" not in f"{error} {error.message} {error.metadata}"
        error = await asyncio.create_task(bound_admin("*-secret", ask()))
        assert error.metadata["service"] == "their-secret"


async def test_a_mask_clears_what_the_request_leaves_unset(calls: Calls) -> None:
    health = {"http_path": "/ok", "healthy_after": 2}
    await calls.CreateService(create("web", replicas=1, health=health, labels={"a": "b"}))
    await calls.UpdateService(update("web", "spec.labels", "spec.health.http_path"))
    spec = (await get(calls, "web")).spec
    assert not spec.labels
    assert (spec.health.WhichOneof("kind"), spec.health.healthy_after) == (None, 2)
    whole = update("web", "spec", labels={"x": "y"})
    service = (await calls.UpdateService(whole)).service
    assert service.spec == pb.ServiceSpec(labels={"x": "y"})
    assert service.generation == 3


@pytest.mark.parametrize(
    "path", ["name", "spec.nothing", "spec.replicas.more", "spec.labels.a", "etag", "", "spec."]
)
async def test_a_mask_with_a_path_of_nothing_is_refused(calls: Calls, path: str) -> None:
    await calls.CreateService(create("web"))
    error = await refused(calls.UpdateService(update("web", path)))
    assert (error.field, error.reason) == ("update_mask", "INVALID_FIELD_MASK")


async def test_create_is_repeatable_by_its_request_id(calls: Calls) -> None:
    first = (await calls.CreateService(create("web", "r1"))).service
    assert (await calls.CreateService(create("web", "r1"))).service == first
    assert (await refused(calls.CreateService(create("web")))).reason == "SERVICE_ALREADY_EXISTS"
    error = await refused(calls.CreateService(create("api", "r1")))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_a_service_chooses_no_nodes_while_a_scheduler_is_older(calls: Calls) -> None:
    """The candidate of this test says nothing of what it understands."""
    placement = {"nodes": [{"label": "disk", "values": ["ssd"]}]}
    error = await refused(calls.CreateService(create("web", replicas=1, placement=placement)))
    assert (error.reason, error.metadata["kind"]) == ("SCHEDULER_TOO_OLD", "service-placement")
    await calls.CreateService(create("web", replicas=1))
    change = update("web", "spec.placement", placement=placement)
    assert (await refused(calls.UpdateService(change))).reason == "SCHEDULER_TOO_OLD"
    # It is only refused where there is something to understand.
    await calls.UpdateService(update("web", "spec.placement"))
