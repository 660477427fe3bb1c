"""Signals and suspensions of real programs on a real agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.agent import (
    Agent,
    Leader,
    Session,
    command,
    eventually,
    running_agent,
    task_id,
)

# Says its process id, then what it gets; it exits by itself.
CHILD = """
import os, signal, sys, time
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append("USR1"))
print(os.getpid(), flush=True)
open(sys.argv[1], "w").write(str(os.getpid()))
while not got:
    time.sleep(0.02)
print(*got)
"""


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with running_agent(tmp_path / "node", kill_grace=30.0) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def started(session: Session, task: str, where: Path, **options: float) -> int:
    await session.assign(task, command("python3", "-c", CHILD, str(where), **options))
    await session.started(task)
    return int(await eventually(lambda: where.exists() and where.read_text()))


async def suspend(session: Session, task: str, suspended: bool = True) -> None:
    await session.send(suspend=[pb.SuspendOrder(task_id=task, attempt=1, suspended=suspended)])


async def test_a_program_stands_still_gets_a_signal_and_goes_on(
    leader: Leader, session: Session, tmp_path: Path
) -> None:
    task = task_id()
    pid = await started(session, task, tmp_path / "pid", timeout=2.0)
    await suspend(session, task)
    await eventually(lambda: state_of(pid) == "T")
    order = pb.SignalOrder(task_id=task, attempt=1, signal=task_pb2.TASK_SIGNAL_USR1)
    await session.send(signals=[order])
    # The next session says so.
    again = await leader.open(epoch=2)
    inventory = await again.inventory()
    assert [(one.task_id, one.attempt) for one in inventory.suspended] == [(task, 1)]
    assert state_of(pid) == "T"
    await suspend(again, task, suspended=False)
    report = await again.finished(task)
    assert report.result.exit_code == 0, report
    assert (await leader.logs(task))["stdout"].decode().split()[-1] == "USR1"


async def test_a_program_that_stands_still_is_cancelled_well_within_its_grace(
    session: Session, tmp_path: Path
) -> None:
    task = task_id()
    pid = await started(session, task, tmp_path / "pid")
    await suspend(session, task)
    await eventually(lambda: state_of(pid) == "T")
    await session.cancel(task)
    report = await session.finished(task)
    assert report.error.type == "CANCELLED"
    await eventually(lambda: state_of(pid) in ("", "Z"))


@pytest.mark.parametrize("number", [0, 19, 64, -1])
async def test_what_no_leader_sends_harms_nobody(
    session: Session, tmp_path: Path, number: int
) -> None:
    task = task_id()
    pid = await started(session, task, tmp_path / "pid")
    await session.send(
        signals=[pb.SignalOrder(task_id=task, attempt=1, signal=number)],  # type: ignore[arg-type]
        suspend=[pb.SuspendOrder(task_id="unknown", attempt=-1, suspended=True)],
    )
    order = pb.SignalOrder(task_id=task, attempt=1, signal=task_pb2.TASK_SIGNAL_USR1)
    await session.send(signals=[order])
    assert (await session.finished(task)).result.exit_code == 0
    assert state_of(pid) != "T"
