"""Milliseconds from submission to result, one task at a time on an idle cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_most, percentile
from benchmarks.load import NOOP
from benchmarks.noop import noop
from benchmarks.usage import CpuMeter, load_average
from quorate.v1 import scheduler_pb2

TARGET = at_most(4.0)


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Through the SDK, and by plain stubs to the leader and to the standby."""
    count = 200 if quick else 1000
    findings = Findings()
    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        with cluster.client() as client:
            meter = CpuMeter(cluster)
            _measure(findings, "SDK submit -> result", count, lambda: client.submit(noop).result())
            findings.costs.append(meter.cost("one task at a time, SDK", count))
        for name, address in (
            ("stubs Create + Wait", cluster.leader().address),
            ("the same by way of the standby", cluster.standbys()[0].address),
        ):
            with cluster.channel(address) as channel:
                _measure(findings, name, count, partial(_create_and_wait, Stub(channel)))
    return findings


def _create_and_wait(stub: Stub) -> None:
    request = scheduler_pb2.CreateTaskRequest(spec=NOOP)
    task = stub.rpc.CreateTask(request, timeout=DEADLINE).task
    stub.rpc.WaitTask(scheduler_pb2.WaitTaskRequest(id=task.id), timeout=DEADLINE)


def _measure(findings: Findings, name: str, count: int, once: Callable[[], object]) -> None:
    for _ in range(count // 10):
        once()
    took = []
    for _ in range(count):
        began = time.perf_counter()
        once()
        took.append((time.perf_counter() - began) * 1000)
    load = load_average()
    for share, target in ((0.5, TARGET if "SDK" in name else None), (0.9, None), (0.99, None)):
        findings.figures.append(
            Figure(
                f"{name}, p{share * 100:.0f}",
                percentile(took, share),
                "ms",
                target,
                f"{count:,} tasks, one after the other",
                load,
            )
        )
