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
from benchmarks.load import BATCH, NOOP, submit
from benchmarks.noop import noop
from benchmarks.usage import CpuMeter, load_average
from quorate.client.mapper import create_batch

TARGET = at_least(10_000)
TLS_TARGET = at_least(0.85)
_TIMEOUT = 300.0


def run_tls(*, quick: bool, nodes: int, slots: int) -> Findings:
    """What mutual TLS costs: two clusters, one with it, in turns, so that both see the same load.

    Each round gives a ratio; the first of a pair changes from round to round.
    """
    count, rounds = (5_000, 2) if quick else (50_000, 6)
    findings = Findings()
    names = ("no-op tasks, plaintext", "no-op tasks, mutual TLS")
    rates: tuple[list[float], list[float]] = ([], [])
    with (
        BenchCluster(nodes=nodes, slots=slots) as plain,
        BenchCluster(nodes=nodes, slots=slots, tls=True) as locked,
    ):
        clusters = (plain, locked)
        for cluster in clusters:
            _warm_up(cluster)
        for number in range(rounds):
            for which in (0, 1) if number % 2 else (1, 0):
                meter = CpuMeter(clusters[which])
                rates[which].append(_durably(clusters[which], f"round{number}", count))
                if number == rounds - 1:
                    findings.costs.append(meter.cost(names[which], count))
    for name, measured in zip(names, rates, strict=True):
        note = f"{count:,} tasks, leader + standby; {spread(measured)}"
        findings.figures.append(
            Figure(name, median(measured), "tasks/s", None, note, load_average())
        )
    ratios = [tls / plain for plain, tls in zip(*rates, strict=True)]
    note = f"of {rounds} pairs of rounds, {min(ratios):.2f} to {max(ratios):.2f}"
    findings.figures.append(
        Figure("throughput with TLS / without", median(ratios), "", TLS_TARGET, note)
    )
    return findings


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
            _warm_up(cluster)
            rates = []
            for number in range(rounds):
                meter = CpuMeter(cluster)
                rates.append(_durably(cluster, f"round{number}", count))
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


def _warm_up(cluster: BenchCluster) -> None:
    with cluster.client() as client:
        for handle in [client.submit_json("benchmarks.noop:noop") for _ in range(200)]:
            handle.result(_TIMEOUT)


def _durably(cluster: BenchCluster, queue: str, count: int) -> float:
    with cluster.channel() as channel:
        stub = Stub(channel)
        stub.make_queue(queue)
        began = time.monotonic()
        last = submit(stub, queue, NOOP, count)
        stub.await_finished(queue, count, last, _TIMEOUT)
        return count / (time.monotonic() - began)


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
        end = began + _TIMEOUT
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
