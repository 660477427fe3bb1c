"""`python -m node_agent.worker <logs> <max tasks> <max bytes> <max result>`.

Its socket is at WORKER_FD.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sys
import time

from node_agent.executors.launching import WORKER_FD
from node_agent.executors.packets import MAX_PACKET, read
from node_agent.executors.replies import packets_of
from node_agent.worker.calls import call
from node_agent.worker.output import Output
from quorate.telemetry.tracing import TRACEPARENT

_PR_SET_PDEATHSIG = 1
# Attempts between two looks at the process's size.
_LOOK_EVERY = 64
_PAGE = os.sysconf("SC_PAGE_SIZE")


def die_with_spawner() -> None:
    """Have the kernel kill this process when the spawner dies."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)  # it died just before


def resident() -> int:
    """Bytes of memory this process holds."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


def lend(secrets: dict[str, str]) -> dict[str, str | None]:
    """Put secrets into the environment; what they hide there."""
    hidden = {name: os.environ.get(name) for name in secrets}
    os.environ.update(secrets)
    return hidden


def take_back(hidden: dict[str, str | None]) -> None:
    """Undo `lend`, whatever the function did to the environment meanwhile."""
    for name, value in hidden.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def serve(agent: socket.socket, logs: str, max_tasks: int, max_bytes: int, max_result: int) -> None:
    """Answer attempts until told to end; a limit of 0 tasks or bytes of memory is none."""
    output = Output()
    served = 0
    wall, monotonic = time.time, time.perf_counter
    for part in packets_of(0, 0.0, 0.0, ("ready",)):
        agent.send(part)
    while packet := agent.recv(MAX_PACKET):
        message, secrets = read(packet)
        key, task_id, number, trace, entrypoint, kind, arguments = message
        output.begin(f"{logs}/{task_id}/{number}")
        os.environ["QUORATE_TASK_ID"] = task_id
        os.environ["QUORATE_ATTEMPT"] = str(number)
        if trace:
            os.environ[TRACEPARENT] = trace
        elif TRACEPARENT in os.environ:
            # The attempt's before this one.
            del os.environ[TRACEPARENT]
        hidden = lend(secrets) if secrets else None
        started, begun = wall(), monotonic()
        answer = call(entrypoint, kind, arguments, trace, max_result)
        seconds = monotonic() - begun
        if hidden is not None:
            take_back(hidden)
        output.end()
        for part in packets_of(key, started, seconds, answer):
            agent.send(part)
        served += 1
        if served == max_tasks:
            return
        if max_bytes and served % _LOOK_EVERY == 0 and resident() > max_bytes:
            return


def main() -> None:
    logs, max_tasks, max_bytes, max_result = sys.argv[1:]
    die_with_spawner()
    # Not for child processes of user code.
    os.set_inheritable(WORKER_FD, False)
    faulthandler.enable()
    agent = socket.socket(fileno=WORKER_FD)
    sys.argv = ["quorate-worker"]
    try:
        serve(agent, logs, int(max_tasks), int(max_bytes), int(max_result))
    except BrokenPipeError:
        pass  # the agent is gone, and nobody is interested in the answer


if __name__ == "__main__":
    main()
