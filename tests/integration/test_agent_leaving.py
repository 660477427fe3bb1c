"""A node that a scale-down may end tells its probes, and runs what it is given all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest_asyncio

from node_agent.app import not_ready
from node_agent.session.registration import Registration
from tests.support.agent import Agent, Leader, command, eventually, running_agent, task_id

WHY = "leaving: idle, and fewer nodes are wanted"


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node") as agent:
        yield agent


async def why(agent: Agent) -> str:
    """What `/readyz` of a registered agent says."""
    registration: Any = SimpleNamespace(lease=object())
    return await not_ready(cast("Registration", registration), agent.driver, agent.sessions)


async def test_the_leader_says_it_and_takes_it_back(agent: Agent) -> None:
    async with Leader(agent.address) as leader:
        session = await leader.open()
        await session.inventory()
        assert await why(agent) == ""
        await session.send(leaving=True)
        await eventually(lambda: agent.sessions.scaling_down)
        assert await why(agent) == WHY
        # It is about probes alone: work that comes is done, and says nothing about the mark.
        task = task_id()
        await session.assign(task, command("true"))
        await session.finished(task)
        assert await why(agent) == WHY
        await session.send(leaving=False)
        await eventually(lambda: not agent.sessions.scaling_down)
        assert await why(agent) == ""


async def test_without_a_leader_the_last_word_holds_and_a_new_one_says_it_first(agent: Agent):
    async with Leader(agent.address) as leader:
        for epoch, leaving in ((1, True), (2, True), (3, False)):
            session = await leader.open(epoch, leaving=leaving)
            await session.inventory()
            assert agent.sessions.scaling_down is leaving
            await leader.hang_up(session)
            assert agent.sessions.scaling_down is leaving


async def test_a_leader_of_a_version_that_knows_no_marks_leaves_none(agent: Agent) -> None:
    async with Leader(agent.address) as leader:
        first = await leader.open(1, leaving=True)
        await first.inventory()
        assert await why(agent) == WHY
        # Its hello is without the field, as those of such a version are.
        second = await leader.open(2)
        await second.inventory()
        assert await why(agent) == ""


async def test_draining_says_more_than_leaving(agent: Agent) -> None:
    async with Leader(agent.address) as leader:
        session = await leader.open(1, leaving=True)
        await session.inventory()
        agent.driver.drain(True, 0.0)
        assert await why(agent) == "draining"
