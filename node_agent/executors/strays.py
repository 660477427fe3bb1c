"""Finds and ends processes that left the group they were started in.

What an attempt starts carries the attempt's mark in its environment, and comes back to the spawner
when its parent has died. Used by the spawner: standard library only.
"""

from __future__ import annotations

import os
import signal


def kill_group(pid: int, number: int) -> None:
    """Signal a process group."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or changed its user: nothing we may do


def kill_one(pid: int) -> None:
    """SIGKILL a process."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def children() -> list[int]:
    """The processes whose parent we are, perhaps with zombies."""
    mine = os.getpid()
    try:
        # Where the kernel has it (PROC_CHILDREN), this does not depend on how many others there
        # are. A child may be missing while its siblings exit: the next sweep finds it.
        with open(f"/proc/self/task/{mine}/children", "rb", buffering=0) as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        pass
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if int(fields[1]) == mine and fields[0] != b"Z":
            found.append(int(entry))
    return found


def mark_of(pid: int, prefix: bytes) -> int | None:
    """The key in a process's environment, if it carries our mark."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for variable in file.read().split(b"\0"):
                if variable.startswith(prefix):
                    return int(variable[len(prefix) :])
    except (OSError, ValueError):
        return None
    return None
