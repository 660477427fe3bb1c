"""What a program starts ends with it, also without cgroups; its time counts from its start."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.agent import Agent, Leader, command, eventually, python, running_agent, task_id


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node", slots=2) as agent:
        yield agent


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


ESCAPES = {
    "no environment": "env -i setsid sleep 1000 & echo $! > {pid}",
    "no parent": "(env -i setsid sh -c 'echo $$ > {pid}; exec sleep 1000' &) ; sleep 0.2",
    "no outputs": (
        "env -i setsid sh -c 'echo $$ > {pid}; exec sleep 1000' >/dev/null 2>&1 </dev/null &"
        " sleep 0.2"
    ),
    "generations": "env -i setsid setsid -w sh -c 'echo $$ > {pid}; sleep 1000; true' & sleep 0.3",
}


@pytest.mark.parametrize("end", ["exit", "cancel"])
@pytest.mark.parametrize("name", ESCAPES)
async def test_nothing_that_a_program_started_outlives_it(
    agent: Agent, tmp_path: Path, name: str, end: str
) -> None:
    file = tmp_path / "pid"
    script = ESCAPES[name].format(pid=file) + ("" if end == "exit" else "; sleep 1000")
    async with Leader(agent.address) as leader:
        session = await leader.open()
        # Another one, which goes on, and what it started.
        other, kept = task_id(), tmp_path / "kept"
        await session.assign(
            other,
            command(
                "sh",
                "-c",
                f"(env -i setsid sh -c 'echo $$ > {kept}; exec sleep 1000' &); sleep 1000",
            ),
        )
        await eventually(lambda: kept.exists() and kept.read_text())
        task = task_id()
        await session.assign(task, command("sh", "-c", script))
        pid = int(await eventually(lambda: file.exists() and file.read_text()))
        if end == "cancel":
            await session.cancel(task)
        await session.finished(task)
        await eventually(lambda: is_gone(pid))
        assert not is_gone(int(kept.read_text()))
        await session.cancel(other)
        await session.finished(other)
        await eventually(lambda: is_gone(int(kept.read_text())))


async def test_a_program_has_the_limits_that_the_agent_has(agent: Agent) -> None:
    async with Leader(agent.address) as leader:
        session = await leader.open()
        task = task_id()
        await session.assign(task, command("sh", "-c", "ulimit -n; ulimit -Hn"))
        await session.finished(task)

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert (await leader.logs(task))["stdout"].split() == [b"%d" % soft, b"%d" % hard]


async def test_many_programs_at_once_have_their_whole_timeout(tmp_path: Path) -> None:
    """They are started one after the other, the last one long after it was handed over."""
    many, seconds = 60, 1.5
    async with (
        running_agent(tmp_path / "node", slots=many) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        tasks = [task_id() for _ in range(many)]
        for task in tasks:
            await session.assign(task, command("sleep", str(seconds * 0.6), timeout=seconds))
        for task in tasks:
            report = await asyncio.wait_for(session.finished(task), 60)
            assert report.WhichOneof("outcome") == "result", report


async def test_a_program_that_waits_for_its_start_does_not_time_out(
    agent: Agent, tmp_path: Path
) -> None:
    """The spawner is stopped while the program is handed over: it begins later than its timeout."""

    spawner = agent.driver._link.spawner_pid
    async with Leader(agent.address) as leader:
        session = await leader.open()
        task = task_id()
        os.kill(spawner, signal.SIGSTOP)
        try:
            await session.assign(task, command("sleep", "0.2", timeout=0.5))
            await eventually(lambda: agent.driver.machine.live(task) is not None)
            until = time.monotonic() + 1.0
            await eventually(lambda: time.monotonic() > until)
            assert not session.reports(task)
        finally:
            os.kill(spawner, signal.SIGCONT)
        report = await session.finished(task)
        assert report.WhichOneof("outcome") == "result", report
        # And the timeout counts once it runs.
        late = task_id()
        await session.assign(late, command("sleep", "1000", timeout=0.3))
        assert (await session.finished(late)).error.type == "TIMEOUT"
        call = task_id()
        await session.assign(call, python("time:sleep", 1000, timeout=0.3))
        assert (await session.finished(call)).error.type == "TIMEOUT"
