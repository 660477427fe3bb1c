"""Cgroups of attempts: where the agent may make some, what they are limited to, how they end.

The kernel's side is a directory of plain files here; tests/integration/test_agent_confined.py has
the real one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node_agent.executors.link import Exit
from node_agent.executors.outcomes import outcome_of_crash, outcome_of_exit
from node_agent.spawner.cgroups import group
from node_agent.spawner.cgroups.places import LEAF, TaskGroups, Unavailable, open_groups

ALL = frozenset({"memory", "cpu", "pids"})


class Machine:
    """A unified hierarchy in which the agent is in one cgroup."""

    def __init__(self, folder: Path, own: str = "/service", controllers: str = "cpu memory pids"):
        self.root = folder / "cgroup"
        self.own = self.root / own.strip("/")
        self.own.mkdir(parents=True)
        (self.own / "cgroup.controllers").write_text(controllers + "\n")
        self.mounts = folder / "mountinfo"
        self.mounts.write_text(
            f"30 24 0:26 / {self.root} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
            "31 24 0:27 / /dev rw - devtmpfs udev rw\n"
        )
        self.cgroup = folder / "self"
        self.cgroup.write_text(f"4:memory:/other\n0::{own}\n")
        if own != "/":
            (self.own / "cgroup.type").write_text("domain\n")
        self.hold(os.getpid())

    def hold(self, *pids: int) -> None:
        (self.own / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))

    def open(self, pids: int = 64) -> TaskGroups:
        return open_groups("mark", pids, cgroup_file=self.cgroup, mount_file=self.mounts)

    def rejection(self) -> str:
        with pytest.raises(Unavailable) as caught:
            self.open()
        return str(caught.value)


def test_a_cgroup_that_was_handed_over_is_taken_over(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.hold(1, os.getpid())
    groups = machine.open()
    assert Path(groups.parent).parent == machine.own
    assert groups.controllers == ALL
    # Both processes went to the leaf; the kernel was told one at a time, the file keeps the last.
    assert (machine.own / LEAF / "cgroup.procs").read_text() == str(os.getpid())
    for directory in (machine.own, Path(groups.parent)):
        assert (directory / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_the_hierarchys_root_needs_no_leaf(tmp_path: Path) -> None:
    machine = Machine(tmp_path, own="/")
    machine.hold(1, 2, 3)
    assert Path(machine.open().parent).parent == machine.root
    assert not (machine.root / LEAF).exists()


def test_an_agent_that_is_started_again_by_its_supervisor_uses_the_same_cgroup(
    tmp_path: Path,
) -> None:
    machine = Machine(tmp_path, own=f"/service/{LEAF}")
    machine.hold(17, 18, os.getpid())
    assert Path(machine.open().parent).parent == machine.own.parent


def test_only_the_controllers_that_are_there_are_enabled(tmp_path: Path) -> None:
    groups = Machine(tmp_path, controllers="cpuset memory").open()
    assert groups.controllers == {"memory"}
    assert groups.limits(1 << 20, 2.0) == [("memory.max", "1048576"), ("memory.oom.group", "1")]


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    for index, spoil in enumerate(
        (
            (lambda m: m.hold(os.getpid(), 4242), "shared with 1 other processes"),
            (
                lambda m: (m.own / "cgroup.controllers").write_text("hugetlb\n"),
                "no memory controller",
            ),
            (lambda m: (m.own / "cgroup.controllers").unlink(), "No such file"),
            (lambda m: m.cgroup.write_text("4:memory:/x\n"), "no cgroup v2 is mounted"),
            (lambda m: m.mounts.write_text(""), "no cgroup v2 is mounted"),
            (lambda m: m.cgroup.write_text("0::/../outside\n"), "outside"),
            (lambda m: m.cgroup.unlink(), "No such file"),
            (lambda m: (m.own / "cgroup.subtree_control").mkdir(), "Is a directory"),
        )
    ):
        change, said = spoil
        folder = tmp_path / str(index)
        folder.mkdir()
        machine = Machine(folder)
        change(machine)
        assert said in machine.rejection()


def test_what_an_earlier_agent_left_is_ended_and_removed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    left, other = machine.own / "quorate-mark.77", machine.own / "quorate-another.77"
    for directory in (left, other):
        (directory / "5").mkdir(parents=True)
    machine.open()
    # A directory of files cannot be removed as a cgroup can, but it was told to die first.
    assert (left / "cgroup.kill").read_text() == "1"
    assert not (left / "5").exists()
    assert (other / "5").exists()


@pytest.mark.parametrize(
    ("memory", "cpu", "expected"),
    [
        (0, 0.0, {"memory.oom.group": "1", "pids.max": "64"}),
        (
            5 << 20,
            1.0,
            {
                "memory.max": "5242880",
                "memory.swap.max": "0",
                "memory.oom.group": "1",
                "cpu.weight": "100",
                "pids.max": "64",
            },
        ),
        (0, 0.001, {"memory.oom.group": "1", "cpu.weight": "1", "pids.max": "64"}),
        (0, 1024.0, {"memory.oom.group": "1", "cpu.weight": "10000", "pids.max": "64"}),
    ],
)
def test_requests_become_limits(memory: int, cpu: float, expected: dict[str, str]) -> None:
    groups = TaskGroups("/x", ALL, swap=True, pids=64)
    assert dict(groups.limits(memory, cpu)) == expected


def test_nothing_is_limited_that_was_not_asked_for() -> None:
    assert TaskGroups("/x", frozenset(), pids=64).limits(1 << 30, 4.0) == []
    assert TaskGroups("/x", frozenset({"pids"}), pids=0).limits() == []


def test_a_workers_limit_follows_what_it_runs(tmp_path: Path) -> None:
    groups = TaskGroups(str(tmp_path), ALL)
    group.create(groups.path(3), groups.limits())
    (tmp_path / "3" / "memory.current").write_text("4096\n")
    assert groups.held_memory(3) == 4096
    groups.limit_memory(3, 1 << 20)
    assert (tmp_path / "3" / "memory.max").read_text() == "1048576"
    groups.limit_memory(3, 0)
    assert (tmp_path / "3" / "memory.max").read_text() == "max"
    with pytest.raises(OSError, match="No such file"):
        groups.limit_memory(4, 1)


def test_a_group_is_made_with_its_limits_or_not_at_all(tmp_path: Path) -> None:
    path = str(tmp_path / "1")
    group.create(path, [("pids.max", "7")])
    group.join(path)
    assert (tmp_path / "1" / "pids.max").read_text() == "7"
    assert (tmp_path / "1" / "cgroup.procs").read_text() == "0"
    with pytest.raises(FileNotFoundError):
        group.create(str(tmp_path / "2"), [("no/such", "7")])
    assert not (tmp_path / "2").exists()
    assert not group.remove(path), "there are files in it"
    assert group.remove(str(tmp_path / "2")), "it is gone already"


@pytest.mark.parametrize(
    ("events", "starved"),
    [
        ("low 0\noom 3\noom_kill 0\noom_group_kill 0\n", False),
        ("low 0\noom 3\noom_kill 2\noom_group_kill 1\n", True),
        ("nonsense", False),
        (None, False),
    ],
)
def test_a_kill_for_want_of_memory_is_read(
    tmp_path: Path, events: str | None, starved: bool
) -> None:
    if events is not None:
        (tmp_path / "memory.events").write_text(events)
    assert group.out_of_memory(str(tmp_path)) is starved


def test_running_out_of_memory_is_an_error_of_its_own() -> None:
    killed = Exit(status=9, started=1.0, seconds=2.0, starved=True)
    for outcome in (outcome_of_exit(killed, 64 << 20), outcome_of_crash(killed, 1.0, 64 << 20)):
        failure = outcome.value
        assert getattr(failure, "type", "") == "OUT_OF_MEMORY"
        assert "64.0MiB (67108864 bytes) that it asked for" in getattr(failure, "message", "")
    machine = outcome_of_exit(killed).value
    assert "the node's memory ran out" in getattr(machine, "message", "")
    # One of its children was killed, and it coped.
    assert outcome_of_exit(Exit(status=0, starved=True)).value is not None
    assert getattr(outcome_of_exit(Exit(status=0, starved=True)).value, "kind", "") == "exit_code"
