"""No-op Python tasks a second: from the first submission until the last result is durable.

Compared, in the same run, with what a user would otherwise take on one machine and what keeps
nothing: `multiprocessing.Pool`.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque

from benchmarks.cluster import BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_least, median, spread
from benchmarks.load import BATCH, NOOP, PATIENCE, durably, warm_up
from benchmarks.noop import noop
from benchmarks.usage import CpuMeter, load_average
from quorate.client.mapping.mapper import create_batch

TARGET = at_least(10_000)


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """With a standby, without one, with results collected by the client, and a Pool."""
    count, rounds = (5_000, 1) if quick else (50_000, 3)
    findings = Findings()
    shape = f"{nodes} agent{'s' * (nodes > 1)} x {slots} slots"
    for schedulers, name, target in (
        (2, "no-op tasks, leader + standby", TARGET),
        (1, "no-op tasks, no standby", None),
    ):
        with BenchCluster(schedulers=schedulers, nodes=nodes, slots=slots) as cluster:
            warm_up(cluster)
            rates = []
            for number in range(rounds):
                meter = CpuMeter(cluster)
                rates.append(durably(cluster, f"round{number}", count))
            findings.costs.append(meter.cost(name, count))
            note = f"{count:,} tasks, {shape}; {spread(rates)}"
            findings.figures.append(
                Figure(name, median(rates), "tasks/s", target, note, load_average())
            )
            if schedulers == 2:
                meter = CpuMeter(cluster)
                rate = _collected(cluster, count)
                findings.costs.append(meter.cost("results collected by the SDK", count))
                findings.figures.append(
                    Figure("results collected by the SDK", rate, "tasks/s", load=load_average())
                )
    rate = _pool(count)
    note = "same machine, 2 processes, nothing durable"
    findings.figures.append(
        Figure("multiprocessing.Pool.imap", rate, "tasks/s", None, note, load_average())
    )
    return findings


def _collected(cluster: BenchCluster, count: int) -> float:
    """One task for each call, each one's outcome delivered to this process by WatchTasks."""
    outcomes: deque[object] = deque()
    with cluster.client() as client, cluster.channel() as channel:
        Stub(channel).make_queue("collected")
        tracker = client.tracker("collected")
        specs = [NOOP] * BATCH
        began = time.monotonic()
        for _ in range(count // BATCH):
            tracker.submit(
                lambda: create_batch(client.calls, "collected", specs), [outcomes.append] * BATCH
            )
        end = began + PATIENCE
        while len(outcomes) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(outcomes):,} of {count:,} outcomes")
            time.sleep(0.005)
        seconds = time.monotonic() - began
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return count / seconds


def _call(_: int) -> None:
    noop()


def _pool(count: int) -> float:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_call, range(100))
        began = time.monotonic()
        for _ in pool.imap(_call, range(count)):
            pass
        return count / (time.monotonic() - began)
