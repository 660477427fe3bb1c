"""One side of `benchmarks.compare`: a cluster of whichever tree runs this, measured as asked.

Run by path: what it imports is the tree's own, so it uses only what every tree has. Asked on the
standard input, a line each (`latency N`, `throughput N`, `creates N`, `quiet N`); answers are lines
of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import grpc
import psutil

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.load import BATCH, NOOP, durably, warm_up
from benchmarks.noop import noop
from quorate import Executor
from quorate.client.mapper import create_batch
from quorate.v1 import scheduler_pb2

# Seconds of creating one by one, and callers at once.
CREATING = 5.0
CALLERS = 8
# Seconds that the quiet queue's task takes, and that its result is waited for behind that.
NAP = 20.0
PATIENCE = 60.0
_names = count()


def latency(cluster: BenchCluster, tasks: int) -> list[float]:
    """Milliseconds from submission to result, one task after the other."""
    took = []
    with cluster.client() as client:
        client.submit(noop).result()
        for _ in range(tasks):
            began = time.perf_counter()
            client.submit(noop).result()
            took.append((time.perf_counter() - began) * 1e3)
    return took


def throughput(cluster: BenchCluster, tasks: int) -> float:
    """No-op tasks a second, durable."""
    return durably(cluster, f"bulk{next(_names)}", tasks)


def creates(cluster: BenchCluster, watches: int) -> float:
    """CreateTask calls a second while so many watches of all queues are open."""
    queue = f"creates{next(_names)}"
    with cluster.channel() as channel, open_watches(cluster, watches):
        stub = Stub(channel)
        stub.make_queue(queue, paused=True)
        request = scheduler_pb2.CreateTaskRequest(queue=queue, spec=NOOP)
        end = time.monotonic() + CREATING

        def create(_: int) -> int:
            made = 0
            while time.monotonic() < end:
                try:
                    stub.rpc.CreateTask(request, timeout=DEADLINE)
                except grpc.RpcError:
                    # A leader that was lost, say: what counts is what was created.
                    continue
                made += 1
            return made

        with ThreadPoolExecutor(CALLERS) as pool:
            return sum(pool.map(create, range(CALLERS))) / CREATING


@contextmanager
def open_watches(cluster: BenchCluster, number: int) -> Iterator[None]:
    """So many watches, read by a thread each, on a few connections."""
    channels = [cluster.channel() for _ in range(min(4, number))]
    begun = threading.Barrier(number + 1)
    calls: list[Any] = []

    def read(call: Any) -> None:
        try:
            for place, _ in enumerate(call):
                if place == 0:
                    begun.wait(DEADLINE)
        except grpc.RpcError:
            begun.abort()

    threads = []
    try:
        for place in range(number):
            request = scheduler_pb2.WatchTasksRequest()
            calls.append(Stub(channels[place % len(channels)]).rpc.WatchTasks(request))
            threads.append(threading.Thread(target=read, args=(calls[-1],), daemon=True))
            threads[-1].start()
        begun.wait(DEADLINE)
        yield
    finally:
        for call in calls:
            call.cancel()
        for thread in threads:
            thread.join()
        for channel in channels:
            channel.close()


def quiet(cluster: BenchCluster, tasks: int) -> dict[str, float]:
    """An Executor waits for a task of a quiet queue while so many are created in a paused one."""
    busy, still = f"busy{next(_names)}", f"quiet{next(_names)}"
    etcd = next(psutil.Process(p.pid) for p in cluster.local.processes if p.role == "etcd")
    with cluster.channel() as channel, cluster.client() as client:
        stub = Stub(channel)
        stub.make_queue(busy, paused=True)
        stub.make_queue(still)
        with Executor(client=client, queue=still) as pool:
            waiting, began = pool.submit(time.sleep, NAP), time.monotonic()
            with ThreadPoolExecutor(4) as creators:
                for _ in range(tasks // BATCH):
                    creators.submit(create_batch, client.calls, busy, [NOOP] * BATCH)
            rate = tasks / (time.monotonic() - began)
            used, looked = _seconds(etcd), time.monotonic()
            try:
                waiting.result(max(0.0, began + NAP + PATIENCE - time.monotonic()))
            except TimeoutError:
                waiting.cancel()
            late = time.monotonic() - began - NAP
            # Of the time behind the creation, in which nothing but waiting is done.
            share = (_seconds(etcd) - used) / max(0.001, time.monotonic() - looked) * 100.0
    return {"creates a second": rate, "result late, s": late, "etcd CPU, %": share}


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


MEASURES: Mapping[str, Callable[[BenchCluster, int], Any]] = {
    "latency": latency,
    "throughput": throughput,
    "creates": creates,
    "quiet": quiet,
}


def main() -> None:
    """Answer until nothing more is asked."""
    # Inherited by the cluster's processes.
    os.nice(int(os.environ.get("QUORATE_BENCH_NICE", "0")))
    with BenchCluster() as cluster:
        warm_up(cluster)
        for line in sys.stdin:
            what, number = line.split()
            print(json.dumps(MEASURES[what](cluster, int(number))), flush=True)


if __name__ == "__main__":
    main()
