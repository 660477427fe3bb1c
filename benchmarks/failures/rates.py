"""A rate of 10 a second through a minute in which the leader is killed three times.

Tasks wait all the time, so that each leader starts what it may. Counted is what the log says of
every attempt, also of those that were given to a node again.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_most
from benchmarks.load import NOOP, submit, warm_up
from benchmarks.usage import load_average
from quorate.v1 import limit_pb2, queue_pb2, scheduler_pb2

PER_SECOND: Final = 10
BURST: Final = 1
_QUEUE: Final = "paced"
_KILLS: Final = 3


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Three kills in a minute; with `quick` in a third of it."""
    seconds = 20.0 if quick else 60.0
    with BenchCluster(nodes=nodes, slots=slots) as cluster:
        warm_up(cluster)
        with cluster.channel() as channel:
            stub = Stub(channel)
            rate = limit_pb2.RateLimit(count=PER_SECOND, burst=BURST)
            request = scheduler_pb2.CreateQueueRequest(
                queue=queue_pb2.Queue(name=_QUEUE, rate=rate)
            )
            stub.rpc.CreateQueue(request, timeout=DEADLINE)
            submit(stub, _QUEUE, NOOP, 2 * round(seconds) * PER_SECOND)
        began = time.monotonic()
        for number in range(1, _KILLS + 1):
            cluster.await_standbys()
            time.sleep(max(0.0, began + number * seconds / (_KILLS + 1) - time.monotonic()))
            os.kill(cluster.leader().pid, signal.SIGKILL)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        cluster.await_standbys()
        with cluster.channel() as channel:
            instants = sorted(_starts(Stub(channel)))
    load, note = load_average(), f"{len(instants)} starts, {_KILLS} kills in {seconds:g} s"
    average = (len(instants) - 1) / (instants[-1] - instants[0])
    return Findings(
        [
            Figure(
                "most starts in any second, SIGKILL of leaders",
                most_within(1.0, instants),
                "starts",
                at_most(PER_SECOND + BURST),
                note,
                load,
            ),
            Figure("starts a second, of 10 allowed", average, "starts/s", None, note, load),
        ]
    )


def most_within(seconds: float, instants: Sequence[float]) -> int:
    """The most of ascending instants that lie less than so many seconds apart."""
    most = first = 0
    for place, instant in enumerate(instants):
        while instant - instants[first] >= seconds:
            first += 1
        most = max(most, place - first + 1)
    return most


def _starts(stub: Stub) -> Iterator[float]:
    """When each attempt was assigned, in seconds since the epoch."""
    request = scheduler_pb2.ListTasksRequest(queue=_QUEUE, page_size=500)
    while True:
        page = stub.rpc.ListTasks(request, timeout=DEADLINE)
        for task in page.tasks:
            for attempt in task.attempts:
                yield attempt.assign_time.ToNanoseconds() / 1e9
        request.page_token = page.next_page_token
        if not request.page_token:
            return
