"""Programs on a real agent: input, output, ends of every kind, and nothing left running."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent import (
    Agent,
    Leader,
    Session,
    assignment,
    command,
    eventually,
    running_agent,
    task_id,
)


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node") as agent:
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


async def pids_in(path: Path, count: int) -> list[int]:
    def read() -> list[int]:
        words = path.read_text().split() if path.exists() else []
        return [int(word) for word in words] if len(words) == count else []

    found: list[int] = await eventually(lambda: read())
    return found


async def test_a_program_gets_input_environment_and_arguments(leader: Leader, session: Session):
    task = task_id()
    spec = command("sh", "-c", 'cat; echo "$GREETING $1 $QUORATE_TASK_ID" >&2', "sh", "you")
    spec.command.stdin = b"from stdin"
    spec.command.env["GREETING"] = "hello"
    await session.assign(task, spec)
    report = await session.finished(task)
    assert report.result.exit_code == 0
    assert report.WhichOneof("outcome") == "result"
    assert await leader.logs(task) == {
        "stdout": b"from stdin",
        "stderr": f"hello you {task}\n".encode(),
    }
    assert report.finish_time.ToNanoseconds() >= report.start_time.ToNanoseconds() > 0


async def test_large_input_arrives_whole(leader: Leader, session: Session):
    task = task_id()
    spec = command("sha256sum")
    spec.command.stdin = b"x" * 500_000
    await session.assign(task, spec)
    await session.finished(task)
    digest = hashlib.sha256(b"x" * 500_000).hexdigest().encode()
    assert (await leader.logs(task))["stdout"].startswith(digest)


async def test_the_working_directory_is_the_given_one(
    leader: Leader, session: Session, tmp_path: Path
):
    task = task_id()
    await session.assign(task, command("pwd", cwd=str(tmp_path)))
    await session.finished(task)
    assert (await leader.logs(task))["stdout"].decode().strip() == str(tmp_path)


async def test_the_scratch_directory_is_private_and_deleted(
    agent: Agent, leader: Leader, session: Session
):
    task = task_id()
    await session.assign(task, command("sh", "-c", "pwd; mkdir -p a/b; echo x > a/b/c; ls -A"))
    report = await session.finished(task)
    assert report.WhichOneof("outcome") == "result"
    where, *listing = (await leader.logs(task))["stdout"].decode().split()
    assert listing == ["a"]
    assert where.startswith(str(agent.data))
    await eventually(lambda: not Path(where).exists())


async def test_only_a_scratch_directory_left_as_it_was_serves_again(
    leader: Leader, session: Session
):
    async def where(script: str) -> tuple[str, list[str]]:
        task = task_id()
        await session.assign(task, command("sh", "-c", f"pwd; ls -A; {script}"))
        await session.finished(task)
        path, *listing = (await leader.logs(task))["stdout"].decode().split()
        return path, listing

    first, _ = await where("true")
    assert await where("true") == (first, [])
    # Used, changed, gone, or a stray is in it.
    for script in ("touch x", "chmod 755 .", "rmdir $PWD", "setsid sleep 60 >&2 &"):
        used, listing = await where(script)
        assert listing == []
        assert (await where("true"))[0] != used, script


async def test_an_exit_code_is_an_error_with_that_code(session: Session):
    report = await session.run(command("sh", "-c", "exit 7"))
    assert (report.error.type, report.error.code) == ("EXIT_CODE", 7)


async def test_a_signal_is_an_error_with_its_number(session: Session):
    report = await session.run(command("sh", "-c", "kill -11 $$"))
    assert (report.error.type, report.error.code) == ("SIGNAL", 11)
    assert "SIGSEGV" in report.error.message


async def test_what_cannot_be_started_says_why(session: Session, tmp_path: Path):
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    for spec, why in (
        (command("no-such-program-anywhere"), "no such program"),
        (command("/no/such/program"), "no such program"),
        (command(str(plain)), "Permission denied"),
        (command("true", cwd="/no/such/directory"), "/no/such/directory"),
        (command("true", "\0"), "null byte"),
        (command(), "no program"),
    ):
        report = await session.run(spec)
        assert report.error.type == "NOT_STARTED", why
        assert why in report.error.message
        assert not report.HasField("start_time")


async def test_a_program_on_the_path_of_the_task_is_found(
    leader: Leader, session: Session, tmp_path: Path
):
    program = tmp_path / "greet"
    program.write_text("#!/bin/sh\necho greetings\n")
    program.chmod(0o755)
    task = task_id()
    spec = command("greet")
    spec.command.env["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    await session.assign(task, spec)
    await session.finished(task)
    assert (await leader.logs(task))["stdout"] == b"greetings\n"


async def test_a_timeout_ends_the_whole_group_with_grandchildren(session: Session, tmp_path: Path):
    pids = tmp_path / "pids"
    script = f"(sleep 1000 & echo $! >> {pids}; wait) & echo $! >> {pids}; wait"
    task = task_id()
    await session.assign(task, command("sh", "-c", script, timeout=0.3))
    found = await pids_in(pids, 2)
    report = await session.finished(task)
    assert report.error.type == "TIMEOUT"
    assert "0.3" in report.error.message
    await eventually(lambda: not any(map(alive, found)))


async def test_a_program_that_ignores_term_is_killed_after_the_grace(
    session: Session, tmp_path: Path
):
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ > {pids}; while :; do sleep 0.05; done"
    task = task_id()
    await session.assign(task, command("sh", "-c", script))
    (pid,) = await pids_in(pids, 1)
    began = time.monotonic()
    await session.cancel(task)
    report = await session.finished(task)
    assert report.error.type == "CANCELLED"
    assert time.monotonic() - began >= 0.3
    assert not alive(pid)


async def test_what_is_left_of_the_group_is_killed_when_the_program_exits(
    session: Session, tmp_path: Path
):
    pids = tmp_path / "pids"
    report = await session.run(command("sh", "-c", f"sleep 1000 & echo $! > {pids}"))
    assert report.WhichOneof("outcome") == "result"
    (pid,) = await pids_in(pids, 1)
    await eventually(lambda: not alive(pid))


async def test_a_process_that_left_the_session_is_found_and_killed(
    session: Session, tmp_path: Path
):
    pids = tmp_path / "pids"
    script = f"setsid sh -c 'echo $$ > {pids}; exec sleep 1000' & sleep 0.2"
    report = await session.run(command("sh", "-c", script))
    assert report.WhichOneof("outcome") == "result"
    (pid,) = await pids_in(pids, 1)
    await eventually(lambda: not alive(pid))


async def test_what_a_process_that_left_the_session_started_is_killed_after_it(
    session: Session, tmp_path: Path
):
    pids = tmp_path / "pids"
    # The sleep comes back to the spawner only when the shell that left has been killed.
    stray = f"echo $$ >> {pids}; setsid sleep 1000 & echo $! >> {pids}; wait"
    both = f"[ -e {pids} ] && [ $(wc -l < {pids}) = 2 ]"
    script = f"setsid sh -c '{stray}' & until {both}; do sleep 0.01; done"
    report = await session.run(command("sh", "-c", script))
    assert report.WhichOneof("outcome") == "result"
    found = await pids_in(pids, 2)
    await eventually(lambda: not any(map(alive, found)))


async def test_output_is_capped_in_the_middle_and_offsets_stay(tmp_path: Path):
    cap = 256 * 1024
    async with (
        running_agent(tmp_path / "node", log_cap=cap) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        task = task_id()
        program = "import sys; [print(f'{n:07d}') for n in range(250_000)]"
        await session.assign(task, command(sys.executable, "-c", program))
        await session.finished(task)
        path = agent.driver.logs.directory(task, 1) / "stdout"
        assert path.stat().st_size == 2_000_000
        assert path.stat().st_blocks * 512 <= cap + 2 * 4096
        output = (await leader.logs(task))["stdout"]
        assert output.startswith(b"0000000\n0000001\n")
        assert output.endswith(b"0249999\n")
        assert len(output) <= cap + 2 * 4096
        assert b"\0" not in output
        assert (await leader.logs(task, offset=1_999_992))["stdout"] == b"0249999\n"


async def test_output_can_be_followed_until_the_end(
    leader: Leader, session: Session, tmp_path: Path
):
    go = tmp_path / "go"
    task = task_id()
    script = f"echo one; until [ -e {go} ]; do sleep 0.01; done; echo two; echo err >&2"
    await session.assign(task, command("sh", "-c", script))
    await session.started(task)
    reading = asyncio.ensure_future(leader.logs(task, follow=True))
    assert (await leader.logs(task))["stdout"] in (b"", b"one\n")
    assert not reading.done()
    go.touch()
    assert await reading == {"stdout": b"one\ntwo\n", "stderr": b"err\n"}


async def test_the_last_lines_are_found(leader: Leader, session: Session):
    task = task_id()
    await session.assign(task, command("seq", "100000"))
    await session.finished(task)
    assert (await leader.logs(task, tail_lines=2))["stdout"] == b"99999\n100000\n"
    assert len((await leader.logs(task, tail_lines=20_000))["stdout"].split()) == 20_000
    assert len((await leader.logs(task, tail_lines=100_000))["stdout"].split()) == 100_000


async def test_output_of_one_attempt_never_shows_up_in_another(leader: Leader, session: Session):
    tasks = [task_id() for _ in range(30)]
    for number, task in enumerate(tasks):
        text = f"echo {task}" if number % 3 == 0 else "true"
        await session.assign(task, command("sh", "-c", text))
        await session.finished(task)
    for number, task in enumerate(tasks):
        expected = f"{task}\n".encode() if number % 3 == 0 else b""
        assert (await leader.logs(task))["stdout"] == expected


async def test_programs_sent_ahead_of_time_are_taken_back_from_behind_a_long_one(session: Session):
    for _ in range(30):
        await session.run(command("sh", "-c", "true"))
    long_ones = [task_id(), task_id()]
    short = [task_id() for _ in range(8)]
    for task in long_ones:
        await session.assign(task, command("sh", "-c", "sleep 1000"))
    for task in short:
        await session.assign(task, command("sh", "-c", "true"))
    for task in short:
        await session.settled(task)
        assert session.returned(task)
    for task in long_ones:
        assert not session.reports(task)
        await session.cancel(task)
        assert (await session.finished(task)).error.type == "CANCELLED"
    assert (await session.run(command("sh", "-c", "true"))).result.exit_code == 0


async def test_a_program_sent_ahead_of_time_can_be_cancelled(session: Session, tmp_path: Path):
    for _ in range(30):
        await session.run(command("sh", "-c", "true"))
    go, marks = tmp_path / "go", tmp_path / "marks"
    script = f"until [ -e {go} ]; do sleep 0.005; done"
    tasks = [task_id() for _ in range(6)]
    specs = [command("sh", "-c", script) for _ in range(2)]
    specs += [command("sh", "-c", f"echo x >> {marks}") for _ in range(4)]
    await session.send(
        assign=[assignment(task, spec) for task, spec in zip(tasks, specs, strict=True)],
        cancel=[pb.AttemptRef(task_id=task, attempt=1) for task in tasks[2:]],
    )
    for task in tasks[2:]:
        report = await session.finished(task)
        assert report.error.type == "CANCELLED"
    go.touch()
    for task in tasks[:2]:
        assert (await session.finished(task)).result.exit_code == 0
    assert not marks.exists()
