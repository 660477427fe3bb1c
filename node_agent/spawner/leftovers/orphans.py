"""Finds and ends processes that left the group they were started in.

What an attempt starts carries the attempt's mark, and comes back to the spawner when its parent has
died. The mark is in two places. In the environment it says whose it is also after a restart; a
program may clear that (`env -i`). So it is in a resource limit as well, which every process
inherits and no exec resets: the soft RLIMIT_RTTIME, which counts for nothing but real-time
scheduling, and is a number of microseconds that no one reaches. Used by the spawner: standard
library only.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MARK = "QUORATE_SPAWN"
# The limit: this (146,000 years), 29 bits of the mark's hash, 32 bits of the key.
_TOP = 1 << 62
_KEYS = 1 << 32


class Marks:
    """What one agent's processes carry.

    Args:
        mark: the agent's.
    """

    def __init__(self, mark: str) -> None:
        self._prefix = f"{MARK}={mark}.".encode()
        digest = hashlib.blake2b(mark.encode(), digest_size=4).digest()
        self._base = _TOP + (int.from_bytes(digest) >> 3) * _KEYS
        self._ours = resource.getrlimit(resource.RLIMIT_RTTIME)
        # The limits that attempts start with; we ourselves need more descriptors, two for each.
        self._files = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._many = (hard, hard) if soft != hard else None
        _, most = self._ours
        self._marks = most == resource.RLIM_INFINITY

    def open_many(self) -> None:
        """Let the calling process have as many descriptors as it may."""
        if self._many is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._many)

    @contextmanager
    def inherited(self, key: int) -> Iterator[None]:
        """What is started meanwhile carries the mark of a key, and has its usual limits."""
        if self._marks:
            most = self._ours[1]
            resource.setrlimit(resource.RLIMIT_RTTIME, (self._base + key % _KEYS, most))
        if self._many is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._files)
        try:
            yield
        finally:
            if self._many is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, self._many)
            if self._marks:
                resource.setrlimit(resource.RLIMIT_RTTIME, self._ours)

    def key_of(self, pid: int) -> int | None:
        """The key that a process carries, if an agent started it."""
        key = mark_of(pid, self._prefix)
        if key is not None:
            return key
        with suppress(OSError, ValueError):
            soft, _ = resource.prlimit(pid, resource.RLIMIT_RTTIME)
            if self._base <= soft < self._base + _KEYS:
                return soft - self._base
        return None


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
