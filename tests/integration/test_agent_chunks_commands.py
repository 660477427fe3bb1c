"""Chunks of commands on a real agent: one program for each subtask, each position told once."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quorate.runtime.ranges import Ranges
from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent import Agent, Leader, Session, command, eventually, running_agent
from tests.support.chunks import Told, chunk, ended, run_chunk

JOB = "a" * 32


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node", slots=1) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


def shell(script: str, *, timeout: float = 0.0):
    return command("/bin/sh", "-c", script, "sh", "{}", timeout=timeout)


async def test_programs_run_one_by_one(session: Session):
    told = await run_chunk(session, chunk(JOB, [(0, 149)], command("/bin/true")))
    assert told.succeeded == Ranges.span(0, 150)
    assert not told.results


async def test_an_exit_code_fails_its_subtask_alone(session: Session):
    told = await run_chunk(session, chunk(JOB, [(0, 9)], shell("test $1 -ne 4"), first_index=1))
    assert list(told.failed) == [3]
    assert (told.failed[3].type, told.failed[3].code) == ("EXIT_CODE", 1)
    assert len(told.succeeded) == 9


async def test_a_program_that_is_not_there_fails_each(session: Session):
    told = await run_chunk(session, chunk(JOB, [(0, 9)], command("no-such-program")))
    assert {error.type for error in told.failed.values()} == {"NOT_STARTED"}
    assert len(told.failed) == 10


async def test_items_and_indexes_are_put_into_arguments(session: Session, leader: Leader):
    spec = command("/bin/echo", "{}", "a{index}b", "{{}}", "{{index}}", "{other}", "x{}y{}")
    assignment = chunk(JOB, [(2, 2)], spec, items=["zwölf".encode()], first_index=5)
    await run_chunk(session, assignment)
    logs = await leader.logs(assignment.task_id)
    text = "zwölf a7b {} {index} {other} xzwölfyzwölf"
    assert logs["stdout"] == b"\x1equorate subtask 7\n" + text.encode() + b"\n"


async def test_environment_and_outputs_of_subtasks(session: Session, leader: Leader):
    shown = "echo $QUORATE_JOB_ID $QUORATE_INDEX $QUORATE_COUNT $QUORATE_ITEM $QUORATE_TASK_ID"
    assignment = chunk(JOB, [(0, 1)], shell(shown + "; echo e >&2"), items=[b"x", b"y"], count=2)
    await run_chunk(session, assignment)
    logs = await leader.logs(assignment.task_id)
    assert logs["stdout"].decode() == (
        f"\x1equorate subtask 0\n{JOB} 0 2 x {JOB}.0\n\x1equorate subtask 1\n{JOB} 1 2 y {JOB}.1\n"
    )
    assert logs["stderr"] == b"\x1equorate subtask 0\ne\n\x1equorate subtask 1\ne\n"


async def test_a_timeout_ends_its_subtask_alone(session: Session):
    spec = shell("test $1 -ne 2 || sleep 1000", timeout=0.3)
    told = await run_chunk(session, chunk(JOB, [(0, 9)], spec))
    assert list(told.failed) == [2]
    assert told.failed[2].type == "TIMEOUT"
    assert len(told.succeeded) == 9


async def test_recall_returns_programs_that_have_not_begun(session: Session, tmp_path: Path):
    stop, folder = tmp_path / "stop", tmp_path / "ran"
    folder.mkdir()
    script = f"touch {folder}/$1; while [ ! -e {stop} ]; do sleep 0.01; done"
    assignment = chunk(JOB, [(0, 19)], shell(script))
    await session.send(assign=[assignment])
    await session.started(assignment.task_id)
    await eventually(lambda: list(folder.iterdir()))
    await session.send(recall=[pb.AttemptRef(task_id=assignment.task_id, attempt=1)])
    await session.until(lambda: Told(session, assignment.task_id).returned)
    stop.touch()
    told = await ended(session, assignment.task_id)
    assert list(told.succeeded) == [0]
    assert len(told.returned) == 19
    assert [path.name for path in folder.iterdir()] == ["0"]


async def test_cancel_ends_what_runs_and_leaves_the_rest(session: Session):
    assignment = chunk(JOB, [(0, 19)], shell("test $1 -ne 3 || sleep 1000"))
    await session.send(assign=[assignment])
    await session.until(lambda: len(Told(session, assignment.task_id).succeeded) == 3)
    await session.cancel(assignment.task_id)
    told = await ended(session, assignment.task_id)
    assert told.end.error.type == "CANCELLED"
    assert {at: error.type for at, error in told.failed.items()} == {3: "CANCELLED"}
    assert not told.returned
    assert (await session.run(command("/bin/true"))).result.exit_code == 0


async def test_a_drain_returns_what_is_left_at_its_end(agent: Agent, session: Session):
    assignment = chunk(JOB, [(0, 19)], command("/bin/sleep", "1000"))
    await session.send(assign=[assignment])
    await session.started(assignment.task_id)
    agent.driver.drain(True, 0.1)
    told = await ended(session, assignment.task_id)
    assert told.end.handed_back
    assert told.returned == Ranges.span(0, 20)
    agent.driver.drain(False, 0.0)


@pytest.mark.parametrize("size", [1, 3, 64, 200])
async def test_chunks_follow_each_other(session: Session, size: int):
    chunks = [
        chunk(JOB, [(size * at, size * at + size - 1)], command("/bin/true")) for at in (0, 1)
    ]
    await session.send(assign=chunks)
    for at, assignment in enumerate(chunks):
        told = await ended(session, assignment.task_id)
        # On a slow machine the rest of a chunk goes back after a second.
        assert told.succeeded
        assert told.succeeded | told.returned == Ranges.span(size * at, size)


async def test_programs_get_their_standard_input(session: Session):
    spec = command(sys.executable, "-c", "import sys; assert sys.stdin.read() == 'in'", stdin=b"in")
    told = await run_chunk(session, chunk(JOB, [(0, 1)], spec))
    assert not told.failed
