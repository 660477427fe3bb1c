"""One attempt's cgroup: made by the spawner, limited, emptied and removed with the attempt.

A directory of the unified hierarchy (cgroup v2, Documentation/admin-guide/cgroup-v2.rst of Linux).
Membership cannot be shed by a process of its own as a session or a process group can, so
`cgroup.kill` reaches whatever an attempt started. Used by the spawner: standard library only.
Where the directories may be made, and which limits there are, is decided in `cgroups`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

Limits = Iterable[tuple[str, str]]


def create(path: str, limits: Limits) -> None:
    """Make a group and set its limits (file and content). Raises OSError, and leaves no group."""
    os.mkdir(path)
    try:
        for name, text in limits:
            write(os.path.join(path, name), text)
    except OSError:
        remove(path)
        raise


def join(path: str) -> None:
    """Put the calling process, and what it starts, into a group."""
    write(os.path.join(path, "cgroup.procs"), "0")


def out_of_memory(path: str) -> bool:
    """Whether the kernel killed something of the group for want of memory."""
    try:
        with open(os.path.join(path, "memory.events"), "rb") as file:
            return any(
                line.startswith(b"oom_kill ") and int(line[9:]) > 0 for line in file.readlines()
            )
    except (OSError, ValueError):
        return False  # no memory controller here


def kill(path: str) -> None:
    """SIGKILL everything in the group and below it (Linux 5.14); in vain where it is older."""
    try:
        write(os.path.join(path, "cgroup.kill"), "1")
    except OSError:
        pass  # process groups and marks are what is left to end it by


def remove(path: str) -> bool:
    """Whether the group is gone; not while something in it still dies."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def write(path: str, text: str) -> None:
    """Set a control file. Raises OSError."""
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())
