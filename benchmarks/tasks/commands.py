"""`/bin/true` as command tasks, against `xargs -P2 -n1 /bin/true` on the same machine.

The two take turns, so that whatever else the machine does hits both. xargs starts programs and
does nothing else: no durability, no session, no output files, no time limit, no second machine.
"""

from __future__ import annotations

import resource
import subprocess
import time

from benchmarks.cluster import BenchCluster, Stub
from benchmarks.figures import CpuCost, Figure, Findings, at_least, median, spread
from benchmarks.load import TRUE, submit
from benchmarks.usage import CpuMeter, load_average

TARGET = at_least(0.7)
_TIMEOUT = 300.0


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Alternating rounds; the ratio is that of the medians."""
    count, rounds = (500, 1) if quick else (3_000, 3)
    findings = Findings()
    ours, theirs = [], []
    with BenchCluster(nodes=nodes, slots=slots) as cluster, cluster.channel() as channel:
        stub = Stub(channel)
        stub.make_queue("warm-up")
        stub.await_finished("warm-up", 100, submit(stub, "warm-up", TRUE, 100), _TIMEOUT)
        for number in range(rounds):
            queue = f"round{number}"
            stub.make_queue(queue)
            meter = CpuMeter(cluster)
            began = time.monotonic()
            last = submit(stub, queue, TRUE, count)
            stub.await_finished(queue, count, last, _TIMEOUT)
            ours.append(count / (time.monotonic() - began))
            cost = meter.cost("/bin/true as command tasks", count)
            seconds, cpu = xargs(count)
            theirs.append(count / seconds)
    load = load_average()
    findings.costs.append(cost)
    findings.costs.append(CpuCost("xargs -P2 -n1 /bin/true", count, seconds, {"programs": cpu}))
    findings.figures += [
        Figure("/bin/true, command tasks", median(ours), "tasks/s", None, spread(ours), load),
        Figure("/bin/true, xargs -P2", median(theirs), "tasks/s", None, spread(theirs), load),
        Figure("ratio to xargs", median(ours) / median(theirs), "x", TARGET, "of medians", load),
        Figure("ratio to xargs, best rounds", max(ours) / max(theirs), "x", None, "", load),
        Figure(
            "ratio of CPU used, xargs to ours",
            cpu / sum(cost.by_role.values()),
            "x",
            None,
            "all processes; hardly depends on what else runs",
            load,
        ),
    ]
    return findings


def xargs(count: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of xargs and its programs."""
    lines = "\n".join(str(number) for number in range(count)).encode()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(["xargs", "-P2", "-n1", "/bin/true"], input=lines, check=True)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu
