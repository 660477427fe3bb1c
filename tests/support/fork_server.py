"""A process that has imported the project's programs, and forks itself to run one of them.

    python -m tests.support.fork_server FD     FD: a socket of `tests.support.forked`

Each request is one message: what to run in JSON, with four files (standard input, output, error,
and where to write the exit code). It is answered with the pid. A fork does what Python does for
`python -m PROGRAM` or for an installed command, except that nearly all imports are done. This
process ends with the socket, and its forks with it.

It never has a second thread, a channel or an event loop: a fork of such a process is not sound.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gateway
import node_agent
import quorate.cli
import quorate.client
import quorate.local
import scheduler
from quorate.local.child import die_with_parent

# All modules right below these are imported once.
_PACKAGES = (scheduler, node_agent, gateway, quorate.cli, quorate.client, quorate.local)
_FILES = 4
# Bytes: an environment and a command line.
_LONGEST = 1 << 20


def main() -> int:
    """Serve requests until the socket ends; in a fork, the program's exit code."""
    # Not `die_with_parent` here: the kernel's parent is the thread that started this process, and
    # that may be one which a test began and ended.
    for module in _modules():
        importlib.import_module(module)
    assert len(os.listdir("/proc/self/task")) == 1, "an import has started a thread"
    # The forks share what is imported: the collector does not write to it.
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        request = _serve(control)
    if request is None:
        return 0
    die_with_parent()
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    become(request["program"], request["arguments"], request["environment"])
    return 0


def become(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a module, or a script by its path, in this process as if it had been started so."""
    os.environ.clear()
    os.environ.update(environment)
    search = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in search if path and path not in sys.path]
    sys.argv = [program, *arguments]
    if os.sep in program:
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _serve(control: socket.socket) -> Any:
    """The request in the fork that is to do it; None when no more will come."""
    running: dict[int, int] = {}
    ended, end = os.pipe()
    for each in (ended, end):
        os.set_blocking(each, False)
    former = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(end)
    while True:
        ready, _, _ = select.select([control.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _collect(running)
        if control.fileno() not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, _LONGEST, _FILES)
        if not message:
            return None
        pid = os.fork()
        if pid:
            *given, running[pid] = files
            control.send(str(pid).encode())
            for each in given:
                os.close(each)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, former)
        for number, each in enumerate(files[:3]):
            os.dup2(each, number)
        for each in (*files, *running.values(), ended, end):
            os.close(each)
        return json.loads(message)


def _collect(running: dict[int, int]) -> None:
    """Tell the exit codes of the forks that have ended."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            teller = running.pop(pid)
            os.write(teller, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(teller)


def _modules() -> Iterator[str]:
    for package in _PACKAGES:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield module.name


if __name__ == "__main__":
    sys.exit(main())
