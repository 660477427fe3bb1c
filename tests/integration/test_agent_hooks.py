"""Set-up and clean-up around real attempts on a real agent, however these end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
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


def around(
    spec: task_pb2.TaskSpec, setup: str = "", cleanup: str = "", seconds: float = 30.0
) -> task_pb2.TaskSpec:
    """The spec with shell scripts around it."""
    for name, script in (("setup", setup), ("cleanup", cleanup)):
        if script:
            hook = getattr(spec.hooks, name)
            hook.argv.extend(("sh", "-c", script))
            hook.timeout.FromNanoseconds(int(seconds * 1e9))
    return spec


async def ended(session: Session, spec: task_pb2.TaskSpec) -> pb.AttemptFinished:
    return await session.run(spec)


async def test_they_share_directory_environment_and_log_with_the_program(
    leader: Leader, session: Session
) -> None:
    spec = around(
        command("sh", "-c", "cat input; echo work > output; echo $GREETING"),
        'echo "from set-up $QUORATE_ATTEMPT" > input',
        "cat output; pwd; echo $GREETING $QUORATE_TASK_ID",
    )
    spec.command.env["GREETING"] = "hello"
    report = await session.run(spec)
    assert report.result.exit_code == 0, report
    assert report.hooks.setup.error == report.hooks.cleanup.error == ""
    assert report.hooks.cleanup.duration.ToMicroseconds() > 0
    lines = (await leader.logs(report.task_id))["stdout"].decode().splitlines()
    directory = lines.pop(3)
    assert lines == ["from set-up 1", "hello", "work", f"hello {report.task_id}"]
    await eventually(lambda: not Path(directory).exists())


async def test_a_set_up_that_fails_ends_the_attempt_and_is_cleaned_up(
    session: Session, tmp_path: Path
) -> None:
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    spec = around(command("touch", str(began)), "exit 3", f"touch {cleaned}")
    report = await session.run(spec)
    assert report.error.type == "SETUP_FAILED"
    assert "exited with code 3" in report.error.message
    assert report.hooks.setup.error == report.error.message
    assert report.hooks.HasField("cleanup")
    assert cleaned.exists()
    assert not began.exists()


async def test_a_clean_up_that_fails_or_hangs_changes_nothing(session: Session) -> None:
    report = await session.run(around(command("true"), cleanup="exit 9"))
    assert report.result.exit_code == 0
    assert "exited with code 9" in report.hooks.cleanup.error
    assert not report.hooks.HasField("setup")
    hangs = around(command("sh", "-c", "exit 4"), cleanup="sleep 600", seconds=0.3)
    report = await session.run(hangs)
    assert (report.error.type, report.error.code) == ("EXIT_CODE", 4)
    assert report.hooks.cleanup.error == "the clean-up ran longer than its timeout"
    # The lane goes on.
    assert (await session.run(command("true"))).result.exit_code == 0


async def test_it_is_cleaned_up_after_a_timeout_and_a_cancel(
    session: Session, tmp_path: Path
) -> None:
    late, cancelled = tmp_path / "late", tmp_path / "cancelled"
    spec = around(command("sleep", "600", timeout=0.3), cleanup=f"touch {late}")
    report = await session.run(spec)
    assert report.error.type == "TIMEOUT"
    assert report.hooks.HasField("cleanup")
    assert late.exists()
    task = task_id()
    await session.assign(task, around(command("sleep", "600"), cleanup=f"touch {cancelled}"))
    await session.started(task)
    await session.cancel(task)
    assert (await session.finished(task)).error.type == "CANCELLED"
    assert cancelled.exists()


async def test_a_cancel_ends_a_set_up_and_not_a_clean_up(session: Session, tmp_path: Path) -> None:
    began, go, cleaned = (tmp_path / name for name in ("began", "go", "cleaned"))
    first = task_id()
    spec = around(command("true"), f"touch {began}; sleep 600", f"touch {cleaned}")
    await session.assign(first, spec)
    await eventually(began.exists)
    await session.cancel(first)
    assert (await session.finished(first)).error.type == "CANCELLED"
    assert cleaned.exists()
    for path in (began, cleaned):
        path.unlink()
    second = task_id()
    script = f"touch {began}; until [ -e {go} ]; do sleep 0.05; done; touch {cleaned}"
    await session.assign(second, around(command("true"), cleanup=script))
    await eventually(began.exists)
    await session.cancel(second)
    go.touch()
    report = await session.finished(second)
    assert report.result.exit_code == 0, "how it ended was known before"
    assert cleaned.exists()


async def test_a_function_has_hooks_also_when_its_worker_crashes(
    session: Session, tmp_path: Path, monkeypatch
) -> None:
    cleaned = tmp_path / "cleaned"
    spec = python("os:_exit", 7)
    spec.hooks.setup.entrypoint = "tests.support.reporting:quiet_hook"
    around(spec, cleanup=f"touch {cleaned}")
    report = await session.run(spec)
    assert report.error.type == "WORKER_CRASHED"
    assert cleaned.exists()
    fails = python("builtins:len", "abc")
    fails.hooks.setup.entrypoint = "tests.support.reporting:failing_hook"
    report = await session.run(fails)
    assert report.error.type == "SETUP_FAILED"
    missing = python("builtins:len", "abc")
    missing.hooks.cleanup.entrypoint = "no_such_module:f"
    report = await session.run(missing)
    assert report.result.json == "3"
