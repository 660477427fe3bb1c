"""What the cluster looks like at one instant, and how fast work finishes between two of them.

A sample holds at most `MOST_JOBS` jobs and `MOST_TASKS` tasks, so its size has a bound however busy
the cluster is; the counts in the header and of the queues are of all tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import grpc

from quorate.client.client import Client
from quorate.client.pages import list_nodes, list_queues
from quorate.client.transport.job_rpcs import LIST_JOBS
from quorate.client.transport.rpcs import GET_CLUSTER, LIST_TASKS
from quorate.runtime.errors import QuorateError
from quorate.v1 import cluster_pb2, job_pb2, node_pb2, queue_pb2, scheduler_pb2, task_pb2

T = TypeVar("T")

MOST_JOBS: Final = 200
MOST_TASKS: Final = 500
# Of each of the lists that come in pages.
_MOST_QUEUES = 1_000
_MOST_NODES = 1_000

_LIVE: Final = (job_pb2.JOB_STATE_ACTIVE, job_pb2.JOB_STATE_PAUSED)
_NOT_PERMITTED: Final = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


@dataclass(frozen=True, slots=True)
class Sample:
    """The cluster as one round of calls found it."""

    at: float
    """Monotonic seconds."""
    now: float
    """Seconds since the Unix epoch."""
    cluster: cluster_pb2.Cluster
    queues: tuple[queue_pb2.Queue, ...]
    nodes: tuple[node_pb2.Node, ...]
    jobs: tuple[job_pb2.Job, ...]
    """Unfinished ones."""
    tasks: tuple[task_pb2.Task, ...]
    """Running and assigned ones, the newest of them."""
    hidden: frozenset[str]
    """Panels that this caller may not read."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What finished per second between two samples; empty where that is not known."""

    queues: dict[str, float]
    """Tasks and subtasks, by queue."""
    jobs: dict[str, float]
    """Subtasks, by job."""


def take(client: Client) -> Sample:
    """Ask the cluster; at most five calls unless there are many queues or nodes.

    Raises QuorateError when no scheduler answers.
    """
    hidden: set[str] = set()

    def asked(panel: str, found: Callable[[], Iterable[T]], most: int) -> tuple[T, ...]:
        try:
            return tuple(islice(found(), most))
        except QuorateError as error:
            if error.code not in _NOT_PERMITTED:
                raise
            hidden.add(panel)
            return ()

    calls = client.calls
    cluster = calls.call(GET_CLUSTER, scheduler_pb2.GetClusterRequest()).cluster
    running = scheduler_pb2.ListTasksRequest(
        states=[task_pb2.TASK_STATE_RUNNING], page_size=MOST_TASKS
    )
    live = scheduler_pb2.ListJobsRequest(states=_LIVE, page_size=MOST_JOBS)
    return Sample(
        at=time.monotonic(),
        now=time.time(),
        cluster=cluster,
        queues=asked("queues", lambda: list_queues(calls), _MOST_QUEUES),
        nodes=asked("nodes", lambda: list_nodes(calls), _MOST_NODES),
        jobs=asked("jobs", lambda: calls.call(LIST_JOBS, live).jobs, MOST_JOBS),
        tasks=asked("tasks", lambda: calls.call(LIST_TASKS, running).tasks, MOST_TASKS),
        hidden=frozenset(hidden),
    )


def rates(before: Sample | None, after: Sample) -> Rates:
    """How fast tasks and subtasks finish. A new leader counts anew, so then nothing is known."""
    if before is None or before.cluster.epoch != after.cluster.epoch:
        return Rates({}, {})
    seconds = after.at - before.at
    if seconds <= 0:
        return Rates({}, {})
    done = {job.id: _finished(job) for job in before.jobs}
    jobs = {
        job.id: (_finished(job) - done[job.id]) / seconds
        for job in after.jobs
        if _finished(job) >= done.get(job.id, _MOST)
    }
    total = {queue.name: queue.counts.finished_total for queue in before.queues}
    queues = {
        queue.name: (queue.counts.finished_total - total[queue.name]) / seconds
        for queue in after.queues
        if queue.counts.finished_total >= total.get(queue.name, _MOST)
    }
    for job in after.jobs:
        # A queue's own count has no subtasks. Of a graph these are tasks.
        if job.queue in queues and not job.spec.HasField("graph"):
            queues[job.queue] += jobs.get(job.id, 0.0)
    return Rates(queues, jobs)


# More than any count: of what is new nothing is known.
_MOST = 1 << 62


def _finished(job: job_pb2.Job) -> int:
    return job.counts.succeeded + job.counts.failed + job.counts.cancelled
