"""One side of `benchmarks.compare`: a cluster of whichever tree runs this, measured as asked.

Run by path: what it imports is the tree's own, so it uses only what every tree has. Asked on the
standard input, a line each (`latency N`, `throughput N`, `creates N`, `quiet N`); answers are lines
of JSON.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import grpc
import psutil

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.load import BATCH, NOOP, durably, warm_up
from benchmarks.noop import noop
from quorate import Executor
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc

# Bytes that a client of a watch takes at once.
_OPTIONS = (("grpc.max_receive_message_length", 64 << 20),)
# Seconds of creating one by one, and callers at once.
CREATING = 5.0
CALLERS = 8
# Seconds that the quiet queue's task takes, and that its result is waited for behind that.
NAP = 20.0
PATIENCE = 30.0
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
    """So many watches, read in a process of their own."""
    if not number:
        yield
        return
    reader = multiprocessing.get_context("spawn").Process(
        target=read_watches, args=(cluster.leader().address, number, ready := _ready()), daemon=True
    )
    reader.start()
    try:
        assert ready.acquire(timeout=DEADLINE), "the watches did not begin"
        yield
    finally:
        reader.kill()
        reader.join()


def _ready() -> Any:
    return multiprocessing.get_context("spawn").Semaphore(0)


def read_watches(address: str, number: int, ready: Any) -> None:
    """Read so many watches of all queues, on four connections, until killed."""

    async def read(channel: grpc.aio.Channel, begun: list[None]) -> None:
        while True:
            try:
                stub: Any = scheduler_pb2_grpc.SchedulerStub(channel)
                call = stub.WatchTasks(scheduler_pb2.WatchTasksRequest())
                async for _ in call:
                    if len(begun) < number:
                        begun.append(None)
                        if len(begun) == number:
                            ready.release()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)

    async def main() -> None:
        channels = [grpc.aio.insecure_channel(address, _OPTIONS) for _ in range(4)]
        begun: list[None] = []
        await asyncio.gather(*(read(channels[n % 4], begun) for n in range(number)))

    asyncio.run(main())


def quiet(cluster: BenchCluster, tasks: int) -> dict[str, float]:
    """An Executor waits for a task of a quiet queue while so many are created in a paused one."""
    busy, still = f"busy{next(_names)}", f"quiet{next(_names)}"
    etcd = next(psutil.Process(p.pid) for p in cluster.local.processes if p.role == "etcd")
    with cluster.channel() as channel, cluster.client() as client:
        stub = Stub(channel)
        stub.make_queue(busy, paused=True)
        stub.make_queue(still)
        # Not in a `with` block, whose end waits for a result that may never come.
        pool = Executor(client=client, queue=still)
        waiting, began = pool.submit(time.sleep, NAP), time.monotonic()
        batch = scheduler_pb2.BatchCreateTasksRequest(queue=busy, specs=[NOOP] * BATCH)
        with ThreadPoolExecutor(4) as creators:
            for _ in range(tasks // BATCH):
                creators.submit(stub.rpc.BatchCreateTasks, batch, timeout=DEADLINE)
        rate = tasks / (time.monotonic() - began)
        used, looked = _seconds(etcd), time.monotonic()
        with suppress(TimeoutError):
            waiting.result(max(0.0, began + NAP + PATIENCE - looked))
        late = time.monotonic() - began - NAP
        pool.shutdown(wait=False)
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
