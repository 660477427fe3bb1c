"""A quiet queue in a busy cluster: its watches stay fresh, its results arrive (R1)."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from quorate import Client, Executor
from quorate.v1 import queue_pb2, scheduler_pb2_grpc, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.served import Served, served_by
from tests.support.tls import client_tls, open_sync

served = served_by(nodes=1)
SPEC = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))


def make_queue(stub: scheduler_pb2_grpc.SchedulerStub, name: str, *, paused: bool = False) -> None:
    stub.CreateQueue(pb.CreateQueueRequest(queue=queue_pb2.Queue(name=name)), timeout=20)
    if paused:
        stub.PauseQueue(pb.PauseQueueRequest(name=name), timeout=20)


@contextmanager
def creating(served: Served, queue: str) -> Iterator[list[int]]:
    """Create tasks in batches of 1,000 all the while; how many so far."""
    over, made = threading.Event(), [0]

    def create() -> None:
        with open_sync(served.address) as channel:
            stub = scheduler_pb2_grpc.SchedulerStub(channel)
            while not over.is_set():
                request = pb.BatchCreateTasksRequest(
                    queue=queue, specs=[SPEC] * 1_000, request_id=secrets.token_hex(16)
                )
                made[0] += len(stub.BatchCreateTasks(request, timeout=60).ids)

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join()


def test_a_watch_of_a_quiet_queue_has_a_fresh_token_while_another_queue_is_filled(
    served: Served,
) -> None:
    with open_sync(served.address) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        make_queue(stub, "fresh")
        make_queue(stub, "filled", paused=True)
        watch = stub.WatchTasks(pb.WatchTasksRequest(queue="fresh"), timeout=10)
        first = next(watch)
        with creating(served, "filled"):
            # One each second, though there are changes all the time.
            revisions = [first.revision, *(next(watch).revision for _ in range(3))]
        watch.cancel()
        assert revisions == sorted(set(revisions))


def test_the_result_of_a_quiet_queue_arrives_while_another_one_is_filled(served: Served) -> None:
    with open_sync(served.address) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        make_queue(stub, "quiet")
        make_queue(stub, "busy", paused=True)
    with (
        Client(served.address, tls=client_tls()) as client,
        Executor(client=client, queue="quiet") as pool,
        creating(served, "busy") as made,
    ):
        nap, began = 3.0, time.monotonic()
        result = pool.submit(time.sleep, nap)
        assert result.result(30) is None
        late = time.monotonic() - began - nap
        assert made[0] >= 1_000, "nothing else was going on"
        assert late < 5.0
