"""100,000 times `/bin/true` as subtasks of arrays, against `xargs -P2 -n1 /bin/true`.

The two take turns, a fifth of all programs each time, so that whatever else the machine does hits
both. From `CreateJob` until the end of the job is durable; xargs keeps nothing.
"""

from __future__ import annotations

from benchmarks.cluster import BenchCluster
from benchmarks.figures import CpuCost, Figure, Findings, at_least, median, spread
from benchmarks.tasks.arrays import run_job
from benchmarks.tasks.commands import xargs
from benchmarks.usage import CpuMeter, load_average
from quorate.v1 import job_pb2

PROGRAMS = 100_000
TARGET = at_least(0.8)
_ROUNDS = 5
# Before it is measured: the agent knows then how long a subtask takes.
_WARM_UP = 500


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Alternating rounds; the ratio is that of all programs."""
    count = PROGRAMS // _ROUNDS // (10 if quick else 1)
    findings = Findings()
    ours: list[float] = []
    theirs: list[float] = []
    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        run_job(cluster, _array(_WARM_UP))
        for _ in range(_ROUNDS):
            meter = CpuMeter(cluster)
            ours.append(run_job(cluster, _array(count)))
            cost = meter.cost("/bin/true as subtasks of an array", count)
            seconds, cpu = xargs(count)
            theirs.append(count / seconds)
    load = load_average()
    findings.costs.append(cost)
    findings.costs.append(CpuCost("xargs -P2 -n1 /bin/true", count, seconds, {"programs": cpu}))
    # Seconds of all rounds: each has as many programs.
    ratio = sum(1 / rate for rate in theirs) / sum(1 / rate for rate in ours)
    note = f"{_ROUNDS * count:,} programs each, in turns"
    findings.figures += [
        Figure("/bin/true, array", median(ours), "programs/s", None, spread(ours), load),
        Figure("/bin/true, xargs -P2", median(theirs), "programs/s", None, spread(theirs), load),
        Figure("array's ratio to xargs", ratio, "x", TARGET, note, load),
    ]
    return findings


def _array(count: int) -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec(count=count)
    spec.template.command.argv.append("/bin/true")
    return spec
