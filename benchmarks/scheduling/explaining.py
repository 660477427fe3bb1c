"""ExplainTask with a million tasks waiting."""

from __future__ import annotations

import random
import time

from benchmarks.cluster import DEADLINE, BenchCluster, Stub
from benchmarks.figures import Figure, Findings, at_most, percentile
from benchmarks.load import NOOP, submit
from benchmarks.usage import load_average
from quorate.v1 import explain_pb2, queue_pb2, scheduler_pb2, task_pb2

TARGET = at_most(20.0)
_ASKED = 1_000
_PAGE = 1_000
_SEED = 11


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Tasks behind one that holds the queue's only permit: place, limit and holder are found."""
    count = 50_000 if quick else 1_000_000
    findings = Findings()
    with BenchCluster(nodes=nodes, slots=slots) as cluster, cluster.channel() as channel:
        stub = Stub(channel)
        queue = queue_pb2.Queue(name="explained", max_running=1)
        stub.rpc.CreateQueue(scheduler_pb2.CreateQueueRequest(queue=queue), timeout=DEADLINE)
        holder = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["sleep", "3600"]))
        asked = scheduler_pb2.CreateTaskRequest(queue="explained", spec=holder)
        stub.rpc.CreateTask(asked, timeout=DEADLINE)
        submit(stub, "explained", NOOP, count)
        page = scheduler_pb2.ListTasksRequest(queue="explained", page_size=_PAGE)
        page.states.append(task_pb2.TASK_STATE_PENDING)
        waiting: list[str] = []
        while len(waiting) < 20 * _PAGE:
            answer = stub.rpc.ListTasks(page, timeout=DEADLINE)
            waiting += [task.id for task in answer.tasks]
            page.page_token = answer.next_page_token
            if not page.page_token:
                break
        took = []
        for task in random.Random(_SEED).choices(waiting, k=_ASKED):
            began = time.perf_counter()
            request = scheduler_pb2.ExplainTaskRequest(id=task)
            said = stub.rpc.ExplainTask(request, timeout=DEADLINE).explanation
            took.append((time.perf_counter() - began) * 1e3)
            assert said.reasons[0].reason == explain_pb2.EXPLAIN_REASON_LIMIT, said
    note = f"{count:,} tasks wait, {_ASKED:,} questions, one at a time"
    findings.figures += [
        Figure("ExplainTask, p99", percentile(took, 0.99), "ms", TARGET, note, load_average()),
        Figure("ExplainTask, p50", percentile(took, 0.5), "ms"),
    ]
    return findings
