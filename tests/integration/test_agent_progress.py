"""Programs and calls say how far they are, on a real agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent import Agent, Leader, Session, command, python, running_agent, task_id


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


def said(session: Session, task: str) -> list[pb.AttemptProgress]:
    return [one for message in session.messages for one in message.progress if one.task_id == task]


async def test_a_program_and_a_call_say_how_far_they_are(session: Session, tmp_path: Path):
    go = tmp_path / "go"
    script = (
        'echo "0.4 epoch 4 of 10" >&$QUORATE_PROGRESS_FD; echo said; '
        f"while ! [ -e {go} ]; do sleep 0.05; done"
    )
    program, call = task_id(), task_id()
    await session.assign(program, command("sh", "-c", script))
    await session.assign(call, python("tests.support.reporting:says_progress", str(go)))
    (shown,) = await session.until(lambda: said(session, program)[-1:])
    assert (shown.attempt, shown.fraction, shown.text) == (1, 0.4, "epoch 4 of 10")
    (shown,) = await session.until(
        lambda: [one for one in said(session, call) if one.text == "the last one"]
    )
    assert shown.fraction == 1.0
    go.touch()
    assert (await session.finished(program)).result.exit_code == 0
    assert (await session.finished(call)).result.json == '"done"'
    # The next ones begin with none.
    again = await session.run(command("true"))
    assert again.result.exit_code == 0
    assert not said(session, again.task_id)


async def test_a_task_that_says_too_much_harms_nobody(session: Session):
    script = (
        "import os; n = int(os.environ['QUORATE_PROGRESS_FD'])\n"
        "for k in range(200): os.write(n, b'0.5 line\\n' * 5000)\n"
        "os.write(n, b'x' * 10_000_000 + b'\\nnan\\n\\xff\\xfe\\n')"
    )
    report = await session.run(command("python3", "-c", script))
    assert report.result.exit_code == 0
    assert len(said(session, report.task_id)) <= 20
    report = await session.run(python("tests.support.reporting:says_nonsense"))
    assert report.result.json == '"done"', report
    # Agent and workers are well.
    assert (await session.run(python("builtins:len", "abc"))).result.json == "3"
