"""`python -m quorate.local` whose services need no time to load, for `tests.support.local`.

Runs in a fork of `tests.support.fork_server`. Before it has a thread or an event loop, it forks one
spare process for each service of the plan; the supervisor's first starts take those, in place of a
new Python each. They are its own children, with signals, output and exit codes as ever. Whatever is
restarted later is started from scratch.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from io import FileIO
from typing import Any, BinaryIO

from quorate.local import child
from quorate.local.main import main
from tests.support.fork_server import become

# The command lines of services begin so: see `LocalPlan`.
_PYTHON = [sys.executable, "-P", "-m"]
# Bytes: an environment and a command line.
_LONGEST = 1 << 20

_from_scratch = child.start_process
_spares: list[tuple[int, socket.socket]] = []


class Taken:
    """A spare that became a service: as much of `asyncio.subprocess.Process` as `Child` uses."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        self._loop.add_reader(self._descriptor, self._collect)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def _collect(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()


async def _start(argv: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> Any:
    """In place of `child.start_process`."""
    size = len(_PYTHON)
    if list(argv[:size]) != _PYTHON or not _spares:
        return await _from_scratch(argv, log, environment)
    pid, control = _spares.pop()
    reads, writes = os.pipe()
    with control:
        order = json.dumps([argv[size], argv[size + 1 :], dict(environment)]).encode()
        socket.send_fds(control, [order], [writes, log.fileno()])
    os.close(writes)
    stdout = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdout), FileIO(reads)
    )
    return Taken(pid, stdout)


def _spare(control: socket.socket) -> None:
    """In a fork: wait for the order, and become that program."""
    child.die_with_parent()
    os.setsid()
    message, files, _, _ = socket.recv_fds(control, _LONGEST, 2)
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
    # Those of the supervisor and of other spares, too.
    control.detach()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    become(*json.loads(message))


def _run() -> int:
    def number(flag: str) -> int:
        return int(sys.argv[sys.argv.index(flag) + 1])

    services = number("--schedulers") + number("--nodes") + ("--gateway" in sys.argv)
    for _ in range(services):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            ours.close()
            _spare(theirs)
            return 0
        theirs.close()
        _spares.append((pid, ours))
    vars(child)["start_process"] = _start
    return main()


if __name__ == "__main__":
    sys.exit(_run())
