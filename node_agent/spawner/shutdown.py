"""The end of the spawner: nothing that it started stays behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

from node_agent.spawner.cgroups import group
from node_agent.spawner.leftovers.orphans import children, kill_group, kill_one
from node_agent.spawner.process import Process

LAST_KILL_SECONDS = 5.0


def end_all(processes: dict[int, Process], cgroups: str, emptying: Iterable[str]) -> None:
    """Kill and reap all processes, and remove their cgroups.

    Args:
        processes: by pid.
        cgroups: where the cgroups of attempts are; empty when they have none.
        emptying: cgroups of attempts that are over, in which something still dies.
    """
    deadline = time.monotonic() + LAST_KILL_SECONDS
    ended: list[Process] = []
    if cgroups:
        group.kill(cgroups)
    while time.monotonic() < deadline:
        for pid in processes:
            kill_group(pid, signal.SIGKILL)
        for pid in children():
            kill_one(pid)
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if process := processes.pop(pid, None):
                    ended.append(process)
        except ChildProcessError:
            break
        time.sleep(0.002)
    for cgroup in (*emptying, *(one.cgroup for one in ended if one.cgroup)):
        group.remove(cgroup)
