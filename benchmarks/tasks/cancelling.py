"""100,000 waiting tasks are cancelled by one call: how long it takes, and what a neighbour notices.

A cluster that knows its callers by token. The neighbour creates a no-op task, waits for it, rests
for 15 ms and begins again: alone, then while another caller's CancelAllTasks is under way. The
figure is the p99 beside by the p99 alone, of all rounds together.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

import grpc

from benchmarks.figures import Figure, Findings, at_most, median, percentile
from benchmarks.tasks.fairness import Caller
from benchmarks.tasks.floods import cluster
from benchmarks.usage import load_average
from quorate.v1 import queue_pb2, scheduler_pb2, task_pb2

TARGET: Final = at_most(2.0)
TASKS: Final = 100_000
_BATCH: Final = 1_000
_REST: Final = 0.015
# Seconds of a measurement alone.
_ALONE: Final = 4.0
_QUEUE: Final = "held"


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """The neighbour, alone and beside, in turns."""
    del nodes
    rounds, tasks = (1, TASKS // 10) if quick else (3, TASKS)
    alone: list[float] = []
    beside: list[float] = []
    took: list[float] = []
    with cluster(slots) as (address, mine, theirs), grpc.insecure_channel(address) as channel:
        neighbour, other = Caller(channel, mine), Caller(channel, theirs)
        queue = queue_pb2.Queue(name=_QUEUE)
        neighbour.call("CreateQueue", scheduler_pb2.CreateQueueRequest(queue=queue))
        neighbour.call("PauseQueue", scheduler_pb2.PauseQueueRequest(name=_QUEUE))
        for _ in range(rounds):
            _fill(other, tasks)
            alone += _measure(neighbour, _lasting(_ALONE))
            cancelling = threading.Thread(target=lambda: took.append(_cancel(other, tasks)))
            cancelling.start()
            beside += _measure(neighbour, cancelling.is_alive)
            cancelling.join()
        if len(took) < rounds:
            raise RuntimeError("a call failed; its traceback is above")
    before, after, load = percentile(alone, 0.99), percentile(beside, 0.99), load_average()
    note = f"p99 {before * 1e3:.1f} ms alone, {after * 1e3:.1f} ms beside; {rounds} rounds"
    name = f"neighbour's p99 while one call cancels {tasks:,} tasks"
    findings = Findings()
    findings.figures.append(Figure(name, after / before, "x", TARGET, note, load))
    speed = Figure("tasks cancelled by one call", tasks / median(took), "tasks/s", None, "", load)
    findings.figures.append(speed)
    return findings


def _fill(caller: Caller, tasks: int) -> None:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    for _ in range(tasks // _BATCH):
        request = scheduler_pb2.BatchCreateTasksRequest(
            queue=_QUEUE, specs=[spec] * _BATCH, request_id=secrets.token_hex(16)
        )
        caller.call("BatchCreateTasks", request)


def _lasting(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _measure(caller: Caller, goes_on: Callable[[], bool]) -> list[float]:
    """Seconds from the creation of a task until its result is known, one after the other."""
    work = task_pb2.PythonWork(entrypoint="builtins:abs", json="[1]")
    request = scheduler_pb2.CreateTaskRequest(spec=task_pb2.TaskSpec(python=work))
    took = []
    while goes_on():
        began = time.perf_counter()
        task = caller.call("CreateTask", request).task
        caller.call("WaitTask", scheduler_pb2.WaitTaskRequest(id=task.id))
        took.append(time.perf_counter() - began)
        time.sleep(_REST)
    return took


def _cancel(caller: Caller, tasks: int) -> float:
    """Seconds until all are cancelled."""
    began = time.perf_counter()
    request = scheduler_pb2.CancelAllTasksRequest(queue=_QUEUE)
    *_, last = caller.rpc.CancelAllTasks(request, metadata=caller.metadata)
    if not last.complete or last.cancelled != tasks:
        raise RuntimeError(f"not all were cancelled: {last}")
    return time.perf_counter() - began
