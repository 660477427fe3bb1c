"""A job, as its submitter sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar, Unpack

import grpc

from quorate.client.jobs import requests
from quorate.client.jobs.create import append, cancel_request
from quorate.client.jobs.progress import JobProgress, progress_of
from quorate.client.jobs.specs import encoder_of
from quorate.client.jobs.states import is_finished, state_name
from quorate.client.jobs.values import (
    ENDED_BADLY,
    Failures,
    Raw,
    Reader,
    Shape,
    SubtaskOutcome,
    check_failures,
    exception_of,
    failed_part,
    failure_of,
    outcome_of,
    result_of,
    value_of,
)
from quorate.client.pages import pages
from quorate.client.tracking.waiting import BRIEF_SECONDS, is_brief, waiting
from quorate.client.transport.calls import Calls
from quorate.client.transport.job_rpcs import (
    CANCEL_JOB,
    CLOSE_JOB,
    DELETE_JOB,
    GET_JOB,
    LIST_JOB_ERRORS,
    LIST_SUBTASKS,
    PAUSE_JOB,
    READ_JOB_RESULTS,
    RESUME_JOB,
    RETRY_JOB,
    UPDATE_JOB,
    WAIT_JOB,
)
from quorate.client.transport.rpcs import (
    LOG_DEADLINE,
    LOG_LOOK,
    POLL,
    TryAgain,
    judge,
    new_request_id,
)
from quorate.client.work.job_updates import JobUpdateArgs
from quorate.client.work.specs import GREATEST_PAYLOAD_LIMIT
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2

R = TypeVar("R")

_PAGE: Final = 1_000


class JobHandle(Generic[R]):
    """A job on the cluster. Thread-safe; cheap; `Client.job(id)` makes one for any job.

    Handles of the same job are equal. One can be pickled, also as an argument of a task: where it
    is unpickled it goes through the client of that process (address as in `Client()`).
    """

    def __init__(
        self,
        calls: Calls | None,
        job_id: str,
        *,
        pickled: bool = True,
        limit: int = GREATEST_PAYLOAD_LIMIT,
    ) -> None:
        self.id = job_id
        # None: of this process's client, opened when first needed.
        self._given = calls
        # Whether results may be pickles: not those of a program, or of calls with JSON.
        self._pickled = pickled
        # Bytes of one item.
        self._limit = limit
        self._finished: job_pb2.Job | None = None
        self._shape: Shape | None = None
        # One appends at a time: positions follow one another.
        self._appending = threading.Lock()

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, JobHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return JobHandle.restored, (self.id, self._pickled)

    @staticmethod
    def restored(job_id: str, pickled: bool) -> JobHandle[Any]:
        """A handle that was pickled; it goes through the client of this process."""
        return JobHandle(None, job_id, pickled=pickled)

    @property
    def calls(self) -> Calls:
        """The transport that it goes through."""
        return self._calls

    @property
    def _calls(self) -> Calls:
        if self._given is None:
            from quorate.client.shared import process_client  # which makes handles itself

            self._given = process_client().calls
        return self._given

    def job(self) -> job_pb2.Job:
        """The job as it is now, with its counts."""
        return self._settled(self._calls.call(GET_JOB, requests.get(self.id)).job)

    def status(self) -> str:
        """Its state: ACTIVE, PAUSED, SUCCEEDED, FAILED or CANCELLED."""
        return state_name(self._finished or self.job())

    def done(self) -> bool:
        """Whether it is finished, in whatever way."""
        return self._finished is not None or is_finished(self.job())

    @property
    def progress(self) -> JobProgress:
        """How far it is: asks the cluster each time."""
        return progress_of(self.job(), time.time())

    def wait(
        self, timeout: float | None = None, *, notify: Callable[[job_pb2.Job], object] | None = None
    ) -> job_pb2.Job:
        """Wait until it is finished and return it, whatever became of it.

        `timeout`: seconds, None for ever; then builtin TimeoutError, and the job goes on. `notify`
        gets the job a few times a second meanwhile.
        """
        if self._finished is not None:
            return self._finished
        end = None if timeout is None else time.monotonic() + timeout
        if is_brief(timeout):
            return self._wait(timeout, end, notify)
        job = self._poll(BRIEF_SECONDS, end)
        if is_finished(job):
            return job
        with waiting():
            return self._wait(timeout, end, notify)

    def _wait(
        self,
        timeout: float | None,
        end: float | None,
        notify: Callable[[job_pb2.Job], object] | None,
    ) -> job_pb2.Job:
        most = POLL if notify is None else requests.NOTIFY_SECONDS
        while True:
            left = most if end is None else min(most, max(0.001, end - time.monotonic()))
            job = self._poll(left, end)
            if notify is not None:
                notify(job)
            if is_finished(job):
                return job
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(
                    f"job {self.id} is still {state_name(job)} after {timeout:g} s "
                    f"({progress_of(job, time.time())})"
                )

    def _poll(self, seconds: float, end: float | None) -> job_pb2.Job:
        """The job when it is finished, at the latest after `seconds`."""
        patience = self._calls.retry_for
        if end is not None:
            patience = min(patience, max(0.001, end - time.monotonic()))
        request = requests.wait(self.id, seconds)
        answer = self._calls.call(WAIT_JOB, request, deadline=seconds + 2.0, retry_for=patience)
        return self._settled(answer.job)

    def _settled(self, job: job_pb2.Job) -> job_pb2.Job:
        if is_finished(job):
            self._finished = job
        return job

    def result(self, timeout: float | None = None) -> Any:
        """Wait for a job with a reduce; what its last reduce returned.

        `timeout` as in `wait`. Raises the exception of the subtask or reduce that failed first,
        TaskFailed, TaskCancelled; QuorateError (FAILED_PRECONDITION) for a job without a reduce.
        """
        job = self.wait(timeout)
        if job.state == job_pb2.JOB_STATE_SUCCEEDED:
            return result_of(job, pickled=self._pickled)
        part = failed_part(job)
        failed = JobHandle(self._given, part, pickled=self._pickled).subtasks(("failed",))
        raise failure_of(job, part, next(failed, None), pickled=self._pickled)

    def results(self, *, wait: bool = True, failures: Failures = "raise") -> Iterator[R]:
        """The subtasks' values in the order of their indexes, read page by page as needed.

        Args:
            wait: wait for subtasks that are not finished. Without it the values end at the first
                one that is not.
            failures: of a subtask that failed or was cancelled: "raise" its exception, "return" the
                exception in its place, or "skip" it.

        Raises the subtask's own exception, TaskFailed, TaskCancelled or QuorateError.
        """
        check_failures(failures)
        shape = self.shape()
        failed = self.failures()
        for raw in self.raw_results(wait=wait):
            if raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED:
                yield value_of(self.id, raw, shape, pickled=self._pickled)
                continue
            if raw.state not in ENDED_BADLY:
                return
            if failures == "skip":
                continue
            error = exception_of(self.id, raw, failed(raw), pickled=self._pickled)
            if failures == "raise":
                raise error
            yield error  # type: ignore[misc]  # as asked for

    def outcomes(self, *, wait: bool = True) -> Iterator[SubtaskOutcome]:
        """As `results`, what became of each subtask: index, state, value or error.

        Without `wait` also of those that are not finished.
        """
        shape = self.shape()
        failed = self.failures()
        for raw in self.raw_results(wait=wait):
            details = failed(raw)
            yield outcome_of(self.id, raw, details, shape, pickled=self._pickled)

    def outcome(self, index: int) -> SubtaskOutcome:
        """What became of one subtask, by its index; without waiting for it.

        Raises QuorateError: INVALID_ARGUMENT for an index that the job does not have.
        """
        raw, details = self.raw_result(index)
        return outcome_of(self.id, raw, details, self.shape(), pickled=self._pickled)

    def raw_result(self, index: int) -> tuple[Raw, job_pb2.Subtask | None]:
        """As `outcome`, without reading the value; and the details of one that failed."""
        shape = self.shape()
        position = shape.position_of(index)
        reader = Reader(self.id, shape, follow=False, position=position, count=1)
        raw = next(self._read(reader), None)
        if raw is None:
            raise invalid("index", f"{index} is none of job {self.id}: it has fewer subtasks")
        return raw, self.failures()(raw)

    def raw_results(self, *, wait: bool = True) -> Iterator[Raw]:
        """As `outcomes`, without reading the values: nothing is unpickled."""
        reader = Reader(self.id, self.shape(), follow=wait)
        yield from self._read(reader)

    def _read(self, reader: Reader) -> Iterator[Raw]:
        end = time.monotonic() + self._calls.retry_for
        while True:
            request = reader.request()
            stream = self._calls.stream(READ_JOB_RESULTS, request, deadline=LOG_DEADLINE)
            try:
                with stream as (address, call):
                    while True:
                        with waiting():
                            answer = next(call, None)
                        if answer is None:
                            return
                        end = time.monotonic() + self._calls.retry_for
                        yield from reader.take(answer)
            except grpc.RpcError as error:
                verdict = judge(error)
                if not isinstance(verdict, TryAgain):
                    raise verdict from error
                self._calls.on_failure(address, verdict.error)
                if time.monotonic() >= end:
                    raise verdict.error from error
            time.sleep(LOG_LOOK)

    def shape(self) -> Shape:
        """What its indexes are, and whether it runs a program; asked for once."""
        if self._shape is None:
            self._shape = Shape.of(self.job().spec)
        return self._shape

    def failures(self) -> Callable[[Raw], job_pb2.Subtask | None]:
        """Finds the details of failed subtasks, which are wanted in the order of their indexes."""
        finder = requests.InOrder()

        def find(raw: Raw) -> job_pb2.Subtask | None:
            if raw.state != job_pb2.SUBTASK_STATE_FAILED:
                return None
            while (request := finder.wanted(self.id, raw.index)) is not None:
                finder.take(self._calls.call(LIST_SUBTASKS, request))
            return finder.found(raw.index)

        return find

    def errors(self) -> list[job_pb2.JobErrorGroup]:
        """Its failures grouped by error, the most frequent first; at most 100 groups."""
        return list(self._calls.call(LIST_JOB_ERRORS, requests.errors(self.id)).groups)

    def subtasks(self, states: Sequence[str] = ()) -> Iterator[job_pb2.Subtask]:
        """Subtasks with attempt, result or error, by index; `states` such as "failed"."""
        for answer in self._subtask_pages(states, details=True):
            yield from answer.subtasks

    def ranges(self, states: Sequence[str] = ()) -> Iterator[job_pb2.SubtaskRange]:
        """Neighbours in the same state, by index; `states` such as "failed"."""
        for answer in self._subtask_pages(states, details=False):
            yield from answer.ranges

    def _subtask_pages(self, states: Sequence[str], *, details: bool) -> Iterator[Any]:
        request = requests.subtasks(self.id, states, details=details, page_size=_PAGE)
        return pages(self._calls, LIST_SUBTASKS, request)

    def append(self, items: Iterable[Any]) -> int:
        """Append items to an open array; the number of items that it has then.

        Sent in requests of bounded size; `items` is read as they are sent. Several programs may
        append at the same time: items of another one can then be between these. Raises
        QuorateError, such as FAILED_PRECONDITION when the array is closed.
        """
        with self._appending:
            job = self.job()
            encode = encoder_of(job.spec.template, self._limit)
            return append(self._calls, self.id, items, encode, job.count, new_request_id())

    def close(self) -> None:
        """Say that no more items follow: an open array finishes with the last one."""
        self._calls.call(CLOSE_JOB, requests.close(self.id))

    def cancel(self) -> bool:
        """Cancel it: waiting subtasks at once, those on nodes are ended first.

        True when it is, or is going to be, cancelled; False when it finished otherwise.
        """
        try:
            self._calls.call(CANCEL_JOB, cancel_request(self.id))
        except QuorateError as error:
            if error.code is grpc.StatusCode.FAILED_PRECONDITION:
                return False
            raise
        return True

    def pause(self) -> None:
        """Start no more of its subtasks; those on nodes go on."""
        self._calls.call(PAUSE_JOB, requests.pause(self.id))

    def resume(self) -> None:
        """Undo `pause`."""
        self._calls.call(RESUME_JOB, requests.resume(self.id))

    def update(self, **changes: Unpack[JobUpdateArgs]) -> job_pb2.Job:
        """Change it while it is not finished: `name`, `labels` (as a whole), `priority`,
        `max_parallel`, `max_failures`, `max_failure_share`, `close_after_idle`; the job as it is
        then. None is the default, such as no limit. What is on nodes goes on.

        Raises QuorateError (FAILED_PRECONDITION) when it is finished, or ends.
        """
        job: job_pb2.Job = self._calls.call(UPDATE_JOB, requests.update(self.id, changes)).job
        return job

    def retry(self) -> None:
        """Run the failed and cancelled subtasks of a finished job again, under the same id.

        Raises QuorateError (FAILED_PRECONDITION) while it is not finished, or when none failed.
        """
        self._calls.call(RETRY_JOB, requests.retry(self.id))
        self._finished = None

    def delete(self) -> None:
        """Delete the records of a finished job, its results too."""
        self._calls.call(DELETE_JOB, requests.delete(self.id))
