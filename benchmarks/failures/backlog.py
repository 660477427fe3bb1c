"""What etcd sees of a failover: when the next leader gives out its first attempt.

Not what a client sees: with a backlog the next result of a client's own comes last.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

from benchmarks.cluster import DEADLINE, BenchCluster
from quorate.client.mapping.mapper import create_batch
from quorate.etcd.api import WatchBatch, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import task_pb2

BATCH = 10_000
_LOOK = 0.1
# Long enough that a backlog does not melt away between two kills.
_SPEC = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="time:sleep", json="[0.05]"))
_RUNNING = task_pb2.TASK_STATE_RUNNING


def fill(cluster: BenchCluster, count: int) -> None:
    """Create so many tasks that wait."""
    with cluster.client() as client:
        for start in range(0, count, BATCH):
            create_batch(client.calls, "default", [_SPEC] * min(BATCH, count - start))


def kill_leader(cluster: BenchCluster) -> float:
    """SIGKILL the leader; seconds until an attempt was given out under a later epoch."""
    epoch, victim = cluster.state().epoch, cluster.leader().pid
    endpoint = next(each.address for each in cluster.local.processes if each.role == "etcd")
    prefix = f"/quorate/{cluster.local.cluster}/".encode()
    watching, found = threading.Event(), _Found()
    watch = _watch(endpoint, prefix, epoch, watching, found)
    thread = threading.Thread(target=lambda: asyncio.run(watch))
    thread.start()
    watching.wait(DEADLINE)
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    thread.join()
    return found.at - began


def await_loaded(cluster: BenchCluster) -> None:
    """Until every standby has loaded what is in etcd.

    One that has not cannot lead until it has: a kill before that measures how fast it loads.
    """
    end = time.monotonic() + DEADLINE
    while not all(_has_loaded(Path(each.log)) for each in cluster.standbys()):
        if time.monotonic() > end:
            raise TimeoutError("a standby did not load in time")
        time.sleep(_LOOK)


def _has_loaded(log: Path) -> bool:
    """Whether the process that was started last has: each says both once it starts."""
    text = log.read_text(errors="replace")
    return text.count("replica_loaded") >= text.count("scheduler ready ")


class _Found:
    at = 0.0


async def _watch(
    endpoint: str, prefix: bytes, epoch: int, watching: threading.Event, found: _Found
) -> None:
    async with (
        EtcdClient([endpoint]) as etcd,
        etcd.watch(prefix, prefix_end(prefix)) as batches,
        asyncio.timeout(DEADLINE),
    ):
        watching.set()
        led = False
        async for batch in batches:
            led = led or _leads(batch, prefix, epoch)
            if led and _gives_out(batch, prefix):
                found.at = time.monotonic()
                return


def _leads(batch: WatchBatch, prefix: bytes, epoch: int) -> bool:
    """Whether a later leader has claimed the log."""
    return any(
        r.HeadRecord.FromString(event.kv.value).epoch > epoch
        for event in batch.events
        if event.kv.key == prefix + b"head" and not event.deleted
    )


def _gives_out(batch: WatchBatch, prefix: bytes) -> bool:
    return any(
        r.RunRecord.FromString(event.kv.value).state == _RUNNING
        for event in batch.events
        if event.kv.key.startswith(prefix + b"runs/") and not event.deleted
    )
