"""Chunks on a real agent: taken back, ended, told again, and beside other work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node_agent.executors.worker_program import WorkerLimits
from quorate.runtime.ranges import Ranges
from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent import Agent, Leader, Session, eventually, python, running_agent
from tests.support.chunk_functions import MODULE
from tests.support.chunks import Told, chunk, ended, run_chunk


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    (tmp_path / "arrays.py").write_text(MODULE)
    async with running_agent(tmp_path / "node", slots=1, directory=tmp_path) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


async def test_recall_returns_what_has_not_begun(session: Session, tmp_path: Path):
    stop = tmp_path / "go on"
    assignment = chunk("a" * 32, [(0, 99)], python("arrays:until", str(stop)))
    await session.send(assign=[assignment])
    await session.started(assignment.task_id)
    ref = pb.AttemptRef(task_id=assignment.task_id, attempt=1)
    await session.send(recall=[ref])
    told = await session.until(
        lambda: (told := Told(session, assignment.task_id)) and told.returned and told
    )
    assert len(told.returned) >= 97
    stop.touch()
    told = await ended(session, assignment.task_id)
    assert told.ended == Ranges.span(0, 100)
    assert not told.failed


async def test_recalled_subtasks_do_not_run(session: Session, tmp_path: Path):
    folder = tmp_path / "marks"
    folder.mkdir()
    assignment = chunk("a" * 32, [(0, 199)], python("arrays:marker", str(folder)))
    await session.send(assign=[assignment])
    await eventually(lambda: len(list(folder.iterdir())) >= 5)
    await session.send(recall=[pb.AttemptRef(task_id=assignment.task_id, attempt=1)])
    told = await ended(session, assignment.task_id)
    assert told.returned
    assert sorted(int(path.name) for path in folder.iterdir()) == list(told.succeeded)
    assert all(path.read_text() == "x" for path in folder.iterdir())


async def test_cancel_ends_what_runs_and_leaves_the_rest(session: Session, tmp_path: Path):
    spec = python("arrays:hang_at", 3)
    assignment = chunk("a" * 32, [(0, 99)], spec)
    await session.send(assign=[assignment])
    await session.until(lambda: len(Told(session, assignment.task_id).succeeded) == 3)
    await session.cancel(assignment.task_id)
    told = await ended(session, assignment.task_id)
    assert told.end.error.type == "CANCELLED"
    assert list(told.failed) == [3]
    assert told.failed[3].type == "CANCELLED"
    assert not told.returned
    assert (await session.run(python("arrays:twice", 4))).result.json == "8"


async def test_a_drain_returns_the_rest(agent: Agent, session: Session, tmp_path: Path):
    stop = tmp_path / "go on"
    assignment = chunk("a" * 32, [(0, 99)], python("arrays:until", str(stop)))
    await session.send(assign=[assignment])
    await session.started(assignment.task_id)
    agent.driver.drain(True, 10.0)
    await session.until(lambda: Told(session, assignment.task_id).returned)
    stop.touch()
    told = await ended(session, assignment.task_id)
    assert told.ended == Ranges.span(0, 100)
    agent.driver.drain(False, 0.0)


async def test_a_template_comes_once_and_is_missed_when_forgotten(session: Session):
    job = "a" * 32
    await run_chunk(session, chunk(job, [(0, 1)], python("arrays:twice")))
    told = await run_chunk(session, chunk(job, [(2, 3)], None))
    assert told.results == {2: b"4", 3: b"6"}
    await session.send(forget_jobs=[job])
    assignment = chunk(job, [(4, 5)], None)
    await session.send(assign=[assignment])
    await session.settled(assignment.task_id)
    assert session.returned(assignment.task_id)


async def test_reports_are_sent_again_until_they_are_acknowledged(leader: Leader):
    first = await leader.open()
    assignment = chunk("a" * 32, [(0, 9)], python("arrays:twice"))
    told = await run_chunk(first, assignment)
    again = await leader.open(epoch=2)
    repeated = await ended(again, assignment.task_id)
    assert repeated.reports == told.reports
    refs = [
        pb.ChunkReportRef(task_id=assignment.task_id, attempt=1, number=report.number)
        for report in told.reports
    ]
    await again.send(
        acknowledge_reports=refs,
        acknowledge=[pb.AttemptRef(task_id=assignment.task_id, attempt=1)],
    )
    await again.run(python("arrays:twice", 1))
    third = await leader.open(epoch=3)
    await third.run(python("arrays:twice", 1))
    assert not Told(third, assignment.task_id).reports


async def test_the_inventory_says_how_far_a_chunk_is(leader: Leader, tmp_path: Path):
    first = await leader.open()
    stop = tmp_path / "go on"
    assignment = chunk("a" * 32, [(10, 19)], python("arrays:until", str(stop)))
    await first.send(assign=[assignment])
    await first.started(assignment.task_id)
    second = await leader.open(epoch=2)
    inventory = await second.inventory()
    (progress,) = inventory.chunks
    assert progress.task_id == assignment.task_id
    assert [(one.first, one.last) for one in progress.left] == [(10, 19)]
    stop.touch()
    assert (await ended(second, assignment.task_id)).succeeded == Ranges.span(10, 10)


async def test_outputs_are_framed_by_index(leader: Leader, session: Session):
    assignment = chunk("a" * 32, [(0, 1)], python("arrays:say"), first_index=5)
    await run_chunk(session, assignment)
    logs = await leader.logs(assignment.task_id)
    assert logs["stdout"] == (
        b"\x1equorate subtask 5\nsaid by 5\nhalf\x1equorate subtask 6\nsaid by 6\nhalf"
    )


async def test_chunks_and_calls_take_turns(session: Session):
    """One chunk waits behind another, and calls between them."""
    chunks = [
        chunk("a" * 32, [(100 * at, 100 * at + 99)], python("arrays:twice")) for at in range(20)
    ]
    await session.send(assign=chunks)
    assert (await session.run(python("arrays:twice", 1))).result.json == "2"
    for assignment in chunks:
        told = await ended(session, assignment.task_id)
        assert len(told.results) == 100


async def test_a_subtask_that_waits_for_another_one_has_it_run_elsewhere(
    session: Session, tmp_path: Path
):
    """The rest is returned, and another lane takes it while this one waits."""
    folder = tmp_path / "seen"
    folder.mkdir()
    spec = python("arrays:wait_for_others", str(folder))
    first = chunk("a" * 32, [(0, 99)], spec, expected_seconds=0.0001)
    await session.send(assign=[first])
    told = await session.until(
        lambda: (told := Told(session, first.task_id)) and told.returned and told
    )
    assert told.returned == Ranges.span(2, 98)
    second = await run_chunk(session, chunk("a" * 32, [(2, 99)], None))
    assert second.succeeded == Ranges.span(2, 98)
    assert (await ended(session, first.task_id)).succeeded == Ranges.span(0, 2)


@pytest.mark.parametrize("key", [1, 999])
async def test_user_code_that_answers_for_its_worker_ends_its_worker(session: Session, key: int):
    spec = python("arrays:lie", str(key))
    told = await run_chunk(session, chunk("a" * 32, [(0, 9)], spec))
    assert told.ended == Ranges.span(0, 10)
    assert len(told.failed) <= 2
    assert {error.type for error in told.failed.values()} <= {"WORKER_CRASHED"}


async def test_a_worker_that_is_old_is_replaced_between_pieces(tmp_path: Path):
    (tmp_path / "arrays.py").write_text(MODULE)
    limits = WorkerLimits(max_tasks=1)
    async with (
        running_agent(tmp_path / "old", slots=1, directory=tmp_path, limits=limits) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        assert (await session.run(python("arrays:twice", 1))).result.json == "2"
        told = await run_chunk(session, chunk("a" * 32, [(0, 99)], python("arrays:twice")))
        assert len(told.results) == 100
