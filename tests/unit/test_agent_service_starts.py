"""A replica's grace to start counts from its program's start, not from the hand-over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node_agent.core.attempts import BEGIN_SECONDS, Attempt
from node_agent.core.services.health import HealthTerms
from node_agent.services import replicas
from node_agent.services.instance_records import InstanceRecords
from node_agent.task.work import Check, Command, Replica
from quorate.runtime.timing.clock import SimulatedClock

TERMS = HealthTerms(interval=0.001, unhealthy_after=2, start_grace=5.0)


class _Deaf:
    """The check of a program that does not listen; each takes `seconds` of the node's clock."""

    seconds = 1.0

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.checks = 0

    async def run(self, timeout: float) -> str:
        self.clock.advance(self.seconds)
        self.checks += 1
        return "refused"

    async def close(self) -> None:
        pass


class World:
    """A node that was given a replica whose program has not begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = SimulatedClock()
        self.check = _Deaf(self.clock)
        monkeypatch.setattr(replicas, "checker_for", lambda *_: self.check)
        self.unhealthy: list[Attempt] = []
        self.replicas = replicas.Replicas(
            node="n1",
            host="127.0.0.1",
            labels={},
            clock=self.clock,
            records=InstanceRecords(b"/quorate/c/"),
            run=lambda attempt, command: None,
            on_exited=lambda attempt, outcome: None,
            on_unhealthy=lambda attempt, why: self.unhealthy.append(attempt),
        )
        work: Any = Replica("web", 1, Command(("serve",), {}, "", b""), Check("tcp"), TERMS, {})
        self.attempt = Attempt("t", 1, work, "$ serve", replica=True)
        self.replicas.start(self.attempt)

    async def until(self, checks: int) -> None:
        while self.check.checks < checks and not self.unhealthy:
            await asyncio.sleep(0.001)


async def test_a_replica_that_has_not_begun_is_not_unhealthy(monkeypatch: pytest.MonkeyPatch):
    world = World(monkeypatch)
    try:
        await world.until(12)
        assert not world.unhealthy
        world.attempt.running_since = world.clock.monotonic()
        await world.until(12 + 4)
        assert not world.unhealthy, "its grace is that of its program"
        await world.until(12 + 10)
        assert world.unhealthy == [world.attempt]
        assert world.check.checks == 12 + 6
    finally:
        await world.replicas.close()


async def test_a_node_without_time_to_listen_gives_up_no_replica(monkeypatch: pytest.MonkeyPatch):
    """Checks that fail long after their limit: the answer may have been there in time."""
    world = World(monkeypatch)
    world.check.seconds = 2 * TERMS.timeout
    world.attempt.running_since = world.clock.monotonic()
    try:
        await world.until(20)
        assert not world.unhealthy
        world.check.seconds = TERMS.timeout
        await world.until(100)
        assert world.unhealthy == [world.attempt]
    finally:
        await world.replicas.close()


async def test_a_replica_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch):
    world = World(monkeypatch)
    try:
        await world.until(int(BEGIN_SECONDS) + 10)
        assert world.unhealthy == [world.attempt]
    finally:
        await world.replicas.close()
