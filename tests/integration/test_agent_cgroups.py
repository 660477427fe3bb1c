"""Attempts in cgroups of their own, on a real agent: what escapes, limits, what is cleaned up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node_agent.spawner.cgroups import group
from node_agent.spawner.cgroups.places import TaskGroups, Unavailable, open_groups
from node_agent.spawner.leftovers import orphans
from tests.support.agent import command, eventually, python, task_id
from tests.support.confined import OUTPUT, PLAIN, running


def _read(path: str) -> str:
    return Path(path).read_text().strip() if Path(path).exists() else ""


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
    try:
        return "populated 0" in (directory / "cgroup.events").read_text()
    except OSError:
        # It is being removed: reading says "no such file", or "no such device".
        return False


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
