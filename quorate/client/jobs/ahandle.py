"""A job, for an asyncio program. The twin of `handle`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Sequence,
)
from typing import Any, Final, Generic, TypeVar, Unpack

import grpc

from quorate.client.jobs import requests
from quorate.client.jobs.acreate import append
from quorate.client.jobs.create import cancel_request
from quorate.client.jobs.handle import JobHandle
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
from quorate.client.pages import apages
from quorate.client.tracking.waiting import BRIEF_SECONDS, is_brief, waiting
from quorate.client.transport.acalls import AsyncCalls
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
from quorate.client.transport.rpcs import LOG_DEADLINE, LOG_LOOK, TryAgain, judge, new_request_id
from quorate.client.work.job_updates import JobUpdateArgs
from quorate.client.work.specs import GREATEST_PAYLOAD_LIMIT
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2

R = TypeVar("R")

_PAGE: Final = 1_000


class AsyncJobHandle(Generic[R]):
    """A job on the cluster; awaiting it is awaiting its `wait()`."""

    def __init__(
        self,
        calls: AsyncCalls,
        job_id: str,
        *,
        pickled: bool = True,
        limit: int = GREATEST_PAYLOAD_LIMIT,
    ) -> None:
        self.id = job_id
        self._calls = calls
        self._pickled = pickled
        self._limit = limit
        self._finished: job_pb2.Job | None = None
        self._shape: Shape | None = None
        self._appending = asyncio.Lock()

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, AsyncJobHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        # As an argument of a task it arrives as a JobHandle: an event loop does not travel.
        return JobHandle.restored, (self.id, self._pickled)

    def __await__(self) -> Generator[Any, None, job_pb2.Job]:
        return self.wait().__await__()

    async def job(self) -> job_pb2.Job:
        """As `JobHandle.job`."""
        return self._settled((await self._calls.call(GET_JOB, requests.get(self.id))).job)

    async def status(self) -> str:
        """As `JobHandle.status`."""
        return state_name(self._finished or await self.job())

    async def done(self) -> bool:
        """Whether it is finished, in whatever way."""
        return self._finished is not None or is_finished(await self.job())

    async def progress(self) -> JobProgress:
        """As `JobHandle.progress`."""
        return progress_of(await self.job(), time.time())

    async def wait(
        self, timeout: float | None = None, *, notify: Callable[[job_pb2.Job], object] | None = None
    ) -> job_pb2.Job:
        """As `JobHandle.wait`."""
        if self._finished is not None:
            return self._finished
        end = None if timeout is None else time.monotonic() + timeout
        if is_brief(timeout):
            return await self._wait(timeout, end, notify)
        job = await self._poll(BRIEF_SECONDS, end)
        if is_finished(job):
            return job
        with waiting():
            return await self._wait(timeout, end, notify)

    async def _wait(
        self,
        timeout: float | None,
        end: float | None,
        notify: Callable[[job_pb2.Job], object] | None,
    ) -> job_pb2.Job:
        while True:
            most = self._calls.poll if notify is None else requests.NOTIFY_SECONDS
            left = most if end is None else min(most, max(0.001, end - time.monotonic()))
            job = await self._poll(left, end)
            if notify is not None:
                notify(job)
            if is_finished(job):
                return job
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(
                    f"job {self.id} is still {state_name(job)} after {timeout:g} s "
                    f"({progress_of(job, time.time())})"
                )

    async def _poll(self, seconds: float, end: float | None) -> job_pb2.Job:
        patience = self._calls.retry_for
        if end is not None:
            patience = min(patience, max(0.001, end - time.monotonic()))
        request = requests.wait(self.id, seconds)
        answer = await self._calls.call(
            WAIT_JOB, request, deadline=seconds + 2.0, retry_for=patience
        )
        return self._settled(answer.job)

    def _settled(self, job: job_pb2.Job) -> job_pb2.Job:
        if is_finished(job):
            self._finished = job
        return job

    async def result(self, timeout: float | None = None) -> Any:
        """As `JobHandle.result`."""
        job = await self.wait(timeout)
        if job.state == job_pb2.JOB_STATE_SUCCEEDED:
            return result_of(job, pickled=self._pickled)
        part = failed_part(job)
        failed = AsyncJobHandle(self._calls, part, pickled=self._pickled).subtasks(("failed",))
        raise failure_of(job, part, await anext(failed, None), pickled=self._pickled)

    async def results(self, *, wait: bool = True, failures: Failures = "raise") -> AsyncIterator[R]:
        """As `JobHandle.results`."""
        check_failures(failures)
        shape = await self.shape()
        failed = self.failures()
        async for raw in self.raw_results(wait=wait):
            if raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED:
                yield value_of(self.id, raw, shape, pickled=self._pickled)
                continue
            if raw.state not in ENDED_BADLY:
                return
            if failures == "skip":
                continue
            error = exception_of(self.id, raw, await failed(raw), pickled=self._pickled)
            if failures == "raise":
                raise error
            yield error  # type: ignore[misc]  # as asked for

    async def outcomes(self, *, wait: bool = True) -> AsyncIterator[SubtaskOutcome]:
        """As `JobHandle.outcomes`."""
        shape = await self.shape()
        failed = self.failures()
        async for raw in self.raw_results(wait=wait):
            details = await failed(raw)
            yield outcome_of(self.id, raw, details, shape, pickled=self._pickled)

    async def outcome(self, index: int) -> SubtaskOutcome:
        """As `JobHandle.outcome`."""
        raw, details = await self.raw_result(index)
        return outcome_of(self.id, raw, details, await self.shape(), pickled=self._pickled)

    async def raw_result(self, index: int) -> tuple[Raw, job_pb2.Subtask | None]:
        """As `JobHandle.raw_result`."""
        shape = await self.shape()
        position = shape.position_of(index)
        reader = Reader(self.id, shape, follow=False, position=position, count=1)
        raw = await anext(self._read(reader), None)
        if raw is None:
            raise invalid("index", f"{index} is none of job {self.id}: it has fewer subtasks")
        return raw, await self.failures()(raw)

    async def raw_results(self, *, wait: bool = True) -> AsyncIterator[Raw]:
        """As `JobHandle.raw_results`."""
        reader = Reader(self.id, await self.shape(), follow=wait)
        async for raw in self._read(reader):
            yield raw

    async def _read(self, reader: Reader) -> AsyncIterator[Raw]:
        end = time.monotonic() + self._calls.retry_for
        while True:
            request = reader.request()
            stream = self._calls.stream(READ_JOB_RESULTS, request, deadline=LOG_DEADLINE)
            try:
                async with stream as (address, call):
                    answers = aiter(call)
                    while True:
                        with waiting():
                            answer = await anext(answers, None)
                        if answer is None:
                            return
                        end = time.monotonic() + self._calls.retry_for
                        for raw in reader.take(answer):
                            yield raw
            except grpc.RpcError as error:
                verdict = judge(error)
                if not isinstance(verdict, TryAgain):
                    raise verdict from error
                self._calls.on_failure(address, verdict.error)
                if time.monotonic() >= end:
                    raise verdict.error from error
            await asyncio.sleep(LOG_LOOK)

    async def shape(self) -> Shape:
        """As `JobHandle.shape`."""
        if self._shape is None:
            self._shape = Shape.of((await self.job()).spec)
        return self._shape

    def failures(self) -> Callable[[Raw], Awaitable[job_pb2.Subtask | None]]:
        finder = requests.InOrder()

        async def find(raw: Raw) -> job_pb2.Subtask | None:
            if raw.state != job_pb2.SUBTASK_STATE_FAILED:
                return None
            while (request := finder.wanted(self.id, raw.index)) is not None:
                finder.take(await self._calls.call(LIST_SUBTASKS, request))
            return finder.found(raw.index)

        return find

    async def errors(self) -> list[job_pb2.JobErrorGroup]:
        """As `JobHandle.errors`."""
        return list((await self._calls.call(LIST_JOB_ERRORS, requests.errors(self.id))).groups)

    async def subtasks(self, states: Sequence[str] = ()) -> AsyncIterator[job_pb2.Subtask]:
        """As `JobHandle.subtasks`."""
        async for answer in self._subtask_pages(states, details=True):
            for subtask in answer.subtasks:
                yield subtask

    async def ranges(self, states: Sequence[str] = ()) -> AsyncIterator[job_pb2.SubtaskRange]:
        """As `JobHandle.ranges`."""
        async for answer in self._subtask_pages(states, details=False):
            for one in answer.ranges:
                yield one

    def _subtask_pages(self, states: Sequence[str], *, details: bool) -> AsyncIterator[Any]:
        request = requests.subtasks(self.id, states, details=details, page_size=_PAGE)
        return apages(self._calls, LIST_SUBTASKS, request)

    async def append(self, items: Iterable[Any] | AsyncIterable[Any]) -> int:
        """As `JobHandle.append`; `items` may be asynchronous too."""
        async with self._appending:
            job = await self.job()
            encode = encoder_of(job.spec.template, self._limit)
            return await append(self._calls, self.id, items, encode, job.count, new_request_id())

    async def close(self) -> None:
        """As `JobHandle.close`."""
        await self._calls.call(CLOSE_JOB, requests.close(self.id))

    async def cancel(self) -> bool:
        """As `JobHandle.cancel`."""
        try:
            await self._calls.call(CANCEL_JOB, cancel_request(self.id))
        except QuorateError as error:
            if error.code is grpc.StatusCode.FAILED_PRECONDITION:
                return False
            raise
        return True

    async def pause(self) -> None:
        """As `JobHandle.pause`."""
        await self._calls.call(PAUSE_JOB, requests.pause(self.id))

    async def resume(self) -> None:
        """As `JobHandle.resume`."""
        await self._calls.call(RESUME_JOB, requests.resume(self.id))

    async def update(self, **changes: Unpack[JobUpdateArgs]) -> job_pb2.Job:
        """As `JobHandle.update`."""
        answer = await self._calls.call(UPDATE_JOB, requests.update(self.id, changes))
        job: job_pb2.Job = answer.job
        return job

    async def retry(self) -> None:
        """As `JobHandle.retry`."""
        await self._calls.call(RETRY_JOB, requests.retry(self.id))
        self._finished = None

    async def delete(self) -> None:
        """As `JobHandle.delete`."""
        await self._calls.call(DELETE_JOB, requests.delete(self.id))
