"""What the fake scheduler keeps: tasks, queues, nodes and the calls that were made."""

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
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.runtime.errors import (
    not_found,
    precondition,
)
from quorate.runtime.ids import TaskIds, offset_id
from quorate.v1 import (
    audit_pb2,
    cluster_pb2,
    dead_letter_pb2,
    explain_pb2,
    limit_pb2,
    node_pb2,
    queue_pb2,
    schedule_pb2,
    scheduler_pb2,
    task_pb2,
)

if TYPE_CHECKING:
    from tests.support.fake_scheduler import FakeServer


FINAL = {
    task_pb2.TASK_STATE_SUCCEEDED,
    task_pb2.TASK_STATE_FAILED,
    task_pb2.TASK_STATE_CANCELLED,
}


def now() -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns())
    return stamp


class FakeCluster:
    """Tasks, queues and nodes in memory."""

    def __init__(self, workers: int = 4) -> None:
        self.lock = threading.Condition()
        self.tasks: dict[str, task_pb2.Task] = {}
        self.logs: dict[str, list[scheduler_pb2.LogChunk]] = defaultdict(list)
        self.log_requests: list[scheduler_pb2.StreamTaskLogsRequest] = []
        self.queues = {"default": queue_pb2.Queue(name="default")}
        self.limits: dict[str, limit_pb2.Limit] = {}
        self.schedules: dict[str, schedule_pb2.Schedule] = {}
        self.updates: list[scheduler_pb2.UpdateQueueRequest] = []
        self.problems: list[cluster_pb2.Problem] = []
        self.nodes = {
            "n1": node_pb2.Node(
                name="n1", address="127.0.0.1:1", state=node_pb2.NODE_STATE_READY, slots=4
            )
        }
        self.audit: list[audit_pb2.AuditEntry] = []
        self.audit_requests: list[scheduler_pb2.ListAuditEntriesRequest] = []
        self.requests: dict[str, list[str]] = {}
        # Of calls that add a task to the job of another one.
        self.parents: list[scheduler_pb2.ParentTask] = []
        self.calls: list[tuple[str, str]] = []
        self.bulk_cancels: list[scheduler_pb2.CancelTasksRequest] = []
        self.dead_letters: list[dead_letter_pb2.DeadLetterGroup] = []
        self.task_updates: list[
            scheduler_pb2.UpdateTaskRequest | scheduler_pb2.UpdateTasksRequest
        ] = []
        self.explanation = explain_pb2.Explanation(sentence="nothing holds the task back")
        # Sent: id and number.
        self.signals: list[tuple[str, int]] = []
        self.retries: list[scheduler_pb2.RetryTaskRequest] = []
        self.bulk_retries: list[scheduler_pb2.RetryTasksRequest] = []
        self.events: list[scheduler_pb2.TaskEvent] = []
        self.jobs: dict[str, Any] = {}
        # Numbers of items that were appended, by call; and after how many answers each stream of
        # results is ended as a dying scheduler does (0: never).
        self.appended: list[int] = []
        self.stop_after = 0
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

    def new_id(self) -> str:
        """An id that is not used again."""
        return self._ids.next(time.time())

    def run_later(self, work, *args) -> None:
        """Run something in the pool."""
        self._pool.submit(work, *args)

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
                    create_time=now(),
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
            attempt.start_time.CopyFrom(now())
            self._publish(task, scheduler_pb2.TaskEvent.KIND_UPDATED)
        result, error = self._outcome(task)
        with self.lock:
            if task.state in FINAL:
                return
            attempt.finish_time.CopyFrom(now())
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
            missing = isinstance(error, FileNotFoundError)
            why = f"{command.argv[0]}: no such program" if missing else str(error)
            return None, task_pb2.TaskError(type="NOT_STARTED", message=why)
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
            raise TooLarge()
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
        task.finish_time.CopyFrom(now())
        self._publish(task, scheduler_pb2.TaskEvent.KIND_UPDATED)

    def _publish(self, task, kind) -> None:
        copy = task_pb2.Task()
        copy.CopyFrom(task)
        if copy.error.type == "TooLarge":
            task.error.type = copy.error.type = "RESULT_TOO_LARGE"
        copy.ClearField("spec")
        revision = len(self.events)
        self.events.append(scheduler_pb2.TaskEvent(kind=kind, task=copy, revision=revision))
        self.lock.notify_all()


class TooLarge(Exception):
    pass
