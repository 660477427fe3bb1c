"""Two tenants share a queue: one floods it with 100,000 tasks, how long do the other's tasks wait?

What is measured is the wait of the neighbour's tasks, from creation until the start of their
attempt, by the leader's clock. There are two neighbours:

    bursts    50 tasks of 10 ms at a time, and the next ones when all have ended
    one       a no-op task at a time, 15 ms after the end of the one before

The cluster knows its callers by token, so that creating the flood has its share of the leader, too.

A burst waits for itself: alone it has all slots, beside the flood half of them. In equal turns the
last of 50 tasks would start after 49 rounds of two slots instead of 24, and what runs when the
burst comes ends first: 2.04 to 2.06 times the wait. It is less since a tenant that comes back
begins a little ahead (`scheduler.core.queues.shares`). One task at a time never waits for itself.
Beside the flood it waits for the leader and the agent, which handle the flood's tasks in groups;
the figure is for information.

Each round has a queue of its own and measures both neighbours: alone, then beside the flood, which
is a process of its own with the lowest priority: it would be another machine. The figure is the p99
of all waits beside, by the p99 of all alone.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration

from benchmarks.cluster import DEADLINE
from benchmarks.figures import Figure, Findings, at_most, percentile
from benchmarks.tasks.floods import cluster, step_back
from benchmarks.usage import load_average
from quorate.v1 import queue_pb2, scheduler_pb2, scheduler_pb2_grpc, task_pb2

TARGET: Final = at_most(2.0)
FLOOD: Final = 100_000
_BATCH: Final = 1_000
_IN_FLIGHT: Final = 4
_BURST: Final = 50
_REST: Final = 0.015
# Seconds of one measurement.
_SPAN: Final = 4.0
# Seconds in which what was created before has to end.
_PATIENCE: Final = 30.0
_FLOODER, _NEIGHBOUR = "flooder", "neighbour"


def _spec(tenant: str, entrypoint: str, arguments: str) -> task_pb2.TaskSpec:
    work = task_pb2.PythonWork(entrypoint=entrypoint, json=arguments)
    return task_pb2.TaskSpec(python=work, name="wait", fairness_key=tenant)


_NOOP: Final = ("benchmarks.noop:noop", "[]")
_SHORT: Final = ("time:sleep", "[0.01]")


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Both neighbours, alone and beside the flood, in turns."""
    del nodes
    rounds, flood = (1, FLOOD // 10) if quick else (3, FLOOD)
    kinds: dict[str, tuple[Callable[[Caller, str], list[float]], tuple[str, str]]] = {
        "bursts": (_bursts, _SHORT),
        "one": (_one_by_one, _NOOP),
    }
    alone: dict[str, list[float]] = {kind: [] for kind in kinds}
    beside: dict[str, list[float]] = {kind: [] for kind in kinds}
    with cluster(slots) as (address, mine, theirs), grpc.insecure_channel(address) as channel:
        stub = Caller(channel, mine)
        _one_by_one(stub, "")
        for number in range(rounds):
            for kind, (measure, work) in kinds.items():
                queue = f"{kind}{number}"
                create = scheduler_pb2.CreateQueueRequest(queue=queue_pb2.Queue(name=queue))
                stub.call("CreateQueue", create)
                alone[kind] += measure(stub, queue)
                with _flood(address, theirs, queue, work, flood):
                    beside[kind] += measure(stub, queue)
                stub.call("PauseQueue", scheduler_pb2.PauseQueueRequest(name=queue))
                _drained(stub, queue)
    findings, load = Findings(), load_average()
    for kind in kinds:
        before, after = percentile(alone[kind], 0.99), percentile(beside[kind], 0.99)
        note = (
            f"p99 {before * 1e3:.1f} ms alone, {after * 1e3:.1f} ms beside; "
            f"p50 {percentile(alone[kind], 0.5) * 1e3:.1f}, "
            f"{percentile(beside[kind], 0.5) * 1e3:.1f}; {rounds} rounds"
        )
        target = TARGET if kind == "bursts" else None
        name = f"neighbour's wait beside {flood:,} tasks, {kind}"
        findings.figures.append(Figure(name, after / before, "x", target, note, load))
    return findings


class Caller:
    """Calls of somebody with a token, over one channel."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self.rpc: Any = scheduler_pb2_grpc.SchedulerStub(channel)
        self.metadata = (("authorization", f"Bearer {token}"),)

    def call(self, name: str, request: object) -> Any:
        """The answer of one call."""
        how = {"timeout": _PATIENCE + DEADLINE, "metadata": self.metadata}
        return getattr(self.rpc, name)(request, **how)


def _one_by_one(stub: Caller, queue: str) -> list[float]:
    """Seconds that tasks waited which come one after another."""
    request = scheduler_pb2.CreateTaskRequest(queue=queue, spec=_spec(_NEIGHBOUR, *_NOOP))
    waits, end = [], time.monotonic() + _SPAN
    while time.monotonic() < end:
        task = stub.call("CreateTask", request).task
        waits.append(_waited(stub, task.id))
        time.sleep(_REST)
    return waits


def _bursts(stub: Caller, queue: str) -> list[float]:
    """Seconds that tasks waited which come many at a time."""
    specs = [_spec(_NEIGHBOUR, *_SHORT)] * _BURST
    waits, end = [], time.monotonic() + _SPAN
    while time.monotonic() < end:
        request = scheduler_pb2.BatchCreateTasksRequest(
            queue=queue, specs=specs, request_id=secrets.token_hex(16)
        )
        ids = stub.call("BatchCreateTasks", request).ids
        # From the last one on: the others have ended by then.
        waits += [_waited(stub, task) for task in reversed(ids)]
    return waits


def _waited(stub: Caller, task: str) -> float:
    """From the creation of a task until its start, once it has ended."""
    wait = scheduler_pb2.WaitTaskRequest(id=task, timeout=Duration(seconds=int(_PATIENCE)))
    done = stub.call("WaitTask", wait).task
    if done.state != task_pb2.TASK_STATE_SUCCEEDED:
        raise RuntimeError(f"the task did not succeed: {done}")
    started, created = done.attempts[-1].start_time, done.create_time
    return float(started.ToNanoseconds() - created.ToNanoseconds()) / 1e9


def _drained(stub: Caller, queue: str) -> None:
    """Wait until nothing of a queue that is paused runs any more."""
    end = time.monotonic() + _PATIENCE
    request = scheduler_pb2.GetQueueRequest(name=queue)
    while stub.call("GetQueue", request).queue.counts.running:
        if time.monotonic() > end:
            raise TimeoutError(f"tasks of {queue} go on")
        time.sleep(0.05)


@contextmanager
def _flood(
    address: str, token: str, queue: str, work: tuple[str, str], count: int
) -> Iterator[None]:
    """The flooder's process, from its first batch on."""
    process = subprocess.Popen(
        (
            sys.executable,
            "-m",
            "benchmarks.tasks.fairness",
            address,
            token,
            queue,
            *work,
            str(count),
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("the flooder did not begin")
        yield
    finally:
        process.kill()
        process.wait()


def _submit(
    address: str, token: str, queue: str, entrypoint: str, arguments: str, count: str
) -> None:
    """Create the flood, as fast as it goes, and then be there."""
    step_back()
    whole = [_spec(_FLOODER, entrypoint, arguments)] * _BATCH
    with grpc.insecure_channel(address) as channel:
        stub, pending = Caller(channel, token), []
        for number in range(int(count) // _BATCH):
            request = scheduler_pb2.BatchCreateTasksRequest(
                queue=queue, specs=whole, request_id=secrets.token_hex(16)
            )
            pending.append(_create(stub, request))
            if len(pending) >= _IN_FLIGHT:
                pending.pop(0).result()
            if number == _IN_FLIGHT:
                print("begun", flush=True)
        for batch in pending:
            batch.result()
    while True:
        time.sleep(60.0)


def _create(stub: Caller, request: scheduler_pb2.BatchCreateTasksRequest) -> Any:
    create = stub.rpc.BatchCreateTasks
    return create.future(request, timeout=_PATIENCE + DEADLINE, metadata=stub.metadata)


if __name__ == "__main__":
    _submit(*sys.argv[1:7])
