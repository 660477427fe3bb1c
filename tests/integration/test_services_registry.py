"""Services and outside processes on real etcd: calls, leases, the next leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from quorate.etcd.api import Range
from quorate.etcd.client import EtcdClient
from quorate.runtime.errors import QuorateError
from quorate.v1 import service_pb2 as pb
from scheduler import keys
from scheduler.core.state import SERVICES_QUEUE
from tests.support.registry import Calls, Standing, standing

_clusters = iter(range(1_000_000))


@pytest.fixture
async def scheduler(etcd_client: EtcdClient) -> AsyncIterator[Standing]:
    async with standing(etcd_client, "s1", f"registry-{next(_clusters)}") as scheduler:
        yield scheduler


@pytest.fixture
async def calls(scheduler: Standing) -> AsyncIterator[Calls]:
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


# -- services


async def test_a_service_is_created_read_listed_updated_and_deleted(
    scheduler: Standing, calls: Calls
) -> None:
    made = (await calls.CreateService(create("web", replicas=2))).service
    assert (made.name, made.generation, made.spec.replicas) == ("web", 1, 2)
    assert made.etag
    assert made.create_time.seconds
    async with asyncio.timeout(5):
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
    async with asyncio.timeout(5):
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


# -- outside processes


async def lease_of(scheduler: Standing, service: str, name: str) -> int:
    key = scheduler.settings.prefix + keys.instance_key(service, name)
    found = await scheduler.etcd.range(Range(key))
    return found.kvs[0].lease if found.kvs else 0


async def test_an_outside_process_is_there_until_its_lease_ends(
    scheduler: Standing, calls: Calls
) -> None:
    await calls.CreateService(create("db"))
    answer = (await calls.RegisterInstance(register("db", "one", labels={"zone": "a"}))).instance
    assert answer.state == pb.INSTANCE_STATE_HEALTHY
    assert answer.weight == 1
    assert answer.start_time.seconds
    service = await get(calls, "db")
    assert list(service.instances) == [answer]
    assert service.ready == 1
    # Not renewed: within its two seconds and a little more it is gone, and the leader knows.
    async with asyncio.timeout(10):
        while (await get(calls, "db")).instances:
            await asyncio.sleep(0.01)
    assert not await lease_of(scheduler, "db", "one")


async def test_registering_again_renews_and_changes(scheduler: Standing, calls: Calls) -> None:
    await calls.CreateService(create("db"))
    first = (await calls.RegisterInstance(register("db", "one"))).instance
    lease = await lease_of(scheduler, "db", "one")
    again = (await calls.RegisterInstance(register("db", "one", "127.0.0.1:81"))).instance
    assert (again.address, again.start_time) == ("127.0.0.1:81", first.start_time)
    assert await lease_of(scheduler, "db", "one") == lease, "renewed, not replaced"
    draining = register("db", "one", "127.0.0.1:81", state=pb.INSTANCE_STATE_DRAINING)
    await calls.RegisterInstance(draining)
    service = await get(calls, "db")
    assert [i.state for i in service.instances] == [pb.INSTANCE_STATE_DRAINING]
    assert service.ready == 0
    await calls.RegisterInstance(register("db", "one", ttl=60))
    other = await lease_of(scheduler, "db", "one")
    assert other != lease, "another length, another lease"


async def test_many_registrations_of_one_instance_leave_one_lease(
    scheduler: Standing, calls: Calls
) -> None:
    await calls.CreateService(create("db"))
    requests = (register("db", "one", f"127.0.0.1:{port}") for port in range(1, 21))
    await asyncio.gather(*(calls.RegisterInstance(request) for request in requests))
    (instance,) = (await get(calls, "db")).instances
    assert instance.address == "127.0.0.1:20"


async def test_deregistering_takes_it_off_at_once(scheduler: Standing, calls: Calls) -> None:
    await calls.CreateService(create("db"))
    await calls.RegisterInstance(register("db", "one", ttl=60))
    request = pb.DeregisterInstanceRequest(service="db", id="one")
    await calls.DeregisterInstance(request)
    assert not (await get(calls, "db")).instances
    assert (await refused(calls.DeregisterInstance(request))).reason == "INSTANCE_NOT_FOUND"


async def test_only_services_without_a_command_take_outside_processes(calls: Calls) -> None:
    await calls.CreateService(create("web", replicas=1))
    error = await refused(calls.RegisterInstance(register("web", "one")))
    assert error.reason == "SERVICE_HAS_REPLICAS"
    error = await refused(calls.RegisterInstance(register("nothing", "one")))
    assert error.reason == "SERVICE_NOT_FOUND"


async def test_instances_go_with_their_service(scheduler: Standing, calls: Calls) -> None:
    await calls.CreateService(create("db"))
    await calls.RegisterInstance(register("db", "one", ttl=60))
    await calls.DeleteService(pb.DeleteServiceRequest(name="db"))
    async with asyncio.timeout(5):
        while scheduler.state.instances:
            await asyncio.sleep(0)
    assert not await lease_of(scheduler, "db", "one")


async def test_the_next_leader_renews_the_same_lease(scheduler: Standing) -> None:
    async with scheduler.leading() as calls:
        await calls.CreateService(create("db"))
        first = (await calls.RegisterInstance(register("db", "one", ttl=5))).instance
    lease = await lease_of(scheduler, "db", "one")
    async with scheduler.leading() as calls:
        assert list((await get(calls, "db")).instances) == [first]
        again = (await calls.RegisterInstance(register("db", "one", ttl=5))).instance
        assert again == first
        assert await lease_of(scheduler, "db", "one") == lease


# -- watching


class Watching:
    """An open watch, as a gateway keeps it: services by name."""

    def __init__(self, calls: Calls, *names: str) -> None:
        self.answers = calls.WatchServices(pb.WatchServicesRequest(names=names))
        self.services: dict[str, pb.Service] = {}

    async def next(self) -> pb.WatchServicesResponse:
        async with asyncio.timeout(10):
            answer: pb.WatchServicesResponse = await anext(self.answers)
        self.services.update((service.name, service) for service in answer.services)
        for name in answer.removed:
            self.services.pop(name, None)
        return answer

    async def snapshot(self) -> None:
        while not (await self.next()).snapshot_complete:
            pass

    async def until(self, condition: Any) -> None:
        while not condition(self.services):
            await self.next()


async def test_a_watch_begins_with_a_snapshot_and_goes_on_with_changes(calls: Calls) -> None:
    await calls.CreateService(create("a"))
    await calls.CreateService(create("b", replicas=1))
    watching = Watching(calls)
    await watching.snapshot()
    assert sorted(watching.services) == ["a", "b"]
    await calls.RegisterInstance(register("a", "one"))
    await watching.until(lambda services: services["a"].ready == 1)
    await calls.UpdateService(update("b", "spec.labels", labels={"x": "y"}))
    await watching.until(lambda services: services["b"].generation == 2)
    await calls.DeleteService(pb.DeleteServiceRequest(name="a"))
    await watching.until(lambda services: "a" not in services)
    await watching.answers.aclose()


async def test_a_watch_of_some_names_tells_of_no_other(calls: Calls) -> None:
    await calls.CreateService(create("a"))
    watching = Watching(calls, "b")
    await watching.snapshot()
    assert not watching.services
    await calls.CreateService(create("c"))
    await calls.CreateService(create("b"))
    await watching.until(lambda services: "b" in services)
    assert list(watching.services) == ["b"]
    await watching.answers.aclose()


async def test_a_large_snapshot_comes_in_parts(calls: Calls) -> None:
    labels = {f"label-{number}": "x" * 40 for number in range(32)}
    for start in range(0, 700, 100):
        await asyncio.gather(
            *(
                calls.CreateService(create(f"s{number:04}", labels=labels))
                for number in range(start, start + 100)
            )
        )
    watching = Watching(calls)
    messages = 1
    while not (await watching.next()).snapshot_complete:
        messages += 1
    assert messages > 1
    await watching.until(lambda services: len(services) == 700)
    await watching.answers.aclose()


async def test_changes_are_coalesced(calls: Calls) -> None:
    await calls.CreateService(create("a"))
    watching = Watching(calls)
    await watching.snapshot()
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(300):
        await calls.UpdateService(update("a", "spec.labels", labels={"n": str(number)}))
    messages = 0
    while watching.services["a"].spec.labels["n"] != "299":
        await watching.next()
        messages += 1
    assert messages <= 2 + 20 * (loop.time() - start)
    await watching.answers.aclose()


async def test_a_watch_ends_with_its_leader(scheduler: Standing) -> None:
    async with scheduler.leading() as calls:
        watching = Watching(calls)
        await watching.snapshot()
    error = await refused(watching.next())
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "LEADER_LOST")
    async with scheduler.leading() as calls:
        await Watching(calls).snapshot()


async def test_watches_are_bounded(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.service_feed.MAX_WATCHES", 2)
    open_watches = [Watching(calls) for _ in range(2)]
    for watching in open_watches:
        await watching.snapshot()
    assert (await refused(Watching(calls).next())).reason == "TOO_MANY_WATCHES"
    for watching in open_watches:
        await watching.answers.aclose()
    await Watching(calls).snapshot()


async def test_silence_is_broken_by_empty_messages(
    scheduler: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.service_feed.KEEPALIVE", 0.05)
    async with scheduler.leading() as calls:
        watching = Watching(calls)
        await watching.snapshot()
        answer = await watching.next()
        assert not answer.services
        assert answer.revision > 0
        await watching.answers.aclose()


# -- bad input

BAD_SPECS: list[tuple[str, dict[str, Any]]] = [
    ("service.spec.replicas", {"replicas": -1}),
    ("service.spec.replicas", {"replicas": 1001, "command": {"argv": ["x"]}}),
    ("service.spec.command", {"replicas": 1, "command": None}),
    ("service.spec.command.argv", {"command": {"argv": []}}),
    ("service.spec.command.cwd", {"command": {"argv": ["x"], "cwd": "here"}}),
    ("service.spec.resources", {"resources": {"cpu": 1}}),
    ("service.spec.resources.cpu", {"command": {"argv": ["x"]}, "resources": {"cpu": -1}}),
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
    limits = calls._registry._limits
    object.__setattr__(limits, "service_instances", 2)
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
