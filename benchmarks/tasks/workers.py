"""What it costs to give the next function a clean worker: us of processor time for each call.

Measured inside a worker of a real cluster, by a task that finds the worker around it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.cluster import BenchCluster
from benchmarks.figures import Figure, Findings, at_most
from benchmarks.usage import load_average

if TYPE_CHECKING:
    from node_agent.worker.__main__ import Worker

TARGET = at_most(10.0)
_PARTS: dict[str, Callable[[Worker], Callable[[], object]]] = {
    "compare the process with its snapshot": lambda worker: worker.snapshot.is_intact,
    "look for child processes": lambda worker: worker._children.look,
    "look whether anything was written": lambda worker: worker._pipes.written,
    "descriptors 0 to 2": lambda worker: worker._pipes.put_back,
    "flush and compare the streams": lambda worker: worker.streams.flush,
}
_ALL = "clean up after a call that changed nothing"


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """All of it, and its parts."""
    rounds = 3 if quick else 15
    with BenchCluster(nodes=nodes, slots=slots) as cluster, cluster.client() as client:
        costs = client.submit("benchmarks.tasks.workers:measure", rounds).result(timeout=120)
    load = load_average()
    findings = Findings()
    for name, cost in costs.items():
        target = TARGET if name == _ALL else None
        findings.figures.append(Figure(name, cost, "us/call", target, "best round", load))
    return findings


def measure(rounds: int) -> dict[str, float]:
    """Runs in a worker: the cost of each part (us)."""
    frame: Any = sys._getframe()
    while "worker" not in frame.f_locals:
        frame = frame.f_back
    worker: Worker = frame.f_locals["worker"]
    worker.end()  # the import of this module is over
    # Without what counts calls: every 64th looks at memory and descriptors, too.
    costs = {name: _cost(part(worker), rounds) for name, part in _PARTS.items()}
    return {_ALL: _cost(worker.end, rounds), **costs}


def _cost(function: Callable[[], object], rounds: int, calls: int = 2000) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(calls):
            function()
        best = min(best, (time.process_time() - began) / calls * 1e6)
    return best
