"""Long and short subtasks in one array: how far its end is from the ideal.

The ideal is all of their time divided by the slots. A chunk of long subtasks that is given out
last, or one that nobody else may help with, would decide the end.
"""

from __future__ import annotations

import random

from benchmarks.cluster import BenchCluster
from benchmarks.figures import Figure, Findings, at_most
from benchmarks.load import warm_up
from benchmarks.tasks.arrays import run_job
from benchmarks.usage import load_average
from quorate.v1 import job_pb2

LONG, SHORT = 1.0, 0.001
LONGS, SHORTS = 200, 20_000
SLOTS = 8
TARGET = at_most(1.1)
# Of the order of subtasks, so that all runs have the same one.
_SEED = 11


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Shuffled, and with the long ones at the end; on eight slots, whatever is asked for."""
    part = 10 if quick else 1
    longs, shorts = LONGS // part, SHORTS // part
    ideal = (longs * LONG + shorts * SHORT) / SLOTS
    naps = [SHORT] * shorts + [LONG] * longs
    findings = Findings()
    with BenchCluster(nodes=nodes, slots=SLOTS // nodes) as cluster:
        warm_up(cluster)
        for order in ("shuffled", "long ones last"):
            items = list(naps)
            if order == "shuffled":
                random.Random(_SEED).shuffle(items)
            spec = job_pb2.JobSpec(count=len(items))
            spec.template.python.entrypoint = "time:sleep"
            spec.items.extend(f"{nap}".encode() for nap in items)
            took = len(items) / run_job(cluster, spec)
            note = f"{longs} x {LONG:g} s, {shorts:,} x {SHORT:g} s, {took:.1f} s; {order}"
            findings.figures.append(
                Figure(
                    "makespan to ideal",
                    took / ideal,
                    "x",
                    # Of few long ones the last wave alone is more than that.
                    None if quick else TARGET,
                    note,
                    load_average(),
                )
            )
    return findings
