"""A scheduler in this process, enough of one for the SDK and the CLI to be tested against.

`FakeCluster` is the state, shared by any number of `FakeServer`s (leader and standbys look the
same to a client). Python tasks run in a thread pool, commands really run. Faults are ordered by
the test: `refuse`, `freeze`, `forget_tokens`. Durability and placement are not imitated.
"""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import threading
import time
import traceback
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.runtime.errors import (
    QuorateError,
    already_exists,
    invalid,
    not_found,
    precondition,
    to_status,
)
from quorate.runtime.ids import TaskIds, offset_id
from quorate.v1 import audit_pb2, node_pb2, queue_pb2, scheduler_pb2, scheduler_pb2_grpc, task_pb2

FINAL = {
    task_pb2.TASK_STATE_SUCCEEDED,
    task_pb2.TASK_STATE_FAILED,
    task_pb2.TASK_STATE_CANCELLED,
}


def _now() -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns())
    return stamp


class FakeCluster:
    """Tasks, queues and nodes in memory."""

    def __init__(self, workers: int = 4) -> None:
        self.lock = threading.Condition()
        self.tasks: dict[str, task_pb2.Task] = {}
        self.logs: dict[str, list[scheduler_pb2.LogChunk]] = defaultdict(list)
        self.queues = {"default": queue_pb2.Queue(name="default")}
        self.nodes = {
            "n1": node_pb2.Node(
                name="n1", address="127.0.0.1:1", state=node_pb2.NODE_STATE_READY, slots=4
            )
        }
        self.audit: list[audit_pb2.AuditEntry] = []
        self.audit_requests: list[scheduler_pb2.ListAuditEntriesRequest] = []
        self.requests: dict[str, list[str]] = {}
        self.calls: list[tuple[str, str]] = []
        self.bulk_cancels: list[scheduler_pb2.CancelTasksRequest] = []
        self.events: list[scheduler_pb2.TaskEvent] = []
        self.first_event = 0
        self.faults: dict[str, list[grpc.StatusCode]] = defaultdict(list)
        self.servers: list[FakeServer] = []
        self.leader = 0
        self.hold = threading.Event()
        self.hold.set()
        self.answer_late = 0.0
        # Seconds between two answers of a watch that say how far it is, and how many there were.
        self.progress = 1.0
        self.progressed = 0
        # Watches say nothing at all.
        self.frozen = False
        self._ids = TaskIds()
        self._pool = ThreadPoolExecutor(workers)

    # -- what tests order ---------------------------------------------------------------

    def refuse(self, method: str, *codes: grpc.StatusCode) -> None:
        """Fail the next calls of `method`: each before anything is done."""
        self.faults[method].extend(codes)

    def forget_tokens(self) -> None:
        """Compact: every token given out so far is too old."""
        with self.lock:
            self.first_event = len(self.events) + 1
            self.events.append(scheduler_pb2.TaskEvent())

    def break_watches(self) -> None:
        """End every open watch as a dying scheduler does."""
        with self.lock:
            for server in self.servers:
                server.generation += 1
            self.lock.notify_all()

    def close(self) -> None:
        self.hold.set()
        for server in self.servers:
            server.stop()
        self._pool.shutdown(cancel_futures=True)

    # -- life of a task -----------------------------------------------------------------

    def create(self, queue_name: str, specs, request_id: str) -> list[str]:
        with self.lock:
            if request_id in self.requests:
                return self.requests[request_id]
            if (queue_name or "default") not in self.queues:
                raise not_found("queue", queue_name)
            first = self._ids.next(time.time())
            ids: list[str] = [offset_id(first, index) for index in range(len(specs))]
            for task_id, spec in zip(ids, specs, strict=True):
                task = task_pb2.Task(
                    id=task_id,
                    queue=queue_name or "default",
                    spec=spec,
                    state=task_pb2.TASK_STATE_PENDING,
                    create_time=_now(),
                )
                self.tasks[task_id] = task
                self._publish(task, scheduler_pb2.TaskEvent.KIND_CREATED)
            self.requests[request_id] = ids
        for task_id in ids:
            self._pool.submit(self._run, task_id)
        return ids

    def cancel(self, task_id: str) -> task_pb2.Task:
        with self.lock:
            task = self.find(task_id)
            if task.state == task_pb2.TASK_STATE_CANCELLED:
                return task
            if task.state in FINAL:
                raise precondition("TASK_FINISHED", f"task {task_id} is finished", task=task_id)
            self._finish(task, task_pb2.TASK_STATE_CANCELLED)
            return task

    def find(self, task_id: str) -> task_pb2.Task:
        if task_id not in self.tasks:
            raise not_found("task", task_id)
        return self.tasks[task_id]

    def _run(self, task_id: str) -> None:
        self.hold.wait()
        with self.lock:
            task = self.tasks[task_id]
            if task.state in FINAL:
                return
            task.state = task_pb2.TASK_STATE_RUNNING
            task.attempt += 1
            attempt = task.attempts.add(number=task.attempt, node="n1")
            attempt.start_time.CopyFrom(_now())
            self._publish(task, scheduler_pb2.TaskEvent.KIND_UPDATED)
        result, error = self._outcome(task)
        with self.lock:
            if task.state in FINAL:
                return
            attempt.finish_time.CopyFrom(_now())
            if error is not None:
                task.error.CopyFrom(error)
                self._finish(task, task_pb2.TASK_STATE_FAILED)
            else:
                task.result.CopyFrom(result)
                self._finish(task, task_pb2.TASK_STATE_SUCCEEDED)

    def _outcome(self, task):
        if task.spec.WhichOneof("work") == "command":
            return self._command(task)
        try:
            return self._python(task.spec.python), None
        except Exception as error:  # noqa: BLE001 - it is the task's outcome
            failure = task_pb2.TaskError(
                type=type(error).__qualname__,
                message=str(error),
                traceback=traceback.format_exc(),
            )
            try:
                failure.pickle = pickle.dumps(error)
            except Exception:  # noqa: BLE001 - goes without
                pass
            return None, failure

    def _command(self, task):
        command = task.spec.command
        try:
            done = subprocess.run(
                list(command.argv), input=command.stdin, capture_output=True, check=False
            )
        except OSError as error:
            return None, task_pb2.TaskError(type="NOT_STARTED", message=str(error))
        with self.lock:
            for stream, data in (
                (scheduler_pb2.LOG_STREAM_STDOUT, done.stdout),
                (scheduler_pb2.LOG_STREAM_STDERR, done.stderr),
            ):
                if data:
                    chunk = scheduler_pb2.LogChunk(stream=stream, data=data)
                    self.logs[task.id].append(chunk)
        if done.returncode:
            return None, task_pb2.TaskError(
                type="EXIT_CODE" if done.returncode > 0 else "SIGNAL",
                message=f"exit code {done.returncode}",
                code=abs(done.returncode),
            )
        return task_pb2.TaskResult(exit_code=0), None

    def _python(self, work) -> task_pb2.TaskResult:
        if work.WhichOneof("arguments") == "json":
            given = json.loads(work.json)
            args, kwargs = (
                (given, {})
                if isinstance(given, list)
                else (
                    given.get("args", []),
                    given.get("kwargs", {}),
                )
            )
            value = self._load(work.entrypoint)(*args, **kwargs)
            return task_pb2.TaskResult(json=json.dumps(value))
        call = pickle.loads(work.pickle)
        function, (args, kwargs) = (
            (self._load(work.entrypoint), call) if work.entrypoint else (call[0], call[1:])
        )
        data = pickle.dumps(function(*args, **kwargs))
        if len(data) > 256 * 1024:
            raise _TooLarge()
        return task_pb2.TaskResult(pickle=data)

    @staticmethod
    def _load(entrypoint: str):
        module, _, qualname = entrypoint.partition(":")
        target = importlib.import_module(module)
        for part in qualname.split("."):
            target = getattr(target, part)
        return target

    def _finish(self, task, state) -> None:
        task.state = state
        task.finish_time.CopyFrom(_now())
        self._publish(task, scheduler_pb2.TaskEvent.KIND_UPDATED)

    def _publish(self, task, kind) -> None:
        copy = task_pb2.Task()
        copy.CopyFrom(task)
        if copy.error.type == "_TooLarge":
            task.error.type = copy.error.type = "RESULT_TOO_LARGE"
        copy.ClearField("spec")
        revision = len(self.events)
        self.events.append(scheduler_pb2.TaskEvent(kind=kind, task=copy, revision=revision))
        self.lock.notify_all()


class _TooLarge(Exception):
    pass


class FakeServer:
    """One scheduler process: a gRPC server on a port of its own."""

    def __init__(self, cluster: FakeCluster, port: int = 0) -> None:
        self.cluster = cluster
        self.index = len(cluster.servers)
        self.generation = 0
        self.stopped = False
        cluster.servers.append(self)
        self._pool = ThreadPoolExecutor(32)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        scheduler_pb2_grpc.add_SchedulerServicer_to_server(_Servicer(self), self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        self._server.start()

    def stop(self) -> None:
        """Leave at once, as if killed. Idempotent."""
        if self.stopped:
            return
        self.stopped = True
        with self.cluster.lock:
            self.cluster.lock.notify_all()
        self._server.stop(None).wait()
        self._pool.shutdown(cancel_futures=True)


class _Servicer(scheduler_pb2_grpc.SchedulerServicer):
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._cluster = server.cluster

    @contextmanager
    def _serving(self, method: str, context):
        cluster = self._cluster
        cluster.calls.append((method, self._server.address))
        try:
            if cluster.faults[method]:
                code = cluster.faults[method].pop(0)
                raise QuorateError(code, "ORDERED", "ordered by the test")
            yield
        except QuorateError as error:
            status = to_status(error).SerializeToString()
            context.set_trailing_metadata((("grpc-status-details-bin", status),))
            context.abort(error.code, error.message)

    def CreateTask(self, request, context):
        with self._serving("CreateTask", context):
            ids = self._cluster.create(request.queue, [request.spec], request.request_id)
            return scheduler_pb2.CreateTaskResponse(task=self._cluster.tasks[ids[0]])

    def BatchCreateTasks(self, request, context):
        with self._serving("BatchCreateTasks", context):
            ids = self._cluster.create(request.queue, request.specs, request.request_id)
            if self._cluster.answer_late:
                time.sleep(self._cluster.answer_late)
            return scheduler_pb2.BatchCreateTasksResponse(ids=ids)

    def GetTask(self, request, context):
        with self._serving("GetTask", context):
            return scheduler_pb2.GetTaskResponse(task=self._cluster.find(request.id))

    def ListTasks(self, request, context):
        with self._serving("ListTasks", context):
            if not 0 <= request.page_size <= 1000:
                raise invalid("page_size", "must be 1 to 1,000", limit=1000)
            size, start = request.page_size or 100, int(request.page_token or 0)
            found = [
                task
                for task in sorted(self._cluster.tasks.values(), key=lambda t: t.id, reverse=True)
                if request.queue in ("", task.queue)
                and (not request.states or task.state in request.states)
                and request.text in " ".join((*task.spec.command.argv, task.id))
            ]
            token = str(start + size) if start + size < len(found) else ""
            return scheduler_pb2.ListTasksResponse(
                tasks=found[start : start + size], next_page_token=token
            )

    def WaitTask(self, request, context):
        with self._serving("WaitTask", context):
            task = self._cluster.find(request.id)
            with self._cluster.lock:
                self._cluster.lock.wait_for(
                    lambda: task.state in FINAL or self._server.stopped,
                    request.timeout.ToMilliseconds() / 1000,
                )
            return scheduler_pb2.WaitTaskResponse(task=task)

    def _left(self, generation: int) -> bool:
        return self._server.stopped or self._server.generation != generation

    def WatchTasks(self, request, context):
        with self._serving("WatchTasks", context):
            cluster, generation = self._cluster, self._server.generation
            with cluster.lock:
                position = int(request.resume_token or len(cluster.events))
                if position < cluster.first_event:
                    raise QuorateError(grpc.StatusCode.OUT_OF_RANGE, "COMPACTED", "list again")
            yield scheduler_pb2.WatchTasksResponse(resume_token=str(position))
            said = time.monotonic()
            while context.is_active():
                with cluster.lock:
                    # Short, so that a caller that left is noticed.
                    if len(cluster.events) <= position and not self._left(generation):
                        cluster.lock.wait(0.05)
                    while cluster.frozen and context.is_active():
                        cluster.lock.wait(0.02)
                    if self._left(generation):
                        raise QuorateError(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", "leaving")
                    events = [
                        event
                        for event in cluster.events[position:]
                        if event.kind
                        and request.queue in ("", event.task.queue)
                        and (not request.states or event.task.state in request.states)
                    ]
                    position = len(cluster.events)
                if events:
                    yield scheduler_pb2.WatchTasksResponse(
                        events=events, resume_token=str(position)
                    )
                elif time.monotonic() - said >= cluster.progress and not cluster.frozen:
                    said = time.monotonic()
                    cluster.progressed += 1
                    yield scheduler_pb2.WatchTasksResponse(resume_token=str(position))

    def CancelTask(self, request, context):
        with self._serving("CancelTask", context):
            return scheduler_pb2.CancelTaskResponse(task=self._cluster.cancel(request.id))

    def DeleteTask(self, request, context):
        with self._serving("DeleteTask", context), self._cluster.lock:
            task = self._cluster.tasks.get(request.id)
            if task is None:
                raise not_found("task", request.id)
            if task.state not in FINAL:
                raise precondition("TASK_NOT_FINISHED", f"task {request.id!r} is not finished")
            del self._cluster.tasks[request.id]
            return scheduler_pb2.DeleteTaskResponse()

    def CancelTasks(self, request, context):
        with self._serving("CancelTasks", context):
            answer = scheduler_pb2.CancelTasksResponse()
            self._cluster.bulk_cancels.append(request)
            with self._cluster.lock:
                wanted = request.ids or [
                    task.id
                    for task in self._cluster.tasks.values()
                    if request.queue in ("", task.queue) and task.state not in FINAL
                ]
                for task_id in dict.fromkeys(wanted):
                    task = self._cluster.tasks.get(task_id)
                    if task is None:
                        answer.not_found += 1
                        continue
                    if task.state in FINAL:
                        answer.finished += 1
                        continue
                    if request.states and task.state not in request.states:
                        answer.skipped += 1
                        continue
                    running = task.state == task_pb2.TASK_STATE_RUNNING
                    answer.stopping += running
                    answer.cancelled += not running
                    if not request.validate_only:
                        self._cluster.cancel(task_id)
            return answer

    def RetryTask(self, request, context):
        with self._serving("RetryTask", context):
            task = self._cluster.find(request.id)
            if task.state not in (task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_CANCELLED):
                raise precondition("TASK_NOT_FAILED", "only a failed task can be retried")
            task.state = task_pb2.TASK_STATE_PENDING
            self._cluster._pool.submit(self._cluster._run, task.id)
            return scheduler_pb2.RetryTaskResponse(task=task)

    def StreamTaskLogs(self, request, context):
        with self._serving("StreamTaskLogs", context):
            task = self._cluster.find(request.id)
            if request.follow:
                with self._cluster.lock:
                    self._cluster.lock.wait_for(lambda: task.state in FINAL, 10)
            for chunk in list(self._cluster.logs[request.id]):
                if self._cluster.faults["LogChunk"]:
                    raise QuorateError(self._cluster.faults["LogChunk"].pop(0), "ORDERED", "")
                rest = scheduler_pb2.LogChunk(
                    stream=chunk.stream,
                    offset=max(chunk.offset, request.offset),
                    data=chunk.data[max(0, request.offset - chunk.offset) :],
                )
                yield scheduler_pb2.StreamTaskLogsResponse(chunk=rest)

    def CreateQueue(self, request, context):
        with self._serving("CreateQueue", context):
            if request.queue.name in self._cluster.queues:
                raise already_exists("queue", request.queue.name)
            self._cluster.queues[request.queue.name] = request.queue
            return scheduler_pb2.CreateQueueResponse(queue=request.queue)

    def _queue(self, name: str) -> queue_pb2.Queue:
        if name not in self._cluster.queues:
            raise not_found("queue", name)
        return self._cluster.queues[name]

    def GetQueue(self, request, context):
        with self._serving("GetQueue", context):
            return scheduler_pb2.GetQueueResponse(queue=self._queue(request.name))

    def ListQueues(self, request, context):
        with self._serving("ListQueues", context):
            return scheduler_pb2.ListQueuesResponse(queues=self._cluster.queues.values())

    def DeleteQueue(self, request, context):
        with self._serving("DeleteQueue", context):
            self._queue(request.name)
            del self._cluster.queues[request.name]
            return scheduler_pb2.DeleteQueueResponse()

    def PauseQueue(self, request, context):
        with self._serving("PauseQueue", context):
            found = self._queue(request.name)
            found.paused = True
            return scheduler_pb2.PauseQueueResponse(queue=found)

    def ResumeQueue(self, request, context):
        with self._serving("ResumeQueue", context):
            found = self._queue(request.name)
            found.paused = False
            return scheduler_pb2.ResumeQueueResponse(queue=found)

    def ListNodes(self, request, context):
        with self._serving("ListNodes", context):
            return scheduler_pb2.ListNodesResponse(nodes=self._cluster.nodes.values())

    def _node(self, name: str, state) -> node_pb2.Node:
        if name not in self._cluster.nodes:
            raise not_found("node", name)
        self._cluster.nodes[name].state = state
        return self._cluster.nodes[name]

    def CordonNode(self, request, context):
        with self._serving("CordonNode", context):
            node = self._node(request.name, node_pb2.NODE_STATE_CORDONED)
            return scheduler_pb2.CordonNodeResponse(node=node)

    def UncordonNode(self, request, context):
        with self._serving("UncordonNode", context):
            node = self._node(request.name, node_pb2.NODE_STATE_READY)
            return scheduler_pb2.UncordonNodeResponse(node=node)

    def DrainNode(self, request, context):
        with self._serving("DrainNode", context):
            node = self._node(request.name, node_pb2.NODE_STATE_DRAINED)
            return scheduler_pb2.DrainNodeResponse(node=node)

    def ListAuditEntries(self, request, context):
        with self._serving("ListAuditEntries", context):
            self._cluster.audit_requests.append(request)
            begin = int(request.page_token or 0)
            end = begin + (request.page_size or 100)
            return scheduler_pb2.ListAuditEntriesResponse(
                entries=self._cluster.audit[begin:end],
                next_page_token=str(end) if end < len(self._cluster.audit) else "",
            )

    def GetCluster(self, request, context):
        with self._serving("GetCluster", context):
            answer = scheduler_pb2.GetClusterResponse()
            cluster = answer.cluster
            cluster.name, cluster.epoch, cluster.nodes = "fake", 7, len(self._cluster.nodes)
            cluster.live_tasks = sum(t.state not in FINAL for t in self._cluster.tasks.values())
            for server in self._cluster.servers:
                if not server.stopped:
                    cluster.schedulers.add(
                        name=f"s{server.index + 1}",
                        address=server.address,
                        leader=server.index == self._cluster.leader,
                    )
            return answer


def wait_until(condition, seconds: float = 10.0) -> None:
    """Wait on a condition; AssertionError when it never holds."""
    event = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition never held"
        event.wait(0.01)


__all__ = ["FakeCluster", "FakeServer", "wait_until"]
