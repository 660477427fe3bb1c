"""Millions of messages in one queue: what they cost in memory, in rate, and a standby that starts.

Messages of 100 bytes, published by the SDK. The rate of draining is compared with that of a queue
that holds only what is drained.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmarks.broker.clients.work import BODY, Found
from benchmarks.broker.sides import process
from benchmarks.cluster import DEADLINE, BenchCluster
from benchmarks.figures import Figure, Findings, Target, at_least, at_most
from benchmarks.usage import load_average, resident
from quorate.client.transport.discovery import LocalProcess

MESSAGES = 5_000_000
_MEMORY = at_most(300.0)
_RESTART = at_most(10.0)
_RATE = at_least(0.8)
_SECONDS = 4.0
_LOOK = 0.05
# More than a consumer takes in that time.
_FEW = 300_000


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Fill, drain a little, start a standby again."""
    count = MESSAGES // 25 if quick else MESSAGES
    findings = Findings()

    def figure(
        name: str, value: float, unit: str, target: Target | None = None, note: str = ""
    ) -> None:
        findings.figures.append(Figure(name, value, unit, target, note, load_average()))

    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        leader, addresses = cluster.leader(), ",".join(cluster.local.addresses)
        empty = resident(leader.pid)
        with cluster.client() as client:
            client.declare_queue("few")
            client.declare_queue("many")
        process("sdk-fill", addresses, "few", 0, min(_FEW, count))
        alone = _drain(addresses, "few", min(_FEW, count))
        filled = process("sdk-fill", addresses, "many", 0, count)
        with cluster.client() as client:
            assert client.message_queue("many").ready == count
        name = f"{count:,} messages queued"
        figure(f"{name}: published", filled.rate, "messages/s")
        note = f"{empty:,.0f} MiB before; {len(BODY)} bytes each"
        figure(f"{name}: leader", resident(leader.pid), "MiB", _MEMORY, note)
        standby = cluster.standbys()[0]
        figure(f"{name}: standby", resident(standby.pid), "MiB")
        many = _drain(addresses, "many", count)
        figure(f"{name}: drained", many.rate, "messages/s")
        note = f"{alone.rate:,.0f} messages/s"
        figure(f"{name}: drained, of a short queue", many.rate / alone.rate, "times", _RATE, note)
        note = "SIGKILL until all is folded again"
        figure(f"{name}: standby restarted", _restart(standby), "s", _RESTART, note)
    return findings


def _restart(standby: LocalProcess) -> float:
    """SIGKILL a standby; seconds until its successor has loaded everything."""

    def loaded() -> int:
        return Path(standby.log).read_text(errors="replace").count("replica_loaded")

    before, began = loaded(), time.monotonic()
    os.kill(standby.pid, signal.SIGKILL)
    while loaded() == before:
        if time.monotonic() > began + DEADLINE:
            raise TimeoutError("the standby did not load in time")
        time.sleep(_LOOK)
    return time.monotonic() - began


def _drain(addresses: str, queue: str, count: int) -> Found:
    return process("sdk-consume", addresses, queue, _SECONDS, count)
