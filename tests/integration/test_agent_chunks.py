"""Chunks of Python calls on a real agent: each position is reported once, whatever happens."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import cloudpickle
import pytest
import pytest_asyncio

from node_agent.executors.worker_program import WorkerLimits
from quorate.runtime.ranges import Ranges
from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent import Agent, Leader, Session, eventually, python, running_agent
from tests.support.chunks import Told, chunk, ended, run_chunk

MODULE = """
import os, subprocess, sys, time

def nothing(index):
    return None

def twice(index, more=0):
    return 2 * index + more

def item(value):
    return value

def fail_odd(index):
    if index % 2:
        raise ValueError(f"odd: {index}")

def crash_at(index, where):
    if index == where:
        os._exit(7)
    return index

def hang_at(index, where):
    if index == where:
        time.sleep(1000)
    return index

def environment(index):
    names = ("JOB_ID", "INDEX", "COUNT", "ITEM", "TASK_ID", "ATTEMPT")
    return [os.environ.get("QUORATE_" + name) for name in names]

def of_child(index):
    shown = "import os; print(os.environ.get('QUORATE_INDEX'), os.environ.get('QUORATE_TASK_ID'))"
    return subprocess.run([sys.executable, "-c", shown], capture_output=True).stdout.decode()

def huge(index):
    return 10**5000

def big(index, size):
    return "x" * size

def say(index):
    print("said by", index)
    print("half", end="")

def leave(index):
    os.environ["LEFT"] = str(index)
    os.chdir("/")

def look():
    return [os.environ.get("LEFT"), os.environ.get("QUORATE_INDEX"), os.getcwd()]

def marker(index, folder):
    with open(os.path.join(folder, str(index)), "a") as file:
        file.write("x")
    time.sleep(0.02)

def until(index, path):
    while not os.path.exists(path):
        time.sleep(0.01)

async def later(index):
    return index

def wait_for_others(index, folder):
    import quorate
    open(os.path.join(folder, str(index)), "w").close()
    if index == 1:
        with quorate.waiting():
            while len(os.listdir(folder)) < 100:
                time.sleep(0.005)
    return index

def lie(index, payload):
    # What the worker's socket is, user code can find out.
    from node_agent.protocol.replies import packets_of
    import gc, socket
    if index == 3:
        for one in gc.get_objects():
            if isinstance(one, socket.socket) and one.fileno() == 3:
                one.send(packets_of(int(payload), 0.0, 0.0, ("piece", bytes(50)))[0])
    return index
"""


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


async def test_a_chunk_of_calls_that_return_nothing(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 4999)], python("arrays:nothing")))
    assert told.succeeded == Ranges.span(0, 5000)
    assert not told.results
    assert told.end.WhichOneof("outcome") == "result"
    assert sum(report.seconds for report in told.reports) > 0


async def test_results_are_by_position_and_arguments_by_index(session: Session):
    spec = python("arrays:twice", json=json.dumps({"kwargs": {"more": 1}}))
    pairs = [(3, 5), (4090, 4100), (9000, 9000)]
    told = await run_chunk(session, chunk("a" * 32, pairs, spec, first_index=10, index_step=3))
    positions = list(Ranges.of(pairs))
    assert list(told.succeeded) == positions
    expected = {at: str(2 * (10 + 3 * at) + 1).encode() for at in positions}
    assert told.results == expected


async def test_items_are_the_first_argument(session: Session):
    values = [1, "two", [3], None, {"four": 4}]
    items = [json.dumps(value).encode() for value in values]
    told = await run_chunk(session, chunk("a" * 32, [(7, 11)], python("arrays:item"), items=items))
    found = [json.loads(told.results.get(at, b"null")) for at in range(7, 12)]
    assert found == values


async def test_pickled_items_and_results(session: Session):
    spec = python("", pickle=cloudpickle.dumps((lambda value, by: {value: by}, (5,), {})))
    items = [pickle.dumps(value) for value in ((1, 2), b"x")]
    told = await run_chunk(session, chunk("a" * 32, [(0, 1)], spec, items=items))
    assert [pickle.loads(told.results[at]) for at in (0, 1)] == [{(1, 2): 5}, {b"x": 5}]


async def test_an_item_that_cannot_be_read_fails_alone(session: Session):
    assignment = chunk("a" * 32, [(0, 2)], python("arrays:item"), items=[b"1", b"{", b"3"])
    told = await run_chunk(session, assignment)
    assert told.failed[1].type == "ARGUMENTS_NOT_READABLE"
    assert told.results == {0: b"1", 2: b"3"}


async def test_failures_are_told_one_by_one(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 999)], python("arrays:fail_odd")))
    assert list(told.failed) == list(range(1, 1000, 2))
    assert list(told.succeeded) == list(range(0, 1000, 2))
    error = told.failed[7]
    assert (error.type, error.message) == ("ValueError", "odd: 7")
    assert "fail_odd" in error.traceback
    assert "pieces.py" not in error.traceback
    assert "Exception" in error.base_types


async def test_a_function_that_is_not_there_fails_each(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 99)], python("arrays:missing")))
    assert {error.type for error in told.failed.values()} == {"ENTRYPOINT_NOT_FOUND"}
    assert len(told.failed) == 100


async def test_coroutine_functions_are_awaited(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 2)], python("arrays:later")))
    assert told.results == {0: b"0", 1: b"1", 2: b"2"}


async def test_environment_of_a_subtask(session: Session):
    job = "b" * 32
    assignment = chunk(
        job, [(0, 1)], python("arrays:environment"), items=[b"5", b'"x"'], first_index=1, count=9
    )
    told = await run_chunk(session, assignment)
    assert json.loads(told.results[1]) == [job, "2", "9", '"x"', f"{job}.2", None]
    after = await session.run(python("arrays:look"))
    assert json.loads(after.result.json)[1] is None


async def test_a_child_process_has_the_environment_of_its_subtask(session: Session):
    job = "b" * 32
    told = await run_chunk(session, chunk(job, [(4, 5)], python("arrays:of_child")))
    assert json.loads(told.results[5]) == f"5 {job}.5\n"


async def test_what_a_chunk_changed_is_put_back_behind_it(session: Session, tmp_path: Path):
    await run_chunk(session, chunk("a" * 32, [(0, 9)], python("arrays:leave")))
    after = await session.run(python("arrays:look"))
    assert json.loads(after.result.json) == [None, None, str(tmp_path)]


@pytest.mark.parametrize("where", [0, 5, 99])
async def test_a_crash_fails_its_subtask_alone(session: Session, where: int):
    spec = python("arrays:crash_at", where)
    told = await run_chunk(session, chunk("a" * 32, [(0, 99)], spec))
    assert list(told.failed) == [where]
    assert told.failed[where].type == "WORKER_CRASHED"
    assert "code 7" in told.failed[where].message
    assert told.results == {at: str(at).encode() for at in range(100) if at != where}


async def test_a_timeout_ends_its_subtask_alone(session: Session):
    spec = python("arrays:hang_at", 5, timeout=0.3)
    told = await run_chunk(session, chunk("a" * 32, [(0, 99)], spec))
    assert list(told.failed) == [5]
    assert told.failed[5].type == "TIMEOUT"
    assert "0.3 s" in told.failed[5].message
    assert told.results == {at: str(at).encode() for at in range(100) if at != 5}


async def test_integers_of_any_size_are_results_as_those_of_calls(session: Session):
    values = [0, -1, 1 << 62, 1 << 64, True, 10**4000]
    items = [str(json.dumps(value)).encode() for value in values]
    told = await run_chunk(session, chunk("a" * 32, [(0, 5)], python("arrays:item"), items=items))
    assert told.results == dict(enumerate(items))
    told = await run_chunk(session, chunk("b" * 32, [(0, 0)], python("arrays:huge")))
    assert told.failed[0].type == "RESULT_NOT_SERIALISABLE"


async def test_a_result_over_the_limit_fails_alone(session: Session):
    sizes = [json.dumps(size).encode() for size in (10, 300_000, 262_000)]
    spec = python("arrays:big", json='{"kwargs": {"size": 10}}')
    told = await run_chunk(session, chunk("a" * 32, [(0, 0)], spec))
    assert told.results[0] == b'"' + b"x" * 10 + b'"'
    texts = [json.dumps("y" * int(size)).encode() for size in sizes]
    told = await run_chunk(session, chunk("a" * 32, [(0, 2)], python("arrays:item"), items=texts))
    assert told.failed[1].type == "RESULT_TOO_LARGE"
    assert "300002 bytes long; the limit for a subtask is 262144" in told.failed[1].message
    assert told.results == {0: texts[0], 2: texts[2]}


async def test_many_large_results_are_told_in_several_reports(session: Session):
    spec = python("arrays:big", 50_000)
    told = await run_chunk(session, chunk("a" * 32, [(0, 39)], spec))
    assert len(told.results) == 40
    assert len(told.reports) >= 8


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
