"""Workers of a real agent: output, death, timeouts, cancellation, and who waits for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node_agent.executors.worker_program import WorkerLimits
from quorate.v1 import node_agent_pb2 as pb
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
from tests.support.usercode import MODULE, user_agent


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with user_agent(tmp_path) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def test_output_goes_to_the_log_of_its_attempt(leader: Leader, session: Session):
    tasks = []
    for number in range(12):
        task = task_id()
        tasks.append((task, number))
        name = ("say", "say_in_child", "add")[number % 3]
        arguments: tuple[object, ...] = (number,) if name == "add" else (f"text {number}",)
        await session.assign(task, python(f"usercode:{name}", *arguments))
        if number % 2:
            # No more than the slots at once: what waits may be returned.
            await session.finished(tasks[-2][0])
            await session.finished(task)
    for task, number in tasks:
        text = f"text {number}\n".encode()
        expected = {"stdout": text, "stderr": text.upper()}
        if number % 3 == 1:
            expected["stderr"] = b""
        elif number % 3 == 2:
            expected = {"stdout": b"", "stderr": b""}
        assert await leader.logs(task) == expected


async def test_output_of_a_call_can_be_followed(leader: Leader, session: Session, tmp_path: Path):
    go = tmp_path / "go"
    task = task_id()
    await session.assign(task, python("usercode:say_slowly", "begin", str(go)))
    await session.started(task)
    stream = leader.stub.ReadLogs(pb.ReadLogsRequest(task_id=task, follow=True), timeout=20)
    chunks = []
    async for response in stream:
        chunks.append(response.chunk.data)
        go.touch()
    assert chunks == [b"begin\n", b"end\n"]


async def test_a_worker_whose_output_was_closed_goes_on(leader: Leader, session: Session):
    for _ in range(3):
        report = await session.run(python("usercode:close_output"))
        assert report.result.json == "null"
    task = task_id()
    await session.assign(task, python("usercode:say", "hello"))
    await session.finished(task)
    assert (await leader.logs(task))["stdout"] == b"hello\n"


@pytest.mark.parametrize(
    ("function", "text"),
    [("die", "SIGKILL"), ("segfault", "SIGSEGV"), ("quiet_exit", "code 0")],
)
async def test_a_dying_worker_fails_its_attempt_and_is_replaced(
    leader: Leader, session: Session, function: str, text: str
):
    task = task_id()
    await session.assign(task, python(f"usercode:{function}"))
    report = await session.finished(task)
    assert report.error.type == "WORKER_CRASHED"
    assert text in report.error.message
    assert report.start_time.seconds
    logs = await leader.logs(task)
    if function == "die":
        assert logs["stdout"] == b"last words\n"
    if function == "segfault":
        assert b"Segmentation fault" in logs["stderr"]
    for _ in range(4):
        assert (await session.run(python("usercode:add", 1))).result.json == "1"


async def test_a_timeout_kills_the_worker_and_its_children(session: Session, tmp_path: Path):
    pids = tmp_path / "pids"
    task = task_id()
    await session.assign(task, python("usercode:spawn_and_sleep", str(pids), timeout=0.3))
    report = await session.finished(task)
    assert report.error.type == "TIMEOUT"
    found = [int(word) for word in pids.read_text().split()]
    assert len(found) == 2
    await eventually(lambda: not any(map(alive, found)))
    assert (await session.run(python("usercode:add", 1))).result.json == "1"


async def test_a_cancelled_call_ends_and_the_ones_around_it_do_not(
    session: Session, tmp_path: Path
):
    for _ in range(30):
        await session.run(python("usercode:add", 1))
    pids = tmp_path / "pids"
    victim = task_id()
    others = [task_id() for _ in range(6)]
    await session.assign(victim, python("usercode:sleep", 1000, str(pids)))
    for task in others:
        await session.assign(task, python("usercode:add", 2))
    await eventually(lambda: pids.exists() and pids.read_text())
    await session.cancel(victim)
    assert (await session.finished(victim)).error.type == "CANCELLED"
    for task in others:
        await session.settled(task)
        assert {report.result.json for report in session.reports(task)} <= {"2"}
    assert not alive(int(pids.read_text()))


async def test_calls_queued_behind_one_that_turns_out_long_do_not_wait_for_it(session: Session):
    for _ in range(40):
        await session.run(python("usercode:sleep", 0))
    long_one = task_id()
    short = [task_id() for _ in range(40)]
    await session.assign(long_one, python("usercode:sleep", 1000))
    for task in short:
        await session.assign(task, python("usercode:sleep", 0))
    for task in short:
        # On a busy machine some may be returned instead.
        await session.settled(task)
        assert {report.result.json for report in session.reports(task)} <= {"null"}
    assert any(session.reports(task) for task in short)
    assert not session.reports(long_one)
    await session.cancel(long_one)
    await session.finished(long_one)


async def test_two_slots_blocked_by_long_calls_hand_back_the_rest(session: Session):
    for _ in range(40):
        await session.run(python("usercode:sleep", 0))
    long_ones = [task_id(), task_id()]
    for task in long_ones:
        await session.assign(task, python("usercode:sleep", 1000))
    short = [task_id() for _ in range(10)]
    for task in short:
        await session.assign(task, python("usercode:sleep", 0))
    for task in short:
        await session.settled(task)
    assert any(session.returned(task) for task in short)
    await session.until(lambda: session.credit == 2)
    for task in long_ones:
        await session.cancel(task)
        assert (await session.finished(task)).error.type == "CANCELLED"


async def test_programs_and_calls_share_the_slots(session: Session):
    tasks = [task_id() for _ in range(20)]
    for number, task in enumerate(tasks):
        spec = python("usercode:add", 1) if number % 2 else command("true")
        await session.assign(task, spec)
        if number % 5 == 4:
            await session.settled(task)
    for task in tasks:
        await session.settled(task)
        for report in session.reports(task):
            assert report.WhichOneof("outcome") == "result"


async def test_old_workers_are_replaced_between_calls(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "usercode.py").write_text(MODULE)
    async with (
        running_agent(
            tmp_path / "node",
            slots=1,
            directory=tmp_path / "code",
            limits=WorkerLimits(max_tasks=10, max_bytes=0),
        ) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        pids = [(await session.run(python("usercode:pid"))).result.json for _ in range(25)]
    assert [len(set(pids[start : start + 10])) for start in (0, 10, 20)] == [1, 1, 1]
    assert len(set(pids)) == 3
