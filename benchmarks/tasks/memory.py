"""A million tasks waiting: what the leader needs to remember them, and how fast they come in."""

from __future__ import annotations

import time

from benchmarks.cluster import BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_most
from benchmarks.load import NOOP, submit
from benchmarks.usage import MIB, CpuMeter, load_average, resident

TARGET = at_most(1.2 * 1024)


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """In a paused queue, so that none is started."""
    count = 50_000 if quick else 1_000_000
    findings = Findings()
    with BenchCluster(nodes=nodes, slots=slots) as cluster, cluster.channel() as channel:
        stub = Stub(channel)
        stub.make_queue("million", paused=True)
        leader, standby = cluster.leader(), cluster.standbys()[0]
        empty = resident(leader.pid)
        meter = CpuMeter(cluster)
        began = time.monotonic()
        submit(stub, "million", NOOP, count)
        rate = count / (time.monotonic() - began)
        findings.costs.append(meter.cost("submission of pending tasks", count))
        load = load_average()
        state = cluster.state()
        assert state.live_tasks == count
        note = f"{count:,} pending tasks; {empty:,.0f} MiB without"
        findings.figures += [
            Figure("leader's memory", resident(leader.pid), "MiB", TARGET, note, load),
            Figure("standby's memory", resident(standby.pid), "MiB", None, "", load),
            Figure("etcd's database", _database(cluster) / MIB, "MiB", None, "", load),
            Figure("submission", rate, "tasks/s", None, "batches of 1,000, 4 in flight", load),
        ]
    return findings


def _database(cluster: BenchCluster) -> int:
    return (cluster.folder / "etcd" / "member" / "snap" / "db").stat().st_size
