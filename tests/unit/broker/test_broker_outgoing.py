"""Large messages on their way to clients: how much counts."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.api.broker.consuming import outgoing
from scheduler.core.broker.rows import NO_SESSION, SessionId

SESSION = SessionId("s" * 16)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "SLOW", 0.0)
    monkeypatch.setattr(outgoing, "MOST_SLOW", 100)


async def test_what_clients_have_not_taken_counts_until_they_have() -> None:
    told: list[SessionId] = []
    of_all = outgoing.Outgoing(told.append)
    one, other = of_all.stream(), of_all.stream()
    one.add(10)
    one.add(20)
    other.add(5)
    assert of_all.size == 35
    one.taken(10, SESSION)
    assert (of_all.size, told) == (25, [NO_SESSION])
    one.taken(20, SESSION)
    assert (of_all.size, told) == (5, [NO_SESSION, SESSION])
    other.taken(other.size)
    assert of_all.size == 0


@pytest.mark.usefixtures("quick")
async def test_a_client_that_takes_nothing_holds_up_no_others() -> None:
    told: list[SessionId] = []
    of_all = outgoing.Outgoing(told.append)
    slow, slower = of_all.stream(), of_all.stream()
    slow.add(80)
    async with asyncio.timeout(60):
        while of_all.size:
            await asyncio.sleep(0)
    assert (of_all.slow, told) == (80, [NO_SESSION])
    # Not without end: more than the most counts.
    slower.add(30)
    for _ in range(5):
        await asyncio.sleep(0)
    assert (of_all.size, of_all.slow) == (30, 80)
    slow.taken(80, SESSION)
    assert of_all.slow == 0
    async with asyncio.timeout(60):
        while of_all.size:
            await asyncio.sleep(0)
    assert of_all.slow == 30
    slower.taken(30, SESSION)
    assert (of_all.size, of_all.slow) == (0, 0)
