"""A thousand schedules of which none is due: what they cost the leader."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_most
from benchmarks.usage import load_average
from quorate.v1 import schedule_pb2

SCHEDULES = 1_000
# Percent of a core.
TARGET = at_most(2.0)
# What follows an election is over by then.
_SETTLE = 10.0
_SECONDS = 20.0


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """The leader's share of a core, without schedules and with them."""
    seconds = _SECONDS / (10 if quick else 1)
    with BenchCluster(nodes=nodes, slots=slots) as cluster, cluster.channel() as channel:
        leader = cluster.leader().pid
        time.sleep(_SETTLE)
        without = share(leader, seconds)
        stub = Stub(channel)

        def create(number: int) -> None:
            request = schedule_pb2.CreateScheduleRequest()
            request.schedule.name = f"yearly-{number}"
            # Half a year away, whenever this runs.
            month = (time.gmtime().tm_mon + 5) % 12 + 1
            request.schedule.spec.cron = f"{number % 60} {number % 24} 1 {month} *"
            request.schedule.spec.time_zone = "Europe/Berlin"
            request.schedule.spec.task.command.argv.append("true")
            stub.rpc.CreateSchedule(request, timeout=DEADLINE)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(create, range(SCHEDULES)))
        time.sleep(_SETTLE)
        beside = share(leader, seconds)
    findings = Findings()
    note = f"of a core; {without:.2f} % without schedules"
    findings.figures.append(
        Figure(f"{SCHEDULES:,} idle schedules", beside, "%", TARGET, note, load_average())
    )
    return findings


def share(pid: int, seconds: float) -> float:
    """Percent of a core that a process uses."""
    process = psutil.Process(pid)
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, lasted = process.cpu_times(), time.monotonic() - began
    return (after.user + after.system - before.user - before.system) / lasted * 100
