"""Functions that wait give their slots up: spare workers come, serve and go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from node_agent.core import slots
from tests.support.agent import (
    Agent,
    Leader,
    Session,
    command,
    eventually,
    python,
    running_agent,
    task_id,
)

# Waits for a file as if for a task; tells its process by another one.
WAIT = """
import os, time, quorate
with quorate.waiting():
    open(folder + "/" + name + ".waits", "w").write(str(os.getpid()))
    while not os.path.exists(folder + "/" + name + ".go"):
        time.sleep(0.005)
"""


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node", slots=1) as agent:
        yield agent


@pytest_asyncio.fixture
async def session(agent: Agent) -> AsyncIterator[Session]:
    async with Leader(agent.address) as leader:
        yield await leader.open()


class Parent:
    """A function that waits until `release`."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.task = task_id()
        self.session = session
        self._stem = folder / self.task

    async def begin(self) -> int:
        """Until it waits; the process id of its worker."""
        work = python("builtins:exec", WAIT, {"folder": str(self._stem.parent), "name": self.task})
        await self.session.assign(self.task, work)
        waits = self._stem.with_suffix(".waits")
        await eventually(lambda: waits.exists() and waits.read_text())
        return int(waits.read_text())

    async def release(self) -> None:
        self._stem.with_suffix(".go").touch()
        report = await self.session.finished(self.task)
        assert report.WhichOneof("outcome") == "result", report


def _is_gone(path: Path) -> bool:
    return not path.exists()


async def pid(session: Session) -> int:
    report = await asyncio.wait_for(session.run(python("os:getpid")), 20)
    assert report.WhichOneof("outcome") == "result", report
    return int(json.loads(report.result.json))


async def test_another_function_and_a_program_run_meanwhile(
    agent: Agent, session: Session, tmp_path: Path
) -> None:
    parent = Parent(session, tmp_path)
    waiting = await parent.begin()
    await session.until(lambda: session.credit >= 2)
    assert agent.driver.machine.slots.yielded == 1
    report = await asyncio.wait_for(session.run(command("true")), 20)
    assert report.WhichOneof("outcome") == "result"
    child = await pid(session)
    assert child not in (waiting, os.getpid())
    assert await pid(session) == child, "the spare worker stays warm"
    await parent.release()
    assert agent.driver.machine.slots.yielded == 0
    assert await pid(session) == waiting, "its own worker serves again"


async def test_a_spare_worker_ends_when_it_was_idle_and_another_comes(
    agent: Agent, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "SPARE_SECONDS", 0.3)
    former = 0
    for _ in range(2):
        parent = Parent(session, tmp_path)
        await parent.begin()
        child = await pid(session)
        assert child != former
        former = child
        await parent.release()
        await eventually(lambda: len(agent.driver.machine.slots.lanes) == 1)
        path = Path(f"/proc/{child}")
        await eventually(partial(_is_gone, path))


async def test_one_that_is_needed_while_the_former_ends(
    agent: Agent, session: Session, tmp_path: Path
) -> None:
    """The executor alone: it is told to end a worker and, at once, to start one."""
    parent = Parent(session, tmp_path)
    await parent.begin()
    former = await pid(session)
    executor = agent.driver._python
    executor.unstaff(1)
    agent.driver.on_lane_lost(1)
    executor.staff(1)
    assert await pid(session) != former
    await parent.release()


async def test_a_spare_worker_that_dies_is_replaced(session: Session, tmp_path: Path) -> None:
    parent = Parent(session, tmp_path)
    await parent.begin()
    former = await pid(session)
    report = await session.run(python("os:kill", former, int(signal.SIGKILL)))
    assert report.error.type == "WORKER_CRASHED"
    assert await pid(session) != former
    await parent.release()


async def test_a_new_spawner_knows_the_spare_lanes(
    agent: Agent, session: Session, tmp_path: Path
) -> None:
    parent = Parent(session, tmp_path)
    await parent.begin()
    await pid(session)
    os.kill(agent.driver._link.spawner_pid, signal.SIGKILL)
    report = await session.finished(parent.task)
    assert report.handed_back, report
    assert agent.driver.machine.slots.yielded == 0
    again = Parent(session, tmp_path)
    await again.begin()
    await pid(session)
    await again.release()


async def test_a_new_session_is_told_of_the_slots_that_are_free(
    agent: Agent, session: Session, tmp_path: Path
) -> None:
    parent = Parent(session, tmp_path)
    await parent.begin()
    async with Leader(agent.address) as leader:
        after = await leader.open(epoch=2)
        inventory = await after.inventory()
        assert [item.task_id for item in inventory.running] == [parent.task]
        await after.until(lambda: after.credit == 2)
        await pid(after)
        parent.session = after
        await parent.release()
        assert agent.driver.machine.slots.yielded == 0
