"""User code that abuses its worker's socket spoils that worker; the lane goes on with a new one.

Worker and agent share the far end of a lane: what user code does to the socket itself (shuts it
down, makes it not block, leaves a copy with a process of its own) must not outlive the worker.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.agent import Leader, Session, eventually, python, running_agent, task_id


@pytest_asyncio.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    """Of an agent with a single lane."""
    async with running_agent(tmp_path / "node", slots=1) as agent, Leader(agent.address) as leader:
        yield await leader.open()


async def works(session: Session) -> None:
    """One worker answers again and again."""
    pids = set()
    for _ in range(3):
        report = await asyncio.wait_for(session.run(python("os:getpid")), 10)
        assert report.WhichOneof("outcome") == "result", report
        pids.add(report.result.json)
    assert len(pids) == 1


@pytest.mark.parametrize(
    ("how", "then", "end"),
    [
        (socket.SHUT_RD, "os._exit(1)", "WORKER_CRASHED"),
        (socket.SHUT_WR, "os._exit(1)", "WORKER_CRASHED"),
        (socket.SHUT_RDWR, "os._exit(1)", "WORKER_CRASHED"),
        (socket.SHUT_RD, "time.sleep(60)", "TIMEOUT"),
        # The agent sees the end of what the worker writes, and ends the worker.
        (socket.SHUT_WR, "time.sleep(60)", "WORKER_CRASHED"),
        (socket.SHUT_RDWR, "time.sleep(60)", "WORKER_CRASHED"),
    ],
)
async def test_a_socket_that_was_shut_down_is_replaced(
    session: Session, how: int, then: str, end: str
) -> None:
    script = f"import os, socket, time; socket.socket(fileno=os.dup(3)).shutdown({how}); {then}"
    task, behind = task_id(), task_id()
    await session.assign(task, python("builtins:exec", script, timeout=2.0))
    await session.assign(behind, python("builtins:str", "behind"))
    report = await asyncio.wait_for(session.finished(task), 10)
    assert report.error.type == end, report
    await asyncio.wait_for(session.settled(behind), 10)
    await works(session)


async def test_a_socket_that_was_told_not_to_block_is_replaced(session: Session) -> None:
    script = "import os; os.set_blocking(3, False); os._exit(1)"
    report = await session.run(python("builtins:exec", script))
    assert report.error.type == "WORKER_CRASHED"
    await works(session)


async def test_a_copy_of_the_socket_hears_nothing_of_later_attempts(
    session: Session, tmp_path: Path
) -> None:
    """A child that left its group, its parent and its environment behind, as no sweep finds it."""
    heard = tmp_path / "heard"
    reader = (
        "import os, socket, sys;"
        "lane = socket.socket(fileno=9);"
        f"file = open({str(heard)!r}, 'wb', 0);"
        "file.write(b'listening');"
        "[file.write(packet) for packet in iter(lambda: lane.recv(65536), b'')]"
    )
    script = (
        "import os, subprocess, sys\n"
        "os.dup2(3, 9)\n"
        f"argv = [sys.executable, '-c', {reader!r}]\n"
        "subprocess.Popen(argv, env={}, start_new_session=True, pass_fds=[9])\n"
        f"while not os.path.exists({str(heard)!r}) or not os.path.getsize({str(heard)!r}): pass\n"
        "os._exit(1)\n"
    )
    report = await session.run(python("builtins:exec", script))
    assert report.error.type == "WORKER_CRASHED", report
    await works(session)
    await works(session)
    assert heard.read_bytes() == b"listening"
    # It ends with the socket: nobody else has the other end any more.
    await eventually(lambda: not _listeners(str(heard)))


def _listeners(name: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if name.encode() in (folder / "cmdline").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
    return found


# What user code needs to speak in its worker's name.
SPEAK = (
    "import os, socket, time\n"
    "from node_agent.protocol.replies import packets_of\n"
    "from quorate.client.tracking import waiting\n"
    "lane, key = socket.socket(fileno=os.dup(3)), waiting._host._key\n"
    "def say(key, sign, number=1.0):\n"
    "    for packet in packets_of(key, number, 0.0, (sign,)):\n"
    "        lane.send(packet)\n"
)


async def test_one_that_asks_to_wait_and_reads_no_verdict_is_ended(session: Session) -> None:
    script = SPEAK + "while True: say(key, 'yielded')\n"
    report = await asyncio.wait_for(session.run(python("builtins:exec", script, {})), 30)
    assert report.error.type == "WORKER_CRASHED"
    await works(session)


async def test_one_that_waits_in_the_name_of_another_is_ended(session: Session) -> None:
    script = SPEAK + "say(key + 1, 'yielded')\ntime.sleep(60)\n"
    report = await asyncio.wait_for(session.run(python("builtins:exec", script, {})), 10)
    assert report.error.type == "WORKER_CRASHED"
    await works(session)


async def test_one_that_never_waited_may_say_that_it_goes_on(session: Session) -> None:
    script = SPEAK + "say(key, 'resumed')\nsay(key, 'resumed')\n"
    report = await asyncio.wait_for(session.run(python("builtins:exec", script, {})), 10)
    assert report.WhichOneof("outcome") == "result", report
    await works(session)
