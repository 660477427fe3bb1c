"""Milliseconds without a leader: SIGKILL, then the next task accepted, then its result.

With `--pending N` so many tasks wait meanwhile, and what is measured is when the next leader gives
out its first attempt.

A light version of the drill in tests/e2e, which has load and checks that nothing is lost.
"""

from __future__ import annotations

import os
import signal
import time

from benchmarks.cluster import DEADLINE, BenchCluster
from benchmarks.failures import backlog
from benchmarks.figures import Figure, Findings, at_most, median
from benchmarks.usage import load_average


def run(*, quick: bool, nodes: int, slots: int, pending: int = 0) -> Findings:
    """Kill the leader a few times; the supervisor starts it again as the next standby."""
    kills = 2 if quick else 5
    if pending:
        return _with_backlog(kills, nodes, slots, pending)
    accepted, done = [], []
    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        for _ in range(kills):
            with cluster.client() as client:
                client.submit_json("benchmarks.noop:noop").result(DEADLINE)
                os.kill(cluster.leader().pid, signal.SIGKILL)
                began = time.monotonic()
                handle = client.submit_json("benchmarks.noop:noop")
                accepted.append((time.monotonic() - began) * 1000)
                handle.result(DEADLINE)
                done.append((time.monotonic() - began) * 1000)
            cluster.await_standbys()
    load, note = load_average(), f"{kills} kills"
    return Findings(
        [
            Figure("SIGKILL -> next task accepted, p50", median(accepted), "ms", None, note, load),
            Figure("SIGKILL -> next task accepted, max", max(accepted), "ms", None, note, load),
            Figure("SIGKILL -> its result, p50", median(done), "ms", at_most(100), note, load),
            Figure("SIGKILL -> its result, max", max(done), "ms", at_most(1000), note, load),
        ]
    )


def _with_backlog(kills: int, nodes: int, slots: int, pending: int) -> Findings:
    gaps = []
    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        backlog.fill(cluster, pending)
        for _ in range(kills):
            gaps.append(backlog.kill_leader(cluster) * 1000)
            cluster.await_standbys()
            backlog.await_loaded(cluster)
    load, note = load_average(), f"{kills} kills, {pending:,} pending"
    name = "SIGKILL -> first attempt of the next leader"
    return Findings(
        [
            Figure(f"{name}, p50", median(gaps), "ms", at_most(250), note, load),
            Figure(f"{name}, max", max(gaps), "ms", at_most(1000), note, load),
        ]
    )
