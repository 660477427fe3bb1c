"""Drives an `ArrayPlan` from a synchronous program.

    create with the first items --> append while values are taken --> close
    read results in order: a value is handed out; a failure is raised; the rest is cancelled

A result that is too large for an array is had by a task: the item runs once more, as one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import grpc

from quorate.client.jobs.create import append_part, call_with_room, cancel_request
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.parts import Part
from quorate.client.jobs.values import Raw, Reader, Shape, exception_of, value_of
from quorate.client.mapping.mapper import CANCEL_SECONDS
from quorate.client.maps.plan import ArrayPlan, is_refused
from quorate.client.tracking.waiting import waiting
from quorate.client.transport.calls import Calls
from quorate.client.transport.job_rpcs import CANCEL_JOB, CREATE_JOB, READ_JOB_RESULTS
from quorate.client.transport.rpcs import LOG_DEADLINE, LOG_LOOK, TryAgain, judge, new_request_id
from quorate.client.unplaceable import warn_unplaceable
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb

SHAPE: Final = Shape(0, 1, is_command=False)
# Subtasks whose results are too large that run again as tasks side by side.
TOGETHER: Final = 64
# Seconds between two looks at a job of which nothing more is to start.
_LOOK: Final = 0.05

AsTasks = Callable[[Iterable[Any]], Iterator[Any]]
"""Values of items that travel as tasks, in order."""


class Control:
    """What others ask of a map that runs in a thread of its own. Thread-safe.

    Attributes:
        stopped: nobody wants more values, and what runs is ended.
        recalled: what has not begun is cancelled, and what runs goes on.
        seen: the map knows that it was recalled.
    """

    def __init__(self) -> None:
        self.stopped = self.recalled = self.seen = False
        self._lock = threading.Lock()
        self._call: Any = None

    def ask(self, *, stop: bool = False) -> None:
        """Stop, or recall."""
        with self._lock:
            self.stopped = self.stopped or stop
            self.recalled = self.recalled or not stop
            call = self._call
        if call is not None:
            call.cancel()

    def follow(self, call: Any) -> None:
        """This call is to be woken."""
        with self._lock:
            self._call = call
            late = self.stopped or (self.recalled and not self.seen)
        if late and call is not None:
            call.cancel()


class Stopped(Exception):
    """Nobody wants more values."""


class ArrayMap:
    """One map under way.

    Args:
        as_tasks: for what an array does not take.
        timeout: seconds for the whole map; None: no bound.
        control: of a map in a thread of its own; None: its caller's thread waits.
    """

    def __init__(
        self,
        calls: Calls,
        plan: ArrayPlan,
        queue: str,
        as_tasks: AsTasks,
        timeout: float | None = None,
        control: Control | None = None,
    ) -> None:
        self._calls = calls
        self._plan = plan
        self._queue = queue
        self._as_tasks = as_tasks
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout
        self._control = control or Control()
        self._own_thread = control is not None
        self._job = ""
        self._open = False
        # It was recalled before all its items were sent.
        self.cut = False

    def values(self) -> Iterator[Any]:
        """Values in order; the rest is cancelled when the caller stops or something fails."""
        plan, whole = self._plan, False
        try:
            while True:
                self._check()
                self._send()
                if not plan.held:
                    if plan.exhausted:
                        break
                    continue
                yield from self._read()
            whole = True
        finally:
            if not whole and self._job:
                self._cancel()
        if plan.rest is not None:
            yield from self._as_tasks(plan.rest)

    def _send(self) -> None:
        """Send what there is room for, and say when it was the last."""
        plan = self._plan
        first = plan.sent
        data = plan.gather()
        if data and not self._job:
            self._create(data)
        elif data:
            append_part(self._calls, self._job, Part(first, data))
        if self._open and plan.exhausted:
            JobHandle(self._calls, self._job).close()
            self._open = False

    def _create(self, data: list[bytes]) -> None:
        plan = self._plan
        spec = job_pb2.JobSpec(items=data, open=not plan.exhausted)
        spec.MergeFrom(plan.spec)
        request = pb.CreateJobRequest(queue=self._queue, spec=spec, request_id=new_request_id())
        try:
            answer = call_with_room(self._calls, CREATE_JOB, request)
        except QuorateError as error:
            if not is_refused(error):
                raise
            plan.start_over_as_tasks()
            return
        except KeyboardInterrupt:
            # It may have been created: the same request says under which id.
            self._job = self._calls.call(CREATE_JOB, request).job.id
            raise
        self._job, self._open = answer.job.id, answer.job.open
        warn_unplaceable(answer.warnings)

    def _read(self) -> Iterator[Any]:
        """Values until it is time to send more, or all that was sent is handed out."""
        plan = self._plan
        failed = JobHandle(self._calls, self._job).failures()
        raws = self._raws(plan.taken, len(plan.held))
        with contextlib.closing(raws):
            for raw in raws:
                if raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED:
                    plan.take()
                    yield value_of(self._job, raw, SHAPE, pickled=True)
                    if plan.wants_more:
                        return
                    continue
                details = failed(raw)
                if details is None or details.error.type != "RESULT_TOO_LARGE":
                    raise exception_of(self._job, raw, details, pickled=True)
                yield from self._too_large(raw, raws, failed)
                return

    def _too_large(
        self,
        first: Raw,
        raws: Generator[Raw, None, None],
        failed: Callable[[Raw], job_pb2.Subtask | None],
    ) -> Iterator[Any]:
        """The result of this one is too large, and those of its neighbours may be."""
        plan = self._plan
        plan.go_on_as_tasks()
        found: list[tuple[Raw, Any, bool]] = []
        error: BaseException | None = None
        for raw in (first, *islice(raws, TOGETHER - 1)):
            good = raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED
            details = None if good else failed(raw)
            again = details is not None and details.error.type == "RESULT_TOO_LARGE"
            if not good and not again:
                error = exception_of(self._job, raw, details, pickled=True)
                break
            found.append((raw, plan.take(), again))
        values = self._as_tasks([item for _, item, again in found if again])
        for raw, _, again in found:
            yield next(values) if again else value_of(self._job, raw, SHAPE, pickled=True)
        if error is not None:
            raise error

    def _raws(self, position: int, count: int) -> Generator[Raw, None, None]:
        """`count` subtasks from a position on, as they finish."""
        reader = Reader(self._job, SHAPE, follow=True, position=position, count=count)
        give_up = time.monotonic() + self._calls.retry_for
        while reader.position < position + count:
            self._check()
            request = reader.request()
            request.count = position + count - reader.position
            deadline = LOG_DEADLINE
            if self._end is not None:
                deadline = min(deadline, max(0.001, self._end - time.monotonic()))
            stream = self._calls.stream(READ_JOB_RESULTS, request, deadline=deadline)
            try:
                with stream as (address, call):
                    self._control.follow(call)
                    while (answer := self._next(call)) is not None:
                        give_up = time.monotonic() + self._calls.retry_for
                        yield from reader.take(answer)
                        if self._control.recalled and not self._control.seen:
                            break
                if reader.position < position + count and not self._control.recalled:
                    time.sleep(LOG_LOOK)
            except grpc.RpcError as error:
                self._check()
                if self._control.recalled:
                    continue
                verdict = judge(error)
                if not isinstance(verdict, TryAgain):
                    raise verdict from error
                self._calls.on_failure(address, verdict.error)
                if time.monotonic() >= give_up:
                    raise verdict.error from error
                time.sleep(LOG_LOOK)
            finally:
                self._control.follow(None)

    def _next(self, call: Any) -> Any:
        if self._own_thread:
            # Who waits is another thread.
            return next(call, None)
        with waiting():
            return next(call, None)

    def _check(self) -> None:
        """Do what others asked for; raises Stopped and TimeoutError."""
        control = self._control
        if control.stopped:
            raise Stopped
        if self._end is not None and time.monotonic() >= self._end:
            raise TimeoutError(f"the map did not finish within {self._timeout:g} s")
        if control.recalled and not control.seen:
            control.seen = True
            self._recall()

    def _recall(self) -> None:
        """Cancel what has not begun, and let go on what runs."""
        self.cut = not self._plan.exhausted
        self._plan.stop()
        if not self._job:
            return
        job = JobHandle[Any](self._calls, self._job)
        with contextlib.suppress(QuorateError):
            job.pause()
            while job.job().counts.running and not self._control.stopped:
                time.sleep(_LOOK)
        job.cancel()

    def _cancel(self) -> None:
        """End what nobody waits for any more: best effort."""
        with contextlib.suppress(QuorateError):
            self._calls.call(CANCEL_JOB, cancel_request(self._job), retry_for=CANCEL_SECONDS)
