"""Live updates: 500 WebSocket clients at one gateway, 1,000 task events a second, 5 that stall.

Everything is real: etcd, schedulers, an agent that runs the tasks, the gateway, sockets. Each of
the clients is subscribed to all tasks, the dearest that there is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import psutil

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_least, at_most, percentile
from benchmarks.load import NOOP
from benchmarks.usage import MIB, load_average
from quorate.v1 import scheduler_pb2

CLIENTS: Final = 500
STALLED: Final = 5
EVENTS: Final = 1_000
# A task is created, runs and ends.
_EVENTS_OF_A_TASK: Final = 3
_TICKS: Final = 20


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Delays, memory and what became of the stalled ones."""
    seconds = 22.0 if quick else 45.0
    findings = Findings()
    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        addresses = ",".join(p.address for p in cluster.local.processes if p.role == "scheduler")
        with (
            _gateway(addresses) as (address, gateway),
            cluster.channel() as channel,
            _clients(address, seconds) as clients,
            _events(Stub(channel)) as counted,
        ):
            heard, memory, cpu = _measure(clients, gateway, counted)
    how = f"{CLIENTS} clients, {STALLED} of them stalled, {seconds:g} s"
    load = load_average()
    delays = heard["delays"]
    for share, target in ((0.5, None), (0.99, at_most(500.0)), (1.0, None)):
        name = "max" if share == 1.0 else f"p{share * 100:.0f}"
        value = percentile(delays, share)
        note = f"{how}; {len(delays):,} sampled"
        findings.figures.append(Figure(f"live delay, {name}", value, "ms", target, note, load))
    for name, value, unit, target in (
        ("live events of tasks", counted.rate, "/s", at_least(0.95 * EVENTS)),
        ("live frames sent", heard["frames"], "/s", None),
        ("live bytes sent", heard["bytes"] / MIB, "MiB/s", None),
        ("live gateway CPU", cpu, "cores", None),
        ("live gateway memory, before", memory[0] / MIB, "MiB", None),
        ("live gateway memory, most", memory[1] / MIB, "MiB", at_most(512.0)),
        ("live stalled clients closed", heard["stalled_closed"], "", at_least(STALLED)),
        ("live other clients closed", heard["lost"], "", at_most(0)),
        ("live snapshots instead of deltas", heard["snapshots"], "", None),
    ):
        findings.figures.append(Figure(name, value, unit, target, how, load))
    return findings


def _measure(
    clients: subprocess.Popen[str], gateway: psutil.Process, counted: _Counted
) -> tuple[dict[str, Any], tuple[int, int], float]:
    """What the clients heard; the gateway's memory before and at most; its share of a core."""
    before = most = gateway.memory_info().rss
    counted.start()
    began, used = time.monotonic(), _cpu_seconds(gateway)
    ended = threading.Event()
    heard: list[str] = []

    def listen() -> None:
        assert clients.stdout is not None
        heard.append(clients.stdout.readline())
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    while not ended.wait(0.25):
        most = max(most, gateway.memory_info().rss)
    cpu = (_cpu_seconds(gateway) - used) / (time.monotonic() - began)
    counted.stop()
    return json.loads(heard[0]), (before, most), cpu


def _cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of all its threads, to the nanosecond.

    The kernel's tick-based figures miss most of a process that works in short bursts.
    """
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


class _Counted:
    """Events of tasks, counted by a watch of our own."""

    def __init__(self) -> None:
        self.events = 0
        self._began = (0.0, 0)
        self.rate = 0.0

    def start(self) -> None:
        self._began = (time.monotonic(), self.events)

    def stop(self) -> None:
        began, events = self._began
        self.rate = (self.events - events) / (time.monotonic() - began)


@contextmanager
def _events(stub: Stub) -> Iterator[_Counted]:
    """Tasks created at a steady pace, and their events counted."""
    counted = _Counted()
    over = threading.Event()
    request = scheduler_pb2.WatchTasksRequest()
    watches: list[Any] = []

    def count() -> None:
        while not over.is_set():
            watches.append(stub.rpc.WatchTasks(request))
            try:
                for answer in watches[-1]:
                    counted.events += len(answer.events)
                    request.resume_token = answer.resume_token
            except grpc.RpcError:
                # Cancelled below; or the leader changed, and it goes on where it was.
                over.wait(0.1)

    def create() -> None:
        began, created, tick = time.monotonic(), 0, 0
        while not over.wait(max(0.0, began + tick / _TICKS - time.monotonic())):
            tick += 1
            due = round(tick * EVENTS / _EVENTS_OF_A_TASK / _TICKS) - created
            created += due
            request = scheduler_pb2.BatchCreateTasksRequest(
                queue="default", specs=[NOOP] * due, request_id=f"live-{began}-{tick}"
            )
            while not over.is_set():
                try:
                    stub.rpc.BatchCreateTasks(request, timeout=DEADLINE)
                    break
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    over.wait(0.1)

    threads = [threading.Thread(target=work, daemon=True) for work in (count, create)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        over.set()
        threads[1].join(DEADLINE)
        watches[-1].cancel()
        threads[0].join(DEADLINE)


@contextmanager
def _gateway(schedulers: str) -> Iterator[tuple[str, psutil.Process]]:
    command = (sys.executable, "-m", "gateway", "--listen", "127.0.0.1:0")
    process = subprocess.Popen(
        [*command, "--schedulers", schedulers], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        address = next(w.partition("=")[2] for w in words if w.startswith("address="))
        yield address, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _clients(address: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-m", "benchmarks.gateway.live_clients", address)
    counts = ("--clients", str(CLIENTS), "--stalled", str(STALLED), "--seconds", str(seconds))
    process = subprocess.Popen([*command, *counts], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if said != "ready\n":
            raise RuntimeError(f"the clients said {said!r}")
        yield process
    finally:
        process.kill()
        process.wait()
