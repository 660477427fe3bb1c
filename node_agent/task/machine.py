"""What this process may use of the machine: cores and bytes, as its cgroups and affinity allow.

A container sees the host's processors and memory, and is held to less by its cgroup: an agent that
offered what it sees would be given more than it can run, and be killed for it. Looked at once, at
the start. Read are

* the processors that the process may run on (cpusets of either version, and `taskset`),
* cgroup v2: `cpu.max` and `memory.max`,
* cgroup v1: `cpu.cfs_quota_us` over `cpu.cfs_period_us`, and `memory.limit_in_bytes`,

each in the process's own group and in all above it that can be seen; the least counts. What cannot
be read is no limit: then the machine's own figures hold, as on a host without cgroups.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psutil

_SIZE = re.compile(
    r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?([kmgtp]?)(?:b|ib?)?", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True, slots=True)
class Share:
    """Cores (2.5 for two and a half) and bytes."""

    cpu: float
    memory: int


def size_in_bytes(value: object) -> object:
    """`4G`, `4GiB`, `4294967296` as resource requests have them: binary multiples, always.

    Raises:
        ValueError: it is text, and no size.
    """
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError(f"{value[:32]!r} is not a size such as 512M or 4GiB")
    number, unit = found.groups()
    return int(Decimal(number) * 1024 ** " kmgtp".index(unit.lower() or " "))


def share(root: Path = Path("/")) -> Share:
    """What is this process's of the machine; `root` is where `/proc` and the cgroups are found."""
    cores = [float(len(os.sched_getaffinity(0)))]
    cores += [quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    memory = [psutil.virtual_memory().total]
    memory += [limit for group in _groups(root, "memory") if (limit := _limit(group)) is not None]
    return Share(min(cores), min(memory))


def _quota(group: Path) -> float | None:
    """Cores that a group's processes may use together; None for all."""
    words = _read(group / "cpu.max").split()
    if not words:
        words = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
    match words:
        case [quota, period] if quota.isdigit() and period.isdigit() and int(quota) * int(period):
            return int(quota) / int(period)
    return None


def _limit(group: Path) -> int | None:
    """Bytes that a group's processes may have together; None for all."""
    text = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
    return int(text) if text.isdigit() and int(text) else None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The directories of the process's group and of those above it, in either hierarchy."""
    own = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        # hierarchy:controllers:path; no controllers in version 2 (cgroups(7)).
        _, names, path = [*line.split(":", 2), "", ""][:3]
        own.update(dict.fromkeys(names.split(","), path))
    for line in _read(root / "proc/self/mountinfo").splitlines():
        words = line.split()
        if "-" not in words:
            continue
        # Optional fields end with "-"; then come the type, the source and its options
        # (proc_pid_mountinfo(5)).
        kind, _, options = [*words[words.index("-") + 1 :], "", "", ""][:3]
        if kind == "cgroup2" and "" in own:
            path = own[""]
        elif kind == "cgroup" and controller in options.split(",") and controller in own:
            path = own[controller]
        else:
            continue
        yield from _upwards(root, words[3], words[4], path)


def _upwards(root: Path, mounted: str, at: str, path: str) -> Iterator[Path]:
    """From a group up to what is mounted; `mounted` at `at`, as `mountinfo` says."""
    beneath = os.path.relpath(path, mounted)
    top = root / at.lstrip("/")
    # Outside of what is mounted (a container that shares the host's view): the mount is its own.
    group = top if beneath.startswith("..") else top / beneath
    while group != top:
        yield group
        group = group.parent
    yield top


def _read(file: Path) -> str:
    """A file's text; empty when there is none to be had."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
