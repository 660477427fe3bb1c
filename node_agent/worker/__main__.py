"""`python -m node_agent.worker <logs> <spill> <max tasks> <max bytes>`, its socket at WORKER_FD."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sys
import time

from node_agent.executors.packets import MAX_PACKET, Spill, unpack
from node_agent.executors.spawner import WORKER_FD
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


def serve(agent: socket.socket, logs: str, spill: Spill, max_tasks: int, max_bytes: int) -> None:
    """Answer attempts until told to end; a limit of 0 is none."""
    output = Output()
    served = 0
    wall, monotonic = time.time, time.perf_counter
    agent.send(spill.pack((0, "ready", os.getpid())))
    while packet := agent.recv(MAX_PACKET):
        key, task_id, number, trace, entrypoint, kind, arguments = unpack(packet)
        output.begin(f"{logs}/{task_id}/{number}")
        os.environ["QUORATE_TASK_ID"] = task_id
        os.environ["QUORATE_ATTEMPT"] = str(number)
        if trace:
            os.environ[TRACEPARENT] = trace
        elif TRACEPARENT in os.environ:
            # The attempt's before this one.
            del os.environ[TRACEPARENT]
        started, begun = wall(), monotonic()
        answer = call(entrypoint, kind, arguments, trace)
        seconds = monotonic() - begun
        output.end()
        agent.send(spill.pack((key, started, seconds, answer)))
        served += 1
        if served == max_tasks:
            return
        if max_bytes and served % _LOOK_EVERY == 0 and resident() > max_bytes:
            return


def main() -> None:
    logs, spill, max_tasks, max_bytes = sys.argv[1:]
    die_with_spawner()
    # Not for child processes of user code.
    os.set_inheritable(WORKER_FD, False)
    faulthandler.enable()
    agent = socket.socket(fileno=WORKER_FD)
    sys.argv = ["quorate-worker"]
    try:
        serve(agent, logs, Spill(spill, "answer"), int(max_tasks), int(max_bytes))
    except BrokenPipeError:
        pass  # the agent is gone, and nobody is interested in the answer


if __name__ == "__main__":
    main()
