"""Attempts held to their terms on a real agent: user, privileges, environment, secrets, cgroup.

CI is root, as an agent has to be that runs tasks as someone else. Whoever runs this as another user
sees that agent refuse instead (tests/unit/test_task_terms.py) and everything else hold.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import node_agent
import quorate
from node_agent.executors.confinement import Confinement
from node_agent.spawner import group
from node_agent.spawner import orphans as orphans
from node_agent.spawner.cgroups import TaskGroups, Unavailable, open_groups
from node_agent.task.environment import patterns
from node_agent.task.secrets import Secrets
from node_agent.task.user import TaskUser, find_user
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

PLAIN = Confinement(environment={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
OUTPUT = "subprocess:getoutput"


class Run:
    """An agent with a session, and what its attempts wrote."""

    def __init__(self, agent: Agent, leader: Leader, session: Session) -> None:
        self.agent = agent
        self.leader = leader
        self.session = session

    async def __call__(self, spec: task_pb2.TaskSpec) -> tuple[pb.AttemptFinished, str]:
        task = task_id()
        await self.session.assign(task, spec)
        report = await self.session.finished(task)
        said = await self.leader.logs(task)
        return report, (said["stdout"] + said["stderr"]).decode()

    async def sh(self, script: str, **work: Any) -> str:
        """What a script that succeeds says."""
        report, said = await self(command("sh", "-c", script, **work))
        assert report.WhichOneof("outcome") == "result", (report, said)
        return said

    async def call(self, entrypoint: str, *args: object) -> str:
        """The JSON that a function gives back."""
        report, _ = await self(python(entrypoint, *args))
        assert report.WhichOneof("outcome") == "result", report
        return report.result.json


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where other users may go, as they may not in pytest's own folders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        yield folder


@asynccontextmanager
async def running(data: Path, confinement: Confinement, **more: Any) -> AsyncIterator[Run]:
    async with (
        running_agent(data, confinement=confinement, **more) as agent,
        Leader(agent.address) as leader,
    ):
        yield Run(agent, leader, await leader.open())


# -- privileges and environment ----------------------------------------------------------------


@pytest.mark.parametrize(("allowed", "flag"), [(False, "1"), (True, "0")])
async def test_no_task_gains_privileges_unless_it_may(
    tmp_path: Path, allowed: bool, flag: str
) -> None:
    confinement = replace(PLAIN, new_privileges=allowed)
    look = "grep NoNewPrivs /proc/self/status"
    async with running(tmp_path / "node", confinement) as run:
        assert (await run.sh(look)).split() == ["NoNewPrivs:", flag]
        assert await run.call(OUTPUT, look) == f'"NoNewPrivs:\\t{flag}"'


async def test_tasks_see_what_they_are_to_see_of_the_agents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTS_OWN", "hunter2")
    async with running(tmp_path / "node", PLAIN) as run:
        names = {line.partition("=")[0] for line in (await run.sh("env")).splitlines()}
        ours = {name for name in names if name.startswith("QUORATE_")}
        # PWD is the shell's own.
        assert names - ours - {"PWD", "_", "SHLVL", "OLDPWD"} == {"PATH", "LC_ALL"}
        assert "QUORATE_TASK_ID" in ours
        for named in ("AGENTS_OWN", "PATH"):
            found = await run.call("os:getenv", named)
            assert found == ("null" if named == "AGENTS_OWN" else f'"{os.environ["PATH"]}"')
        spawner = (await run.sh('cat /proc/$PPID/environ | tr "\\0" "\\n"')).splitlines()
        if os.geteuid() == 0:
            assert {line.partition("=")[0] for line in spawner} == {"PATH", "LC_ALL"}
        else:
            # The kernel shows that of a protected process to root alone.
            (refused,) = spawner
            assert refused.endswith("Permission denied")


# -- secrets -----------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def secretive(tmp_path: Path) -> AsyncIterator[Run]:
    (tmp_path / "secrets" / "db").mkdir(parents=True)
    (tmp_path / "secrets" / "db" / "pw").write_text("hunter2\n")
    secrets = Secrets(
        tmp_path / "secrets", patterns("API_*"), {"API_KEY": "k3y", "AGENTS_OWN": "no"}
    )
    async with running(tmp_path / "node", PLAIN, secrets=secrets) as run:
        yield run


REFS = {"PW": task_pb2.SecretRef(file="db/pw"), "KEY": task_pb2.SecretRef(env="API_KEY")}


async def test_secrets_are_in_the_environment_of_the_task_and_nowhere_else(secretive: Run) -> None:
    # Also beside an input so large that the message goes through a file.
    for stdin in (b"", b"x" * 100_000):
        said = await secretive.sh('cat >/dev/null; echo "$PW $KEY"', secrets=REFS, stdin=stdin)
        assert said == "hunter2 k3y\n"
    assert await secretive.sh('echo "[$PW$KEY]"') == "[]\n"
    spec = python(OUTPUT, 'echo "$PW $KEY"', secrets=REFS, json='["echo $PW $KEY"]')
    report, _ = await secretive(spec)
    assert report.result.json == '"hunter2 k3y"'
    assert await secretive.call(OUTPUT, 'echo "[$PW$KEY]"') == '"[]"'


async def test_a_secret_hides_a_variable_only_while_the_function_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "pw").write_text("hunter2")
    terms = replace(PLAIN, environment={**PLAIN.environment, "PW": "the agent's"})
    async with running(tmp_path / "node", terms, secrets=Secrets(tmp_path)) as run:
        refs = {"PW": task_pb2.SecretRef(file="pw")}
        spec = python("os:getenv", secrets=refs, json='["PW"]')
        report, _ = await run(spec)
        assert report.result.json == '"hunter2"'
        assert await run.call("os:getenv", "PW") == '"the agent\'s"'
        # Whatever the function does to it meanwhile.
        spec = python("os:unsetenv", secrets=refs, json='["PW"]')
        await run(spec)
        assert await run.call(OUTPUT, "echo $PW") == '"the agent\'s"'


async def test_a_secret_that_is_not_here_fails_the_attempt_by_name(secretive: Run) -> None:
    for refs, name in (
        ({"A": task_pb2.SecretRef(file="db/none")}, "file:db/none"),
        ({"A": task_pb2.SecretRef(file="../node/lock")}, "file:../node/lock"),
        ({"A": task_pb2.SecretRef(env="AGENTS_OWN")}, "env:AGENTS_OWN"),
        ({"A": task_pb2.SecretRef()}, "file:"),
    ):
        for spec in (command("true", secrets=refs), python("os:getpid", secrets=refs, json="[]")):
            report, said = await secretive(spec)
            assert report.error.type == "SECRET_NOT_FOUND"
            assert name in report.error.message
            assert said == ""
    # The lane goes on.
    assert await secretive.sh("echo on") == "on\n"
    assert await secretive.call("os:getenv", "NONE") == "null"


# -- a worker that lies ------------------------------------------------------------------------


async def test_user_code_that_writes_to_the_agents_socket_ends_its_worker_and_no_more(
    tmp_path: Path,
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    async with running(tmp_path / "node", PLAIN) as run:
        script = "import os; os.write(3, {!r})"
        for data in (f"{victim}\0".encode(), b"\x01", b"\x02zzz", b"\x00" * 200):
            report, _ = await run(python("builtins:exec", script.format(data)))
            assert report.error.type == "WORKER_CRASHED", data
        assert victim.read_text() == "keep me"


# -- another user ------------------------------------------------------------------------------


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


# -- cgroups -----------------------------------------------------------------------------------


def unified() -> Path | None:
    """A unified hierarchy in which we may make groups, whatever controllers it has."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[words.index("-") + 1] == "cgroup2" and os.access(words[4], os.W_OK):
            probe = Path(words[4]) / f"quorate-probe-{os.getpid()}"
            try:
                probe.mkdir()
            except OSError:
                continue
            probe.rmdir()
            return Path(words[4])
    return None


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Path]:
    """A real group for attempts where the machine has them, else a directory."""
    root = unified() or tmp_path
    parent = root / f"quorate-test-{os.getpid()}"
    parent.mkdir()
    yield parent
    if parent.exists() and root != tmp_path:
        for left in (*(one for one in parent.iterdir() if one.is_dir()), parent):
            group.remove(str(left))


async def test_what_escaped_its_session_and_its_mark_dies_with_its_cgroup(
    tmp_path: Path, parent: Path
) -> None:
    real = (parent / "cgroup.procs").exists()
    terms = replace(PLAIN, groups=TaskGroups(str(parent), frozenset()))
    async with running(tmp_path / "node", terms) as run:
        # Without a mark in its environment, in a session of its own, and reparented.
        escape = "env -i setsid sh -c 'echo $$ > pid; exec sleep 1000'"
        said = await run.sh(f"mkfifo pid; ({escape} &); cat pid")
        stray = int(said)
        if real:
            await eventually(lambda: not Path(f"/proc/{stray}/exe").exists())
            await eventually(lambda: not [one for one in parent.iterdir() if _ended(one)])
            where = (await run.sh("cat /proc/self/cgroup")).splitlines()[-1]
            assert parent.name in where
            assert parent.name in await run.call(OUTPUT, "tail -n 1 /proc/self/cgroup")
        else:
            # Nothing here can find it, which is what cgroups are for.
            orphans.kill_one(stray)
        # Kills reach it as well.
        task = task_id()
        spec = command("sh", "-c", "trap '' TERM; env -i setsid sleep 1002 & echo $!; wait")
        await run.session.assign(task, spec)
        path = run.agent.driver.logs.path
        pid = int(await eventually(lambda: _read(path(task, 1, "stdout"))))
        await run.session.cancel(task)
        assert (await run.session.finished(task)).error.type == "CANCELLED"
        if real:
            await eventually(lambda: not Path(f"/proc/{pid}/exe").exists())
        else:
            orphans.kill_one(pid)
    if real:
        assert not parent.exists(), "the agent removes what it made"


def _ended(directory: Path) -> bool:
    """Whether a group has nobody in it."""
    events = directory / "cgroup.events"
    return directory.is_dir() and events.exists() and "populated 0" in events.read_text()


async def test_an_attempt_has_the_limits_it_asked_for_and_says_when_memory_ran_out(
    tmp_path: Path,
) -> None:
    """The kernel is played by the programs, which write what it would into plain files."""
    parent = tmp_path / "groups"
    parent.mkdir()
    controllers = frozenset({"memory", "cpu", "pids"})
    terms = replace(PLAIN, groups=TaskGroups(str(parent), controllers, swap=True, pids=99))
    async with running(tmp_path / "node", terms, slots=1) as run:
        spec = command("sh", "-c", f"cd {parent}/$(ls -t {parent} | head -n 1); grep . *")
        spec.resources.memory = 64 << 20
        spec.resources.cpu = 2.5
        report, said = await run(spec)
        assert report.WhichOneof("outcome") == "result"
        found = dict(line.split(":") for line in said.split())
        assert found == {
            "cgroup.procs": "0",
            "memory.max": str(64 << 20),
            "memory.swap.max": "0",
            "memory.oom.group": "1",
            "cpu.weight": "250",
            "pids.max": "99",
        }
        spec.command.argv[2] = (
            f"echo 'oom_kill 1' > {parent}/$(ls -t {parent} | head -n 1)/memory.events; kill -9 $$"
        )
        report, _ = await run(spec)
        assert report.error.type == "OUT_OF_MEMORY"
        assert "67108864 bytes" in report.error.message
        # A warm worker is held to what it runs, above what it has when it is idle.
        worker = min(parent.iterdir(), key=lambda one: int(one.name))
        (worker / "memory.current").write_text("1000\n")
        for asked, limit in ((5000, "6000"), (7000, "8000"), (0, "max")):
            call = python("os:getpid")
            call.resources.memory = asked
            await run(call)
            assert (worker / "memory.max").read_text() == limit
        script = f"echo 'oom_kill 1' > {worker}/memory.events; kill -9 $PPID"
        call = python("os:system", script)
        call.resources.memory = 5 << 20
        report, _ = await run(call)
        assert report.error.type == "OUT_OF_MEMORY"
        assert "5.0MiB (5242880 bytes)" in report.error.message
        assert await run.call("os:getenv", "NONE") == "null"


async def test_a_spawner_that_dies_takes_its_cgroups_along(tmp_path: Path) -> None:
    parent = tmp_path / "groups"
    parent.mkdir()
    terms = replace(PLAIN, groups=TaskGroups(str(parent), frozenset()))
    async with running(tmp_path / "node", terms) as run:
        task = task_id()
        await run.session.assign(task, command("sh", "-c", "echo $PPID; sleep 1000"))
        path = run.agent.driver.logs.path
        spawner = int(await eventually(lambda: _read(path(task, 1, "stdout"))))
        os.kill(spawner, signal.SIGKILL)
        assert (await run.session.finished(task)).handed_back
        assert (parent / "cgroup.kill").read_text() == "1"


def test_this_machine_has_cgroups_for_tasks_or_says_why_not() -> None:
    """What `--task-cgroups auto` comes to here; nothing is moved for the sake of a test."""
    found: str | TaskGroups = "not asked: the test's own cgroup would be rearranged"
    if unified() is not None and "0::/\n" in Path("/proc/self/cgroup").read_text():
        try:
            found = open_groups("test", 64)
        except Unavailable as why:
            found = str(why)
    if isinstance(found, TaskGroups):
        assert "memory" in found.controllers
        found.close()
        assert not Path(found.parent).exists()
    else:
        assert found
