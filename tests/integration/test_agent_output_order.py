"""Outputs: in the order of writing, at once, whole, and in nobody else's log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import scheduler_pb2
from tests.support.agent import (
    PATIENCE,
    Agent,
    Leader,
    Session,
    command,
    eventually,
    python,
    running_agent,
    task_id,
)

STDOUT = scheduler_pb2.LOG_STREAM_STDOUT


class Run:
    """One agent with one slot."""

    def __init__(self, agent: Agent, leader: Leader, session: Session) -> None:
        self.agent, self.leader, self.session = agent, leader, session

    async def start(self, spec: Any) -> str:
        task = task_id()
        await self.session.assign(task, spec)
        return task

    async def __call__(self, spec: Any) -> str:
        """Run it to its end; its id."""
        task = await self.start(spec)
        report = await self.session.finished(task)
        assert report.WhichOneof("outcome") == "result", report
        return task

    async def chunks(self, task: str, **fields: Any) -> list[scheduler_pb2.LogChunk]:
        request = pb.ReadLogsRequest(task_id=task, **fields)
        answers = self.leader.stub.ReadLogs(request, timeout=PATIENCE)
        return [answer.chunk async for answer in answers]

    async def stdout(self, task: str) -> bytes:
        return (await self.leader.logs(task))["stdout"]


@pytest_asyncio.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    async with (
        running_agent(tmp_path / "node", slots=1) as agent,
        Leader(agent.address) as leader,
    ):
        yield Run(agent, leader, await leader.open())


def exec_(script: str) -> Any:
    return python("builtins:exec", script)


TRUNCATING = [
    ("echo one; echo two; echo three > /dev/stdout; echo four", b"one\ntwo\nthree\nfour\n", b""),
    ("echo one; echo two | tee /dev/stderr; echo three >&2", b"one\ntwo\n", b"two\nthree\n"),
    ("echo one >&2; cp /dev/null /dev/stderr; : > /dev/stderr; echo two >&2", b"", b"one\ntwo\n"),
    ("echo one; dd if=/dev/zero of=/dev/fd/1 bs=1 count=1 2>&-; echo two", b"one\n\0two\n", b""),
]


@pytest.mark.parametrize("kind", ["command", "function"])
@pytest.mark.parametrize(("script", "out", "err"), TRUNCATING)
async def test_a_second_open_of_an_output_truncates_nothing(
    run: Run, kind: str, script: str, out: bytes, err: bytes
) -> None:
    spec = command("sh", "-c", script) if kind == "command" else python("os:system", script)
    task = await run(spec)
    assert await run.leader.logs(task) == {"stdout": out, "stderr": err}


async def test_prints_and_programs_of_a_function_stay_in_order(run: Run) -> None:
    script = (
        "from subprocess import run\nrun(['echo', 'A'])\nprint('B')\nrun(['echo', 'C'])\n"
        "import os\nos.write(1, b'D\\n')"
    )
    assert await run.stdout(await run(exec_(script))) == b"A\nB\nC\nD\n"


@pytest.mark.parametrize("kind", ["command", "function"])
async def test_what_a_program_writes_is_seen_while_it_runs(
    run: Run, tmp_path: Path, kind: str
) -> None:
    go = tmp_path / "go"
    script = f"echo early; echo problem >&2; until test -e {go}; do sleep 0.01; done; echo late"
    spec = command("sh", "-c", script) if kind == "command" else python("os:system", script)
    task = await run.start(spec)
    followed = run.leader.stub.ReadLogs(
        pb.ReadLogsRequest(task_id=task, attempt=1, follow=True), timeout=PATIENCE
    )
    said = {1: b"", 2: b""}
    async for answer in followed:
        said[answer.chunk.stream] += answer.chunk.data
        if said == {1: b"early\n", 2: b"problem\n"}:
            go.touch()
    assert said == {1: b"early\nlate\n", 2: b"problem\n"}
    await run.session.finished(task)


@pytest.mark.parametrize("kind", ["command", "function"])
async def test_a_replay_has_both_outputs_in_the_order_of_writing_with_their_times(
    run: Run, kind: str
) -> None:
    words = [f"{number}" for number in range(6)]
    script = "; ".join(
        f"echo {word} >&{1 + number % 2}; sleep 0.05" for number, word in enumerate(words)
    )
    spec = command("sh", "-c", script) if kind == "command" else python("os:system", script)
    task = await run(spec)
    chunks = await run.chunks(task)
    assert [chunk.data.decode().strip() for chunk in chunks] == words
    times = [chunk.time.ToNanoseconds() for chunk in chunks]
    assert times == sorted(times)
    # Five pauses of 50 ms, and a piece has the time at which it was read: the first one a bit late.
    assert times[-1] - times[0] >= 0.2e9
    # From an offset, and the last lines, as before.
    part = await run.chunks(task, offset=2)
    assert [chunk.data.decode().strip() for chunk in part] == words[2:]
    part = await run.chunks(task, tail_lines=1)
    assert [chunk.data.decode().strip() for chunk in part] == words[4:]


async def test_pieces_that_are_written_quickly_are_one(run: Run) -> None:
    program = "for n in range(20000): print(n, flush=True)"
    task = await run(command(sys.executable, "-c", program))
    chunks = await run.chunks(task)
    assert b"".join(chunk.data for chunk in chunks) == b"".join(b"%d\n" % n for n in range(20000))
    index = run.agent.driver.logs.path(task, 1, "index")
    assert Path(index).stat().st_size < 24 * 10_000


async def test_a_left_behind_child_writes_into_its_own_tasks_log_only(
    run: Run, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = (
        f"import subprocess\nprint('mine')\n"
        f"subprocess.Popen('until test -e {go}; do sleep 0.01; done; echo LATE', shell=True)"
    )
    first = await run(exec_(script))
    second = await run(exec_("print('other')"))
    third = await run.start(
        exec_(f"import time, os\nprint('third')\nopen({str(go)!r}, 'w')\ntime.sleep(0.5)")
    )
    await run.session.finished(third)

    async def late() -> bool:
        return b"LATE" in await run.stdout(first)

    async with asyncio.timeout(PATIENCE):
        while not await late():
            await asyncio.sleep(0.01)
    assert await run.stdout(first) == b"mine\nLATE\n"
    assert await run.stdout(second) == b"other\n"
    assert await run.stdout(third) == b"third\n"


async def test_what_a_daemon_of_a_call_writes_is_not_the_next_ones(
    run: Run, tmp_path: Path
) -> None:
    """A grandchild, of which the worker has seen nothing but a child that ended."""
    go = tmp_path / "go"
    script = f"(until test -e {go}; do sleep 0.01; done; echo LATE) & true"
    first = await run(python("os:system", script))
    second = await run(exec_(f"import time\nopen({str(go)!r}, 'w')\ntime.sleep(0.5)"))
    assert not run.agent.driver.logs.directory(second, 1).exists()
    await eventually(lambda: Path(run.agent.driver.logs.path(first, 1, "stdout")).exists())
    assert await run.stdout(first) == b"LATE\n"


async def test_calls_that_write_nothing_leave_nothing_and_keep_their_pipes(run: Run) -> None:
    targets = set()
    for _ in range(5):
        task = task_id()
        await run.session.assign(task, python("os:readlink", "/proc/self/fd/1"))
        targets.add((await run.session.finished(task)).result.json)
        assert not run.agent.driver.logs.directory(task, 1).exists()
    assert len(targets) == 1
    await run(exec_("print('used')"))
    task = task_id()
    await run.session.assign(task, python("os:readlink", "/proc/self/fd/1"))
    assert (await run.session.finished(task)).result.json not in targets


async def test_a_follower_of_one_call_sees_nothing_of_the_next(run: Run, tmp_path: Path) -> None:
    for number in range(10):
        go = tmp_path / f"go{number}"
        wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.001)"
        quiet = await run.start(exec_(wait))
        await run.session.started(quiet)
        followed = asyncio.ensure_future(run.chunks(quiet, attempt=1, follow=True))
        loud = await run.start(exec_("for n in range(100): print('loud')"))
        go.touch()
        assert [chunk.data for chunk in await followed] == []
        await run.session.settled(loud)


async def test_a_flood_does_not_hold_up_the_spawner(run: Run) -> None:
    flood = await run.start(command("sh", "-c", "yes & yes & yes & yes >&2"))
    await run.session.started(flood)
    while not await run.stdout(flood):
        await asyncio.sleep(0.01)
    await run.session.cancel(flood)
    report = await asyncio.wait_for(run.session.finished(flood), 10)
    assert report.error.type == "CANCELLED"
    assert (await run.stdout(flood)).startswith(b"y\ny\n")


async def test_a_program_that_closes_its_outputs_goes_on(run: Run) -> None:
    task = await run(command("sh", "-c", "echo before; exec >&- 2>&-; sleep 0.1; exit 0"))
    assert await run.stdout(task) == b"before\n"
