"""Attempts of another user than the agent, on a real agent.

CI is root, as an agent has to be that runs tasks as someone else. Whoever runs this as another user
sees that agent refuse instead (tests/unit/test_task_terms.py) and everything else hold.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

import node_agent
import quorate
from node_agent.task.user import TaskUser, find_user
from tests.support.agent import command, eventually, python, task_id
from tests.support.confined import PLAIN, Run, open_folder, running


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def user() -> TaskUser:
    """Someone else; for whoever is not root it has to be themselves."""
    if os.geteuid() != 0:
        return find_user(str(os.geteuid()))
    return find_user("nobody")


@pytest.fixture
def interpreter(user: TaskUser, monkeypatch: pytest.MonkeyPatch) -> str:
    """One that the user can reach: root's own may be in root's home."""
    found = sys.executable
    # Both the environment and what its interpreter is a link to.
    ways = (Path(found).parent, Path(found).resolve().parent)
    if any(user.can_enter(way) is not None for way in ways):
        found = shutil.which("python3", path="/usr/bin") or found
        monkeypatch.setattr(sys, "executable", found)
    return found


@pytest_asyncio.fixture
async def other(folder: Path, user: TaskUser, interpreter: str) -> AsyncIterator[Run]:
    del interpreter
    # The checkout too may be in root's home.
    for package in (node_agent, quorate):
        source = Path(str(package.__file__)).parent
        shutil.copytree(
            source,
            folder / "code" / source.name,
            ignore=shutil.ignore_patterns("__pycache__", "cli", "v1", "internal"),
        )
    terms = replace(PLAIN, user=user)
    if os.geteuid() != 0:
        terms = replace(PLAIN, environment={**PLAIN.environment, **user.environment})
    async with running(folder / "node", terms, slots=1, directory=folder / "code") as run:
        yield run


async def test_programs_are_another_users(other: Run, user: TaskUser) -> None:
    said = await other.sh('id -u; id -g; id -G; echo "$HOME $USER $LOGNAME"')
    uid, gid, groups, rest = said.splitlines()
    assert (int(uid), int(gid)) == (user.uid, user.gid)
    assert {int(one) for one in groups.split()} == set(user.groups)
    assert rest == f"{user.home} {user.name} {user.name}"
    # What the task adds wins.
    assert await other.sh("echo $HOME", env={"HOME": "/elsewhere"}) == "/elsewhere\n"
    where = (await other.sh("pwd; echo x > mine; stat -c %u mine .")).split()
    assert where[1:] == [str(user.uid)] * 2
    # Its outputs are its own files, also by name.
    assert await other.sh("echo a >/dev/stdout; echo b >/dev/stderr") == "a\nb\n"
    stolen = "cat /proc/self/status | grep -c 'CapEff:.*0000000000000000'"
    assert await other.sh(f"{stolen} || true") == ("1\n" if user.uid else "0\n")


async def test_programs_of_another_user_reach_no_files_of_the_agent(
    other: Run, user: TaskUser, folder: Path
) -> None:
    (folder / "closed").mkdir(mode=0o700)
    data = other.agent.data
    tries = (f"ls {data}", f"ls {data}/logs", f"rm {data}/lock", f"touch {data}/x", "kill $PPID")
    script = "; ".join(f"({one}) 2>/dev/null && echo '{one}'" for one in tries)
    if os.geteuid() == 0:
        assert await other.sh(f"{script}; true") == ""
        report, _ = await other(command("true", cwd=str(folder / "closed")))
        assert report.error.type == "NOT_STARTED"
        assert "working directory" in report.error.message
        assert "Permission denied" in report.error.message
    report, _ = await other(command("no-such-program"))
    assert report.error.message == "no-such-program: no such program"
    report, _ = await other(command("true", cwd="/no/such"))
    assert "working directory '/no/such': No such file" in report.error.message
    report, _ = await other(command("sh", "a\0b"))
    assert report.error.type == "NOT_STARTED"


async def test_a_program_of_another_user_is_ended_when_its_time_is_over(other: Run) -> None:
    task = task_id()
    spec = command("sh", "-c", "trap '' TERM; echo $$; sleep 1000 & setsid sleep 1001 & wait")
    await other.session.assign(task, spec)
    path = other.agent.driver.logs.path
    pid = int(await eventually(lambda: _read(path(task, 1, "stdout"))))
    await other.session.cancel(task)
    report = await other.session.finished(task)
    assert report.error.type == "CANCELLED"
    await eventually(lambda: not Path(f"/proc/{pid}").exists())


def _read(path: str) -> str:
    return Path(path).read_text().strip() if Path(path).exists() else ""


async def test_workers_are_another_users(other: Run, user: TaskUser) -> None:
    assert await other.call("os:getuid") == str(user.uid)
    assert await other.call("os:getgroups") == str(sorted(user.groups))
    assert await other.call("os:getenv", "HOME") == f'"{user.home}"'
    _, said = await other(python("builtins:print", "said by another"))
    assert said == "said by another\n"
    _, said = await other(python("os:system", "echo by a child; echo again >>/dev/stdout"))
    assert said == "by a child\nagain\n"
    # Messages and answers that are too large for a packet.
    large = "x" * 200_000
    report, _ = await other(python("builtins:str", large))
    assert report.result.json == f'"{large}"'
    assert not [name for name in os.listdir(other.agent.data / "spool") if "call" in name]


async def test_a_worker_of_another_user_leaves_nothing_where_nothing_was_written(
    other: Run,
) -> None:
    for _ in range(3):
        await other.call("os:getpid")
    assert list((other.agent.data / "logs").iterdir()) == []
    report, said = await other(
        python("builtins:exec", "import os; print('last', flush=True); os._exit(3)")
    )
    assert report.error.type == "WORKER_CRASHED"
    assert said == "last\n"
    assert await other.call("os:getenv", "NONE") == "null"


async def test_a_workers_user_cannot_lead_the_agent_elsewhere(other: Run) -> None:
    """It has no file and no directory of logs that it could change: pipes, and no more."""
    script = (
        "import os, sys\n"
        "print(os.readlink('/proc/self/fd/1').partition(':')[0], flush=True)\n"
        f"logs = {str(other.agent.data / 'logs')!r}\n"
        "failed = 0\n"
        "for change in (os.listdir, os.mkdir, os.rmdir):\n"
        "    try:\n"
        "        change(logs if change is os.listdir else logs + '/x')\n"
        "    except PermissionError:\n"
        "        failed += 1\n"
        "print(failed)\n"
    )
    _, said = await other(python("builtins:exec", script))
    assert said == ("pipe\n3\n" if os.geteuid() == 0 else said)
