"""Watches of services: a snapshot, changes coalesced, bounds, the end of the leader."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from quorate.v1 import service_pb2 as pb
from tests.support.registry import Calls, Standing
from tests.support.service_calls import (
    create,
    leaders_calls,
    refused,
    register,
    standing_scheduler,
    update,
)

scheduler = standing_scheduler
calls = leaders_calls


class Watching:
    """An open watch, as a gateway keeps it: services by name."""

    def __init__(self, calls: Calls, *names: str) -> None:
        self.answers = calls.WatchServices(pb.WatchServicesRequest(names=names))
        self.services: dict[str, pb.Service] = {}

    async def next(self) -> pb.WatchServicesResponse:
        async with asyncio.timeout(60):
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
    monkeypatch.setattr("scheduler.api.services.watches.MAX_WATCHES", 2)
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
    monkeypatch.setattr("scheduler.api.services.watches.KEEPALIVE", 0.05)
    async with scheduler.leading() as calls:
        watching = Watching(calls)
        await watching.snapshot()
        answer = await watching.next()
        assert not answer.services
        assert answer.revision > 0
        await watching.answers.aclose()
