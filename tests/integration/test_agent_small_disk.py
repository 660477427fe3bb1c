"""A real file system that is full: the agent takes no work, frees logs, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.agent import (
    Agent,
    Leader,
    Session,
    command,
    eventually,
    running_agent,
    task_id,
)
from tests.support.small_disk import fill, small_disk

# What a task of these prints: an eighth of the disk.
LOUD = command("head", "-c", "1000000", "/dev/zero")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as where:
        yield where


@pytest_asyncio.fixture
async def agent(disk: Path) -> AsyncIterator[Agent]:
    async with running_agent(disk / "node", slots=2) as agent:
        yield agent


@pytest_asyncio.fixture
async def session(agent: Agent) -> AsyncIterator[Session]:
    async with Leader(agent.address) as leader:
        yield await leader.open()


async def test_a_full_disk_takes_no_work_and_comes_back_when_there_is_room(
    disk: Path, agent: Agent, session: Session
) -> None:
    await session.until(lambda: session.credit > 0)
    go = disk / "go"
    runs = task_id()
    await session.assign(runs, command("sh", "-c", f"until test -e {go}; do sleep 0.1; done"))
    await session.started(runs)
    fill(disk / "hog")
    await session.until(lambda: session.credit == 0)
    assert agent.driver.disk.error
    # What crosses the message is returned, and did not fail; what runs goes on.
    crossing = task_id()
    await session.assign(crossing, command("true"))
    await session.until(lambda: session.returned(crossing))
    assert not session.reports(crossing)
    assert agent.driver.runs(runs, 1)
    (disk / "hog").unlink()
    await session.until(lambda: session.credit > 0)
    assert not agent.driver.disk.error
    go.touch()
    assert (await session.finished(runs)).WhichOneof("outcome") == "result"
    assert (await session.run(command("true"))).WhichOneof("outcome") == "result"
    assert [report.task_id for report in session.reports(crossing)] == []


async def test_logs_that_fill_the_disk_are_deleted_oldest_first_and_no_task_fails(
    agent: Agent, session: Session
) -> None:
    made: list[str] = []
    for _ in range(24):  # three times the disk
        while True:
            task = task_id()
            await session.until(lambda: session.credit > 0)
            await session.assign(task, LOUD)
            await session.settled(task)
            if session.reports(task):
                break
        assert session.reports(task)[0].WhichOneof("outcome") == "result"
        made.append(task)
        await asyncio.sleep(0.05)
    assert agent.driver.disk.freed > 0
    left = [task for task in made if agent.driver.logs.directory(task, 1).exists()]
    # Those that found no room at all have none; of the others the newest are left.
    assert made[0] not in left
    assert await eventually(lambda: not agent.driver.disk.error)


async def test_output_that_finds_no_room_is_noticed_and_the_task_succeeds(
    disk: Path, agent: Agent, session: Session
) -> None:
    await session.until(lambda: session.credit > 0)
    watch = agent.driver.disk
    hog = disk / "hog"
    task = task_id()
    # It fills the disk itself, and then prints.
    script = f"dd if=/dev/zero of={hog} bs=64k 2>/dev/null; head -c 100000 /dev/zero"
    await session.assign(task, command("sh", "-c", script))
    await session.until(lambda: session.credit == 0)
    assert (await session.finished(task)).WhichOneof("outcome") == "result"
    await eventually(lambda: watch.lost > 0)
    hog.unlink()
    await session.until(lambda: session.credit > 0)


async def test_a_program_without_room_for_its_directory_is_handed_back(
    disk: Path, agent: Agent, session: Session
) -> None:
    """Its scratch directory cannot be made: no inode is left."""
    await session.until(lambda: session.credit > 0)
    made = disk / "many"
    made.mkdir()
    count = 0
    try:
        while True:
            (made / str(count)).touch()
            count += 1
    except OSError:
        pass
    task = task_id()
    await session.assign(task, command("true"))
    await session.settled(task)
    # By its report, or by the agent that had noticed before.
    assert session.returned(task) or session.reports(task)[0].handed_back
    await session.until(lambda: session.credit == 0)
    for number in range(count):
        (made / str(number)).unlink()
    await session.until(lambda: session.credit > 0)
    assert (await session.run(command("true"))).WhichOneof("outcome") == "result"
