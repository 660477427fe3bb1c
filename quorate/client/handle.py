"""A task that was submitted, as its submitter sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, Unpack

import grpc

from quorate.client.tracking.loglines import LogPosition, LogSearch
from quorate.client.tracking.outcome import is_finished, shown_state, state_name, value_of
from quorate.client.tracking.waiting import BRIEF_SECONDS, is_brief, waiting
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import (
    CANCEL_TASK,
    EXPLAIN_TASK,
    GET_TASK,
    LOG_DEADLINE,
    LOG_LOOK,
    PAUSE_TASK,
    POLL,
    RESUME_TASK,
    RETRY_TASK,
    SEARCH_TASK_LOGS,
    SEND_SIGNAL,
    STREAM_TASK_LOGS,
    UPDATE_TASK,
    WAIT_TASK,
    TryAgain,
    judge,
    new_request_id,
)
from quorate.client.work.running.signals import SignalName, signal_request
from quorate.client.work.updates import UpdateArgs, update_of
from quorate.runtime.errors import QuorateError
from quorate.v1 import explain_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb

R = TypeVar("R")


class TaskHandle(Generic[R]):
    """A task on the cluster. Thread-safe; cheap; `Client.get(id)` makes one for any task.

    Handles of the same task are equal. One can be pickled, also as an argument of a task: where it
    is unpickled it goes through the client of that process (address as in `Client()`).
    """

    def __init__(
        self, calls: Calls | None, task_id: str, *, pickled: bool = True, queue: str = ""
    ) -> None:
        self.id = task_id
        # None: of this process's client, opened when first needed.
        self._given = calls
        # Empty where it is not known yet.
        self._queue = queue
        # Whether an answer may be a pickle: not one to a program, or to a call with JSON.
        self._pickled = pickled
        self._finished: task_pb2.Task | None = None

    def __repr__(self) -> str:
        return f"TaskHandle({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, TaskHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskHandle.restored, (self.id, self._pickled, self._queue)

    @staticmethod
    def restored(task_id: str, pickled: bool, queue: str) -> TaskHandle[Any]:
        """A handle that was pickled; it goes through the client of this process."""
        return TaskHandle(None, task_id, pickled=pickled, queue=queue)

    @property
    def calls(self) -> Calls:
        """The transport that it goes through."""
        return self._calls

    @property
    def queue(self) -> str:
        """The queue that it is in; asks the cluster where this is not known."""
        if not self._queue:
            self._queue = self.task().queue
        return self._queue

    def settle(self, task: task_pb2.Task) -> None:
        """Take over that it is finished, seen by a watch; later calls need not ask."""
        self._finished = task

    @property
    def _calls(self) -> Calls:
        if self._given is None:
            from quorate.client.shared import process_client  # which makes handles itself

            self._given = process_client().calls
        return self._given

    def result(self, timeout: float | None = None) -> R:
        """Wait for the outcome: the function's value, or 0 for a command that ended well.

        `timeout`: seconds, None for ever; then builtin TimeoutError, and the task goes on.
        Raises the task's own exception, TaskFailed, TaskCancelled or QuorateError.
        """
        task = self.wait(timeout)
        value: R = value_of(
            task, pickled=self._pickled, large=lambda ref: self._calls.large.get(ref)
        )
        return value

    def wait(self, timeout: float | None = None) -> task_pb2.Task:
        """Wait until it is finished and return it, whatever became of it."""
        if self._finished is not None:
            return self._finished
        end = None if timeout is None else time.monotonic() + timeout
        if is_brief(timeout):
            return self._wait(timeout, end)
        task = self._poll(BRIEF_SECONDS, end)
        if is_finished(task):
            return task
        with waiting():
            return self._wait(timeout, end)

    def _poll(self, seconds: float, end: float | None) -> task_pb2.Task:
        """The task when it is finished, at the latest after `seconds`."""
        request = pb.WaitTaskRequest(id=self.id)
        request.timeout.FromNanoseconds(int(seconds * 1e9))
        patience = self._calls.retry_for
        if end is not None:
            patience = min(patience, max(0.001, end - time.monotonic()))
        task = self._calls.call(WAIT_TASK, request, deadline=seconds + 2.0, retry_for=patience).task
        if is_finished(task):
            self._finished = task
        return task

    def _wait(self, timeout: float | None, end: float | None) -> task_pb2.Task:
        while True:
            left = POLL if end is None else min(POLL, max(0.001, end - time.monotonic()))
            task = self._poll(left, end)
            if is_finished(task):
                return task
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(
                    f"task {self.id} is still {shown_state(task)} after {timeout:g} s"
                )

    def done(self) -> bool:
        """Whether it is finished, in whatever way."""
        return self._finished is not None or is_finished(self.task())

    def status(self) -> str:
        """Its state: SCHEDULED, PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED, EXPIRED.

        RUNNING is also the state of a task whose attempt is assigned to a node and has not started.
        """
        return state_name(self._finished or self.task())

    def task(self, *, full: bool = False) -> task_pb2.Task:
        """The task as it is now; `full` includes the work's payload."""
        view = task_pb2.TASK_VIEW_FULL if full else task_pb2.TASK_VIEW_BASIC
        return self._calls.call(GET_TASK, pb.GetTaskRequest(id=self.id, view=view)).task

    def progress(self) -> task_pb2.TaskProgress | None:
        """What the running attempt last said of itself: `fraction`, `text`, `update_time`.

        None: it runs not, or has said nothing. The task says it by `quorate.progress`.
        """
        found = self.task()
        return found.progress if found.HasField("progress") else None

    def cancel(self) -> bool:
        """Cancel it: at once when it waits, a running attempt is ended first.

        True when it is, or is going to be, cancelled; False when it finished otherwise.
        """
        request = pb.CancelTaskRequest(id=self.id, request_id=new_request_id())
        try:
            self._calls.call(CANCEL_TASK, request)
        except QuorateError as error:
            if error.reason == "TASK_FINISHED":
                return False
            raise
        return True

    def retry(self, spec: task_pb2.TaskSpec | None = None) -> None:
        """Have a FAILED, CANCELLED or EXPIRED task run again; QuorateError in any other state.

        `spec`: what it runs from now on, in place of its own (`task().spec`, changed).
        """
        request = pb.RetryTaskRequest(id=self.id, request_id=new_request_id(), spec=spec)
        self._calls.call(RETRY_TASK, request)
        self._finished = None

    def pause(self, reason: str = "") -> None:
        """Hold a task that waits back until `resume`; stop the processes of a program that runs.

        A stopped program keeps its slot, and its timeout stands still. Raises QuorateError of a
        function that runs, and in any other state.
        """
        request = pb.PauseTaskRequest(id=self.id, request_id=new_request_id(), reason=reason)
        self._calls.call(PAUSE_TASK, request)

    def resume(self) -> None:
        """Undo `pause`."""
        request = pb.ResumeTaskRequest(id=self.id, request_id=new_request_id())
        self._calls.call(RESUME_TASK, request)

    def signal(self, signal: SignalName) -> None:
        """Send a signal ("USR1", `signal.SIGUSR1`) to a program that runs.

        One of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH. It returns when the order is on its
        way. Raises ValueError of another signal, QuorateError when it is no program or does not
        run.
        """
        request = signal_request(self.id, signal)
        self._calls.call(SEND_SIGNAL, request)

    def explain(self) -> explain_pb2.Explanation:
        """Why it waits, where it runs, or how it ended: `sentence`, `reasons`, `nodes`, `place`."""
        return self._calls.call(EXPLAIN_TASK, pb.ExplainTaskRequest(id=self.id)).explanation

    def update(self, **changes: Unpack[UpdateArgs]) -> task_pb2.Task:
        """Change a task that waits: priority, labels (replaced as a whole), delay or not_before,
        timeout, start_deadline, retries, backoff, max_backoff, fatal_errors, crash_limit.

        Raises QuorateError (FAILED_PRECONDITION) once it is assigned, running or finished.
        """
        fields = update_of(changes)
        fields["task"].id = self.id
        request = pb.UpdateTaskRequest(request_id=new_request_id(), **fields)
        return self._calls.call(UPDATE_TASK, request).task

    def logs(
        self, follow: bool = False, *, attempt: int = 0, tail: int = 0, head: int = 0
    ) -> Iterator[pb.LogChunk]:
        """What it wrote, in pieces (`chunk.stream`, `chunk.offset`, `chunk.data`).

        `follow` waits for the attempt to begin and then for more until it ends; `attempt` 0 is
        the latest; `tail`: only the last so many lines of each stream, `head`: only the first. A
        stream that breaks is opened again. Raises QuorateError (UNAVAILABLE) when the node that has
        it cannot be reached.
        """
        position = LogPosition(self.id, follow=follow, attempt=attempt, tail=tail, head=head)
        return self._read_logs(position)

    def search_logs(self, text: str, *, attempt: int = 0) -> Iterator[pb.LogMatch]:
        """Lines of what it wrote that have `text` in them (`match.stream`, `match.line`,
        `match.offset` in bytes, `match.time`), of standard output first.

        They are looked for on the node, 64 MiB a call. Raises QuorateError as `logs` does.
        """
        search = LogSearch(self.id, text, attempt)
        while not search.complete:
            yield from search.take(self._calls.call(SEARCH_TASK_LOGS, search.request()))

    def _read_logs(self, position: LogPosition) -> Iterator[pb.LogChunk]:
        heard = time.monotonic()
        while True:
            stream = self._calls.stream(STREAM_TASK_LOGS, position.request(), deadline=LOG_DEADLINE)
            try:
                with stream as (address, call):
                    for answer in call:
                        heard = time.monotonic()
                        chunk = position.unread(answer.chunk)
                        if chunk is not None:
                            yield chunk
                return
            except grpc.RpcError as error:
                verdict = judge(error)
                if not (position.may_begin(verdict) and not self.done()):
                    if not isinstance(verdict, TryAgain):
                        raise verdict from error
                    self._calls.on_failure(address, verdict.error)
                    last = heard + self._calls.retry_for
                    if position.gives_up(verdict.error, time.monotonic(), last):
                        raise verdict.error from error
            time.sleep(LOG_LOOK)
