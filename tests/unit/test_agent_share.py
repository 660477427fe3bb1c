"""An agent offers what its cgroup and its affinity leave it, and what it is told to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from node_agent.config import AgentSettings
from node_agent.task.machine import Share, share, size_in_bytes

V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
38 31 0:35 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd"""
CORES = float(len(os.sched_getaffinity(0)))
ALL = Share(CORES, psutil.virtual_memory().total)
GIB = 1 << 30


def agent(**settings: Any) -> AgentSettings:
    return AgentSettings(**settings)


def tree(folder: Path, mounts: str, own: str, files: Mapping[str, str]) -> Path:
    """A machine's `/proc` and cgroups as files."""
    process = folder / "proc/self"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(own)
    (process / "mountinfo").write_text(
        f"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n{mounts}\nbroken line\n"
    )
    for name, text in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, ALL),
        ({"cpu.max": "max 100000", "memory.max": "max"}, ALL),
        ({"cpu.max": "50000 100000", "memory.max": str(GIB)}, Share(0.5, GIB)),
        ({"cpu.max": "25000 50000"}, Share(0.5, ALL.memory)),
        # More than the machine has.
        ({"cpu.max": "99900000 100000", "memory.max": str(1 << 60)}, ALL),
        # Nothing that the kernel writes: no limit, and no failure.
        ({"cpu.max": "", "memory.max": "-3"}, ALL),
        ({"cpu.max": "0 0", "memory.max": "0"}, ALL),
        ({"cpu.max": "many", "memory.max": "some more"}, ALL),
    ],
)
def test_a_container_with_cgroup_v2(tmp_path: Path, files: dict[str, str], found: Share) -> None:
    """Its own group is the root of what it sees."""
    assert share(tree(tmp_path, V2.format(root="/"), "0::/\n", files)) == found


def test_the_least_of_all_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "kube/cpu.max": "10000 100000",
        "kube/memory.max": str(3 * GIB),
        "kube/pod/cpu.max": "max 100000",
        "kube/pod/memory.max": str(2 * GIB),
        "kube/pod/agent/memory.max": "max",
        "kube/other/memory.max": "5",
    }
    own = "0::/kube/pod/agent\n"
    assert share(tree(tmp_path, V2.format(root="/"), own, files)) == Share(0.1, 2 * GIB)


def test_a_group_is_found_below_the_part_that_is_mounted(tmp_path: Path) -> None:
    files = {"agent/memory.max": str(GIB)}
    own = "0::/kube/pod/agent\n"
    assert share(tree(tmp_path, V2.format(root="/kube/pod"), own, files)).memory == GIB


def test_a_path_outside_of_what_is_mounted_means_the_mount_itself(tmp_path: Path) -> None:
    files = {"memory.max": str(GIB), "elsewhere/memory.max": "7"}
    own = "0::/../elsewhere\n"
    assert share(tree(tmp_path, V2.format(root="/kube"), own, files)).memory == GIB


@pytest.mark.parametrize(
    ("quota", "limit", "found"),
    [
        ("-1", str((1 << 63) - 4096), ALL),
        ("50000", str(GIB), Share(0.5, GIB)),
        ("100", str(GIB), Share(0.001, GIB)),
    ],
)
def test_a_container_with_cgroup_v1(tmp_path: Path, quota: str, limit: str, found: Share) -> None:
    own = "9:name=systemd:/\n4:memory:/docker/c1\n3:cpuset:/\n1:cpu,cpuacct:/docker/c1\n0::/\n"
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": quota,
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": limit,
        "systemd/memory.limit_in_bytes": "5",
    }
    assert share(tree(tmp_path, V1.format(root="/docker/c1"), own, files)) == found


def test_both_versions_together_are_both_looked_at(tmp_path: Path) -> None:
    mounts = f"{V1.format(root='/')}\n39 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    own = "4:memory:/a\n1:cpu,cpuacct:/a\n0::/a\n"
    files = {"memory/a/memory.limit_in_bytes": str(GIB), "unified/a/cpu.max": "20000 100000"}
    assert share(tree(tmp_path, mounts, own, files)) == Share(0.2, GIB)


def test_without_proc_the_machine_is_all_there_is(tmp_path: Path) -> None:
    assert share(tmp_path) == ALL


def test_processors_that_it_may_not_run_on_are_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cpuset of either version, and `taskset`: the kernel answers for all of them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5, 7})
    assert share(tmp_path).cpu == 3.0
    assert agent().slot_count == 3


def test_by_default_an_agent_offers_what_it_may_use() -> None:
    found, settings = share(), agent()
    assert (settings.capacity.cpu, settings.capacity.memory) == (found.cpu, found.memory)


def test_what_is_told_counts_and_slots_follow() -> None:
    settings = agent(cpu=2.5, memory="512M")
    assert (settings.capacity.cpu, settings.capacity.memory) == (2.5, 512 << 20)
    assert settings.slot_count == 3
    assert agent(cpu=0.25).slot_count == 1
    assert agent(cpu=0.25, slots=7).slot_count == 7


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("512M", 512 << 20),
        ("512mb", 512 << 20),
        ("4Gi", 4 << 30),
        ("4 GiB", 4 << 30),
        ("1.5G", 3 << 29),
        ("1T", 1 << 40),
        ("999999999999999999", 999_999_999_999_999_999),
    ],
)
def test_memory_has_the_units_of_requests(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({"cpu": 0}, "0.001"),
        ({"cpu": 1024.5}, "1024"),
        ({"cpu": "nan"}, "1024"),
        ({"cpu": "500m"}, "number"),
        ({"memory": "1023K"}, "1048576"),
        ({"memory": "2P"}, str(1 << 50)),
        ({"memory": "-1G"}, "512M or 4GiB"),
        ({"memory": "much"}, "512M or 4GiB"),
        ({"memory": "٤G"}, "512M or 4GiB"),
        ({"memory": "4e9"}, "512M or 4GiB"),
    ],
)
def test_what_cannot_be_offered_is_refused_with_its_limit(
    given: dict[str, Any], limit: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        agent(**given)
    (error,) = caught.value.errors()
    assert error["loc"] == tuple(given)
    assert limit in error["msg"]
