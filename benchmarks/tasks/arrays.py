"""One array of no-op Python subtasks: from `CreateJob` until its end is durable.

Compared, in the same run, with `multiprocessing.Pool.imap` at its best chunk size, which keeps
nothing. Beside the rate: by how much the leader's memory grows, and by how much etcd's bytes in use
do after a compaction that is forced for the measurement.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time

import psutil

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_least, at_most, median, spread
from benchmarks.load import PATIENCE, warm_up
from benchmarks.noop import noop
from benchmarks.usage import CpuMeter, load_average
from quorate.etcd.client import EtcdClient
from quorate.v1 import job_pb2, scheduler_pb2

TARGET = at_least(100_000)
# Of a million subtasks, in bytes.
MEMORY_TARGET = at_most(20.0)
ETCD_TARGET = at_most(20.0)
# Tried for `Pool.imap`; the best one counts.
CHUNK_SIZES = (100, 1_000, 10_000)
_MIB = 1 << 20


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Without results and with an integer each; a Pool."""
    count, rounds = (100_000, 1) if quick else (1_000_000, 3)
    findings = Findings()
    shape = f"{nodes} agent{'s' * (nodes > 1)} x {slots} slots"
    with BenchCluster(schedulers=2, nodes=nodes, slots=slots) as cluster:
        warm_up(cluster)
        _job(cluster, 20_000, "benchmarks.noop:array_noop")
        memory, stored = _memory(cluster), _stored(cluster)
        rates = []
        for _ in range(rounds):
            meter = CpuMeter(cluster)
            rates.append(_job(cluster, count, "benchmarks.noop:array_noop"))
        findings.costs.append(meter.cost("subtasks of an array", count))
        note = f"{count:,} subtasks, {shape}; {spread(rates)}"
        findings.figures += [
            Figure(
                "no-op subtasks, leader + standby",
                median(rates),
                "subtasks/s",
                TARGET,
                note,
                load_average(),
            ),
            Figure(
                "leader's memory, per array",
                (_memory(cluster) - memory) / rounds / _MIB,
                "MiB",
                MEMORY_TARGET,
                "while it is kept",
            ),
            Figure(
                "bytes in etcd, per array",
                (_stored(cluster) - stored) / rounds / _MIB,
                "MiB",
                ETCD_TARGET,
                "after a forced compaction",
            ),
        ]
        rate = _job(cluster, count, "benchmarks.noop:array_same")
        findings.figures.append(
            Figure("subtasks with an integer as result", rate, "subtasks/s", load=load_average())
        )
    best, size = max((_pool(count, size), size) for size in CHUNK_SIZES)
    note = f"same machine, 2 processes, nothing durable, chunks of {size:,}"
    findings.figures.append(
        Figure("multiprocessing.Pool.imap", best, "calls/s", None, note, load_average())
    )
    return findings


def _job(cluster: BenchCluster, count: int, entrypoint: str) -> float:
    spec = job_pb2.JobSpec(count=count)
    spec.template.python.entrypoint = entrypoint
    return run_job(cluster, spec)


def run_job(cluster: BenchCluster, spec: job_pb2.JobSpec) -> float:
    """Subtasks a second, until the end of the job is durable. Raises RuntimeError if one failed."""
    request, count = scheduler_pb2.CreateJobRequest(spec=spec), spec.count
    with cluster.channel() as channel:
        stub = Stub(channel)
        began = time.monotonic()
        job = stub.rpc.CreateJob(request, timeout=DEADLINE).job
        wait = scheduler_pb2.WaitJobRequest(id=job.id)
        wait.timeout.seconds = int(PATIENCE)
        done = stub.rpc.WaitJob(wait, timeout=PATIENCE + DEADLINE).job
        seconds = time.monotonic() - began
    if done.state != job_pb2.JOB_STATE_SUCCEEDED or done.counts.succeeded != count:
        raise RuntimeError(f"the job did not succeed: {done}")
    return count / seconds


def _memory(cluster: BenchCluster) -> int:
    """Bytes of the leader's process."""
    return int(psutil.Process(cluster.leader().pid).memory_info().rss)


def _stored(cluster: BenchCluster) -> int:
    """Bytes that etcd uses, behind a compaction."""

    etcd = next(one.address for one in cluster.local.processes if one.role == "etcd")

    async def look() -> int:
        async with EtcdClient((etcd,)) as store:
            await store.compact((await store.status()).revision)
            sizes = [0]
            for _ in range(30):
                # It goes on in the background.
                sizes.append((await store.status()).db_size_in_use)
                if sizes[-1] == sizes[-2]:
                    break
                await asyncio.sleep(1.0)
            return sizes[-1]

    return asyncio.run(look())


def _call(_: int) -> None:
    noop()


def _pool(count: int, chunk: int) -> float:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_call, range(100))
        began = time.monotonic()
        for _ in pool.imap(_call, range(count), chunk):
            pass
        return count / (time.monotonic() - began)
