"""Drives an `ArrayPlan` from an asyncio program. The twin of `run`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

import grpc

from quorate.client.jobs.acreate import append_part, call_with_room
from quorate.client.jobs.ahandle import AsyncJobHandle
from quorate.client.jobs.create import cancel_request
from quorate.client.jobs.parts import Part
from quorate.client.jobs.values import Raw, Reader, exception_of, value_of
from quorate.client.mapping.mapper import CANCEL_SECONDS
from quorate.client.maps.plan import ArrayPlan, is_refused
from quorate.client.maps.run import SHAPE, TOGETHER
from quorate.client.tracking.waiting import waiting
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.job_rpcs import CANCEL_JOB, CREATE_JOB, READ_JOB_RESULTS
from quorate.client.transport.rpcs import LOG_DEADLINE, LOG_LOOK, TryAgain, judge, new_request_id
from quorate.client.unplaceable import warn_unplaceable
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb

AsTasks = Callable[[Iterable[Any]], AsyncIterator[Any]]
"""Values of items that travel as tasks, in order."""
_Finder = Callable[[Raw], Awaitable[job_pb2.Subtask | None]]


class AsyncArrayMap:
    """As `run.ArrayMap`, without a bound in time: that is `asyncio.timeout`."""

    def __init__(self, calls: AsyncCalls, plan: ArrayPlan, queue: str, as_tasks: AsTasks) -> None:
        self._calls = calls
        self._plan = plan
        self._queue = queue
        self._as_tasks = as_tasks
        self._job = ""
        self._open = False
        # Goes on when the coroutine is cancelled: only its answer says what there is to cancel.
        self._creating: asyncio.Task[None] | None = None

    async def values(self) -> AsyncGenerator[Any, None]:
        """Values in order; the rest is cancelled when the caller stops or something fails."""
        plan, whole = self._plan, False
        try:
            while True:
                await self._send()
                if not plan.held:
                    if plan.exhausted:
                        break
                    continue
                async with aclosing(self._read()) as found:
                    async for value in found:
                        yield value
            whole = True
        finally:
            if not whole:
                # Shielded, within its bound: whoever cancels this coroutine wants the job ended.
                await asyncio.shield(self._cancel())
        if plan.rest is not None:
            async for value in self._as_tasks(plan.rest):
                yield value

    async def _send(self) -> None:
        plan = self._plan
        first = plan.sent
        data = plan.gather()
        if data and not self._job:
            self._creating = asyncio.ensure_future(self._create(data))
            await asyncio.shield(self._creating)
            self._creating = None
        elif data:
            await append_part(self._calls, self._job, Part(first, data))
        if self._open and plan.exhausted:
            await AsyncJobHandle[Any](self._calls, self._job).close()
            self._open = False

    async def _create(self, data: list[bytes]) -> None:
        plan = self._plan
        spec = job_pb2.JobSpec(items=data, open=not plan.exhausted)
        spec.MergeFrom(plan.spec)
        request = pb.CreateJobRequest(queue=self._queue, spec=spec, request_id=new_request_id())
        try:
            answer = await call_with_room(self._calls, CREATE_JOB, request)
        except QuorateError as error:
            if not is_refused(error):
                raise
            plan.start_over_as_tasks()
            return
        self._job, self._open = answer.job.id, answer.job.open
        warn_unplaceable(answer.warnings)

    async def _read(self) -> AsyncGenerator[Any, None]:
        plan = self._plan
        failed = AsyncJobHandle[Any](self._calls, self._job).failures()
        async with aclosing(self._raws(plan.taken, len(plan.held))) as raws:
            async for raw in raws:
                if raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED:
                    plan.take()
                    yield value_of(self._job, raw, SHAPE, pickled=True)
                    if plan.wants_more:
                        return
                    continue
                details = await failed(raw)
                if details is None or details.error.type != "RESULT_TOO_LARGE":
                    raise exception_of(self._job, raw, details, pickled=True)
                async for value in self._too_large(raw, raws, failed):
                    yield value
                return

    async def _too_large(
        self, first: Raw, raws: AsyncGenerator[Raw, None], failed: _Finder
    ) -> AsyncGenerator[Any, None]:
        plan = self._plan
        plan.go_on_as_tasks()
        found: list[tuple[Raw, Any, bool]] = []
        error: BaseException | None = None
        raw: Raw | None = first
        while raw is not None:
            good = raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED
            details = None if good else await failed(raw)
            again = details is not None and details.error.type == "RESULT_TOO_LARGE"
            if not good and not again:
                error = exception_of(self._job, raw, details, pickled=True)
                break
            found.append((raw, plan.take(), again))
            raw = await anext(raws, None) if len(found) < TOGETHER else None
        values = aiter(self._as_tasks([item for _, item, again in found if again]))
        for one, _, again in found:
            if again:
                yield await anext(values)
            else:
                yield value_of(self._job, one, SHAPE, pickled=True)
        if error is not None:
            raise error

    async def _raws(self, position: int, count: int) -> AsyncGenerator[Raw, None]:
        reader = Reader(self._job, SHAPE, follow=True, position=position, count=count)
        give_up = time.monotonic() + self._calls.retry_for
        while reader.position < position + count:
            request = reader.request()
            request.count = position + count - reader.position
            stream = self._calls.stream(READ_JOB_RESULTS, request, deadline=LOG_DEADLINE)
            try:
                async with stream as (address, call):
                    answers = aiter(call)
                    while True:
                        with waiting():
                            answer = await anext(answers, None)
                        if answer is None:
                            break
                        give_up = time.monotonic() + self._calls.retry_for
                        for raw in reader.take(answer):
                            yield raw
                if reader.position < position + count:
                    await asyncio.sleep(LOG_LOOK)
            except grpc.RpcError as error:
                verdict = judge(error)
                if not isinstance(verdict, TryAgain):
                    raise verdict from error
                self._calls.on_failure(address, verdict.error)
                if time.monotonic() >= give_up:
                    raise verdict.error from error
                await asyncio.sleep(LOG_LOOK)

    async def _cancel(self) -> None:
        if self._creating is not None:
            await asyncio.wait((self._creating,), timeout=CANCEL_SECONDS)
        if self._job:
            with contextlib.suppress(QuorateError):
                await self._calls.call(
                    CANCEL_JOB, cancel_request(self._job), retry_for=CANCEL_SECONDS
                )
