"""An agent that shuts down with outcomes in its outbox waits for a leader that takes them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from node_agent.app import leave
from node_agent.core.attempts import Outcome, Result
from node_agent.core.machine import Machine


async def test_a_leaving_agent_without_a_session_waits_for_the_next_leader() -> None:
    machine = Machine(1)
    machine.outbox.add("t", 1, Outcome(Result("exit_code", 0)))
    assert not machine.connected

    async def nothing(*_: Any) -> None: ...

    driver: Any = SimpleNamespace(machine=machine, drain=lambda *_, **__: None, until_idle=nothing)
    serving: Any = SimpleNamespace(health=SimpleNamespace(enter_graceful_shutdown=nothing))
    settings: Any = SimpleNamespace(drain_grace=1.0, kill_grace=1.0)
    leaving = asyncio.create_task(leave(driver, serving, settings))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not leaving.done()
    machine.outbox.acknowledge(("t", 1))
    async with asyncio.timeout(60):
        await leaving
