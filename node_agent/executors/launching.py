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
from typing import NamedTuple, NoReturn

from node_agent.executors import group

WORKER_FD = 3
# Above what a child gets: 0, 1, 2 and WORKER_FD.
FIRST_FREE_FD = 100
# Outputs are in a directory of ours alone, where there are no links; if there are, not for us.
_OUTPUT_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
_OUTPUT_MODE = 0o600
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
    stdout: str
    stderr: str
    # Its socket, put at WORKER_FD; -1 for none.
    lane: int = -1


def spawn(program: str, start: Start) -> int:
    """Start a process with the spawner's own user and cgroup; its pid. Raises OSError."""
    if start.cwd:
        enter(start.cwd)
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, start.stdin, 0),
        (os.POSIX_SPAWN_OPEN, 1, start.stdout, _OUTPUT_FLAGS, _OUTPUT_MODE),
        (os.POSIX_SPAWN_OPEN, 2, start.stderr, _OUTPUT_FLAGS, _OUTPUT_MODE),
    ]
    if start.lane >= 0:
        actions.append((os.POSIX_SPAWN_DUP2, start.lane, WORKER_FD))
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


def _output(path: str) -> int:
    """Open an output file, in the forked process. Raises OSError."""
    try:
        file = os.open(path, _OUTPUT_FLAGS | os.O_NONBLOCK, _OUTPUT_MODE)
    except BlockingIOError:
        # What is left of an attempt before holds a lease on it (fcntl(2)), for which the spawner
        # would have to wait: it may keep that file.
        os.unlink(path)
        return os.open(path, _OUTPUT_FLAGS | os.O_EXCL, _OUTPUT_MODE)
    os.set_blocking(file, True)
    return file


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
        for number, path in ((1, start.stdout), (2, start.stderr)):
            file = _output(path)
            if ids is not None:
                # So that it can open /dev/stdout, which is this file.
                os.fchown(file, ids[0], ids[1])
            os.dup2(file, number)
        if start.lane >= 0:
            os.dup2(start.lane, WORKER_FD)
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
