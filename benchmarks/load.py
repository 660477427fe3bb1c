"""Submits many equal tasks as fast as it can: batches, several in flight."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from quorate.v1 import scheduler_pb2, task_pb2

BATCH = 1000
IN_FLIGHT = 4
# Seconds for all tasks of one measurement.
PATIENCE = 300.0
NOOP = task_pb2.TaskSpec(
    python=task_pb2.PythonWork(entrypoint="benchmarks.noop:noop", json="[]"), name="noop"
)
TRUE = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["/bin/true"]), name="true")


def submit(stub: Stub, queue: str, spec: task_pb2.TaskSpec, count: int) -> str:
    """Create `count` tasks by BatchCreateTasks; all durable when it returns. The last one's id."""
    # One message for all batches: building it is not what is measured.
    whole = [spec] * BATCH
    sizes = [BATCH] * (count // BATCH) + ([count % BATCH] if count % BATCH else [])

    def create(size: int) -> str:
        request = scheduler_pb2.BatchCreateTasksRequest(
            queue=queue, specs=whole[:size], request_id=secrets.token_hex(16)
        )
        answer = stub.rpc.BatchCreateTasks(request, timeout=DEADLINE)
        assert len(answer.ids) == size
        return str(answer.ids[-1])

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return max(pool.map(create, sizes))


def warm_up(cluster: BenchCluster) -> None:
    """Have its workers import what the tasks call."""
    with cluster.client() as client:
        for handle in [client.submit_json("benchmarks.noop:noop") for _ in range(200)]:
            handle.result(PATIENCE)


def durably(cluster: BenchCluster, queue: str, count: int) -> float:
    """No-op tasks a second: from the first submission until the last result is durable."""
    with cluster.channel() as channel:
        stub = Stub(channel)
        stub.make_queue(queue)
        began = time.monotonic()
        last = submit(stub, queue, NOOP, count)
        stub.await_finished(queue, count, last, PATIENCE)
        return count / (time.monotonic() - began)
