"""A disk that is full, as any task can make it, fails attempts with a reason; the agent goes on."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node_agent.executors import packets
from quorate.v1 import task_pb2
from tests.support.agent import Agent, Leader, Session, command, python, running_agent

LARGE = "x" * (2 * packets.MAX_PACKET)


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node", slots=1) as agent:
        yield agent


@pytest_asyncio.fixture
async def session(agent: Agent) -> AsyncIterator[Session]:
    async with Leader(agent.address) as leader:
        yield await leader.open()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "spec",
    [python("builtins:len", LARGE), command("cat", stdin=LARGE.encode())],
    ids=["python", "command"],
)
async def test_an_attempt_that_is_too_large_for_the_disk_is_not_started(
    session: Session, spec: task_pb2.TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        for _ in range(2):
            report = await asyncio.wait_for(session.run(spec), 10)
            assert report.error.type == "NOT_STARTED"
            assert "No space left on device" in report.error.message
    for again in (spec, python("builtins:abs", -1), command("true")):
        report = await asyncio.wait_for(session.run(again), 10)
        assert report.WhichOneof("outcome") == "result", report
