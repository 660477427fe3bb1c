"""Outside processes on real etcd: registered under a lease, renewed, gone, the next leader."""

from __future__ import annotations

import asyncio

from quorate.etcd.api import Range
from quorate.v1 import service_pb2 as pb
from scheduler.storage import keys
from tests.support.registry import Calls, Standing
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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
