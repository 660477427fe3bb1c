"""CPU seconds and memory by role: etcd, leader, standby, agents and what they started, client."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

import psutil

from benchmarks.cluster import BenchCluster
from benchmarks.figures import CpuCost

MIB = 1024 * 1024


class CpuMeter:
    """CPU seconds used between its making and `cost`.

    Services are looked up once, so none may be killed meanwhile. `programs` are the processes that
    the spawners have reaped: command tasks, and workers that were replaced.
    """

    def __init__(self, cluster: BenchCluster) -> None:
        self._roles: list[tuple[str, psutil.Process]] = []
        self._spawners: list[psutil.Process] = []
        leader = cluster.leader().pid
        for process in cluster.local.processes:
            one = psutil.Process(process.pid)
            if process.role == "node":
                self._roles.append(("agent", one))
                for spawner in one.children():
                    self._spawners.append(spawner)
                    self._roles.append(("spawner", spawner))
            elif process.role == "scheduler":
                self._roles.append(("leader" if process.pid == leader else "standby", one))
            else:
                self._roles.append((process.role, one))
        self._before = self._read()
        self._began = time.monotonic()

    def cost(self, name: str, tasks: int) -> CpuCost:
        """What was used since."""
        seconds = time.monotonic() - self._began
        used = {role: value - self._before[role] for role, value in self._read().items()}
        if used["workers"] < 0:
            # One was replaced: it is among the reaped now, with all that it ever used.
            used["programs"] += used["workers"]
            used["workers"] = 0.0
        return CpuCost(name, tasks, seconds, used)

    def _read(self) -> Mapping[str, float]:
        used: dict[str, float] = defaultdict(float)
        for role, process in self._roles:
            times = process.cpu_times()
            used[role] += times.user + times.system
        used["workers"] = 0.0
        for spawner in self._spawners:
            for worker in spawner.children():
                with suppress(psutil.NoSuchProcess):
                    times = worker.cpu_times()
                    used["workers"] += times.user + times.system
            times = spawner.cpu_times()
            used["programs"] += times.children_user + times.children_system
        own = os.times()
        used["client"] = own.user + own.system
        return used


def resident(pid: int) -> float:
    """A process's resident memory in MiB."""
    return psutil.Process(pid).memory_info().rss / MIB


def load_average() -> float:
    """Of the last minute: above the number of cores, figures are not to be trusted."""
    return os.getloadavg()[0]
