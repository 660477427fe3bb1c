"""Writes that fail, as on a disk that any task has filled: attempts go back, and the agent goes on.

A real full disk is in test_agent_small_disk.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node_agent.core.disk import HOLD_SECONDS
from node_agent.engine import disk
from node_agent.protocol import packets
from quorate.v1 import task_pb2
from tests.support.agent import Agent, Leader, Session, command, python, running_agent, task_id

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
async def test_an_attempt_that_is_too_large_for_the_disk_is_handed_back(
    agent: Agent, session: Session, spec: task_pb2.TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    await session.until(lambda: session.credit > 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        report = await asyncio.wait_for(session.run(spec), 10)
        assert report.handed_back
        assert agent.driver.disk.error == "No space left on device"
        await session.until(lambda: session.credit == 0)
        # Nothing more is taken, however small it is.
        crossing = task_id()
        await session.assign(crossing, command("true"))
        await session.until(lambda: session.returned(crossing))
    await session.until(lambda: session.credit > 0)
    for again in (spec, python("builtins:abs", -1), command("true")):
        report = await asyncio.wait_for(session.run(again), 10)
        assert report.WhichOneof("outcome") == "result", report


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS])
async def test_a_disk_that_takes_no_probe_closes_the_node_until_it_does(
    agent: Agent, session: Session, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    await session.until(lambda: session.credit > 0)
    runs = task_id()
    await session.assign(runs, command("sleep", "60"))
    await session.started(runs)
    with monkeypatch.context() as patched:

        def failing(path: str, careful: bool) -> None:
            raise OSError(number, os.strerror(number))

        patched.setattr(disk, "_write", failing)
        agent.driver.disk.failed(number)
        await session.until(lambda: session.credit == 0)
        # It is not the time alone that ends it.
        await asyncio.sleep(HOLD_SECONDS + 1.5)
        assert agent.driver.disk.error == os.strerror(number)
        assert agent.driver.runs(runs, 1)
    await session.until(lambda: session.credit > 0)
    await session.cancel(runs)
    report = await session.finished(runs)
    assert report.error.type == "CANCELLED"


async def test_a_disk_that_does_not_answer_closes_the_node_until_it_does(
    agent: Agent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server of files that is away: no call returns, and none fails."""
    await session.until(lambda: session.credit > 0)
    answers = threading.Event()
    real = disk.probe_of

    def hang(*arguments: Any, **options: Any) -> Any:
        answers.wait(60)
        return real(*arguments, **options)

    monkeypatch.setattr(disk, "HUNG_SECONDS", 0.5)
    monkeypatch.setattr(disk, "probe_of", hang)
    try:
        await session.until(lambda: session.credit == 0)
        assert agent.driver.disk.error == "it has not answered for 0.5 s"
    finally:
        answers.set()
    await session.until(lambda: session.credit > 0)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EMFILE, None])
async def test_other_errors_say_nothing_about_the_disk(agent: Agent, number: int | None) -> None:
    assert not agent.driver.disk.failed(number)
    assert not agent.driver.disk.error


async def test_a_spilled_message_that_cannot_be_deleted_costs_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that became read-only: the attempt used to be forgotten, and never ended."""
    real = os.unlink

    def refused(path: str, *rest: object, **more: object) -> None:
        if "/spool/call-" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "unlink", refused)
    report = await asyncio.wait_for(session.run(python("builtins:len", LARGE)), 10)
    assert report.result.json == str(len(LARGE))
