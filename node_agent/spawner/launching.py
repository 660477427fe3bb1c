"""Starts one process, the fast way or the confined way.

`posix_spawn` borrows the spawner's memory and takes a tenth of a millisecond, but can neither
change the user nor enter a cgroup. Where an attempt needs that, the process is forked, and does
both before it becomes the program; what goes wrong on the way comes back through a pipe. Used by
the spawner: standard library only.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from node_agent.spawner.cgroups import group

# What a worker gets beside 0, 1 and 2: its socket to the agent, its socket to the spawner, the
# memory in which the spawner counts what it read (see `worker.output`), and the memory in which it
# marks how far it is (see `protocol.pieces`).
WORKER_FD, OUTPUTS_FD, COUNTS_FD, MARKS_FD = 3, 4, 5, 6
# Above all of these.
FIRST_FREE_FD = 100
# Python ignores some signals and we ignore others; children start with the defaults.
_DEFAULT_SIGNALS = [
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGCHLD,
]

Ids = tuple[int, int, list[int]]


class Start(NamedTuple):
    """What a process starts with, beside its program."""

    argv: list[str]
    env: dict[str, str]
    # Where it works; "" for where the spawner is now.
    cwd: str
    stdin: int
    stdout: int
    stderr: int
    # A worker's descriptors from WORKER_FD on.
    more: Sequence[int] = ()


def spawn(program: str, start: Start) -> int:
    """Start a process with the spawner's own user and cgroup; its pid. Raises OSError."""
    if start.cwd:
        enter(start.cwd)
    # The outputs first: they may have the numbers of those behind them, which do not (`keep`).
    actions = [(os.POSIX_SPAWN_DUP2, start.stdin, 0)]
    actions.append((os.POSIX_SPAWN_DUP2, start.stdout, 1))
    actions.append((os.POSIX_SPAWN_DUP2, start.stderr, 2))
    for number, descriptor in enumerate(start.more, WORKER_FD):
        actions.append((os.POSIX_SPAWN_DUP2, descriptor, number))
    return os.posix_spawn(
        program,
        start.argv,
        start.env,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )


def fork(program: str, start: Start, ids: Ids | None, cgroup: str) -> int:
    """Start a process as another user, or in a cgroup; its pid. Raises OSError."""
    if any("\0" in word for word in start.argv):
        raise ValueError("embedded null byte")  # as posix_spawn says it
    read_end, write_end = os.pipe()
    try:
        # It must survive the descriptors that the child gets.
        report = fcntl.fcntl(write_end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
        os.close(write_end)
        pid = os.fork()
        if pid == 0:
            _become(program, start, ids, cgroup, report)
        os.close(report)
        # The end of it comes with the program, for which the other end is closed.
        trouble = os.read(read_end, 4096)
    finally:
        os.close(read_end)
    if trouble:
        os.waitpid(pid, 0)
        number, _, message = trouble.decode(errors="replace").partition(" ")
        raise OSError(int(number), message) if number != "0" else OSError(message)
    return pid


def enter(directory: str) -> None:
    """Work there. Raises OSError naming it."""
    try:
        os.chdir(directory)
    except OSError as error:
        # Without its number: it is not the program that was not found.
        raise OSError(f"working directory {directory!r}: {error.strerror}") from error


def input_of(data: bytes) -> int:
    """A file that a program reads `data` from; the caller closes it."""
    file = os.memfd_create("stdin")
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def keep(descriptor: int) -> int:
    """Move a descriptor to where no child gets it, unless it is meant to."""
    kept = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
    os.close(descriptor)
    return kept


def _become(program: str, start: Start, ids: Ids | None, cgroup: str, report: int) -> NoReturn:
    """In the forked process. The order matters: with the user goes the right to do the rest."""
    try:
        os.setsid()
        if cgroup:
            try:
                group.join(cgroup)
            except OSError as error:
                raise OSError(f"cgroup {cgroup}: {error.strerror}") from error
        os.dup2(start.stdin, 0)
        os.dup2(start.stdout, 1)
        os.dup2(start.stderr, 2)
        for number, descriptor in enumerate(start.more, WORKER_FD):
            os.dup2(descriptor, number)
        if ids is not None:
            uid, gid, groups = ids
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        if start.cwd:
            enter(start.cwd)  # as the user: it may not be allowed to
        for one in _DEFAULT_SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        os.execve(program, start.argv, start.env)
    except OSError as error:
        os.write(report, f"{error.errno or 0} {error.strerror or error}".encode()[:4096])
    except BaseException as error:  # noqa: BLE001 (the parent raises it: nothing may go on here)
        os.write(report, f"0 {error!r}".encode()[:4096])
    os._exit(127)
