"""Single subtasks of chunks that a real agent ends: nothing happens to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest_asyncio

from quorate.runtime.ranges import Ranges
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.agent import Agent, Leader, Session, command, eventually, python, running_agent
from tests.support.chunk_functions import MODULE
from tests.support.chunks import Told, chunk, ended

JOB = "a" * 32


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    (tmp_path / "arrays.py").write_text(MODULE)
    async with running_agent(tmp_path / "node", slots=1, directory=tmp_path) as agent:
        yield agent


@pytest_asyncio.fixture
async def session(agent: Agent) -> AsyncIterator[Session]:
    async with Leader(agent.address) as leader:
        yield await leader.open()


def shell(script: str) -> task_pb2.TaskSpec:
    return command("/bin/sh", "-c", script, "sh", "{index}")


def ending(assignment: pb.Assignment, positions: Iterable[int]) -> list[pb.SubtasksRef]:
    """The order to end these subtasks of a chunk."""
    ref = pb.SubtasksRef(task_id=assignment.task_id, attempt=1)
    for position in positions:
        ref.ranges.add(first=position, last=position)
    return [ref]


async def check_that_one_hangs(session: Session, spec: task_pb2.TaskSpec) -> None:
    """Position 3 of 40 hangs: it is ended, 30 does not run, 1 is over, and the others run."""
    assignment = chunk(JOB, [(0, 39)], spec)
    await session.send(assign=[assignment])
    await session.until(lambda: len(Told(session, assignment.task_id).succeeded) == 3)
    await session.send(cancel_subtasks=ending(assignment, (1, 3, 30)))
    told = await ended(session, assignment.task_id)
    assert {at: error.type for at, error in told.failed.items()} == {3: "CANCELLED"}
    assert told.returned == Ranges.span(30, 1)
    assert told.succeeded == Ranges.span(0, 40) - Ranges.of_positions((3, 30))
    assert told.end.WhichOneof("outcome") == "result"


async def test_a_call_that_runs_is_ended_alone(session: Session):
    await check_that_one_hangs(session, python("arrays:hang_at", 3))


async def test_a_program_that_runs_is_ended_alone(session: Session):
    await check_that_one_hangs(session, shell("test $1 -ne 3 || sleep 1000"))


async def test_a_program_that_has_its_grace_to_end_well_has_ended_well(session: Session):
    script = "test $1 -ne 0 || { trap 'exit 0' TERM; while :; do sleep 0.01; done; }"
    assignment = chunk(JOB, [(0, 4)], shell(script))
    await session.send(assign=[assignment])
    await session.started(assignment.task_id)
    await session.send(cancel_subtasks=ending(assignment, (0, 2)))
    told = await ended(session, assignment.task_id)
    assert not told.failed
    assert told.returned == Ranges.span(2, 1)
    assert told.succeeded == Ranges.of_positions((0, 1, 3, 4))


async def test_subtasks_of_a_chunk_that_waits_are_given_back_at_once(
    session: Session, tmp_path: Path
):
    stop = tmp_path / "go on"
    first = chunk("b" * 32, [(0, 0)], python("arrays:until", str(stop)))
    waiting = chunk(JOB, [(0, 9)], python("arrays:nothing"))
    await session.send(assign=[first])
    await session.started(first.task_id)
    await session.send(assign=[waiting])
    await session.send(cancel_subtasks=ending(waiting, (0, 4, 9)))
    await session.until(lambda: len(Told(session, waiting.task_id).returned) == 3)
    stop.touch()
    told = await ended(session, waiting.task_id)
    assert told.returned == Ranges.of_positions((0, 4, 9))
    assert told.succeeded == Ranges.span(0, 10) - told.returned


async def check_many(session: Session, spec: task_pb2.TaskSpec, folder: Path, count: int) -> None:
    """Orders come while subtasks end: each gets one answer, and what is given back never ran.

    `count`, of which half run: few enough to end within a second, after which a chunk returns its
    rest.
    """
    folder.mkdir()
    assignment = chunk(JOB, [(0, count - 1)], spec)
    await session.send(assign=[assignment])
    await eventually(lambda: len(list(folder.iterdir())) >= 2)
    for at in range(0, count, 6):
        await session.send(cancel_subtasks=ending(assignment, range(at, at + 6, 2)))
    told = await ended(session, assignment.task_id)
    assert told.ended == Ranges.span(0, count)
    assert set(range(1, count, 2)) <= set(told.succeeded)
    assert {error.type for error in told.failed.values()} <= {"CANCELLED"}
    ran = {int(path.name) for path in folder.iterdir()}
    assert not ran & set(told.returned)
    assert set(told.succeeded) <= ran


async def test_calls_that_are_ended_while_others_end(session: Session, tmp_path: Path):
    folder = tmp_path / "ran"
    await check_many(session, python("arrays:marker", str(folder)), folder, 60)


async def test_programs_that_are_ended_while_others_end(session: Session, tmp_path: Path):
    folder = tmp_path / "ran"
    await check_many(session, shell(f"touch {folder}/$1; sleep 0.02"), folder, 24)
