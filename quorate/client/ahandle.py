"""A task on the cluster, for an asyncio program. The twin of `handle`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Generator,
)
from typing import Any, Generic, TypeVar, Unpack

import grpc

from quorate.client.handle import TaskHandle
from quorate.client.tracking.loglines import LogPosition, LogSearch
from quorate.client.tracking.outcome import (
    is_finished,
    is_large,
    shown_state,
    state_name,
    value_of,
)
from quorate.client.tracking.waiting import BRIEF_SECONDS, is_brief, waiting
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.rpcs import (
    CANCEL_TASK,
    EXPLAIN_TASK,
    GET_TASK,
    LOG_DEADLINE,
    LOG_LOOK,
    PAUSE_TASK,
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
from quorate.v1 import explain_pb2, scheduler_pb2, task_pb2

R = TypeVar("R")


class AsyncTaskHandle(Generic[R]):
    """A task on the cluster; awaiting it is awaiting its `result()`."""

    def __init__(self, calls: AsyncCalls, task_id: str, *, pickled: bool = True) -> None:
        self.id = task_id
        self._calls = calls
        self._pickled = pickled
        self._finished: task_pb2.Task | None = None

    def __repr__(self) -> str:
        return f"AsyncTaskHandle({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, AsyncTaskHandle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        # As an argument of a task it arrives as a TaskHandle: an event loop does not travel.
        return TaskHandle.restored, (self.id, self._pickled, "")

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    async def result(self, timeout: float | None = None) -> R:
        """As `TaskHandle.result`."""
        task = await self.wait(timeout)
        if not is_large(task):
            value: R = value_of(task, pickled=self._pickled)
            return value
        file = await self._calls.large.get(task.result.blob)
        # Unpickling takes long too, and the file may be on disk.
        value = await asyncio.to_thread(
            value_of, task, pickled=self._pickled, large=lambda ref: file
        )
        return value

    async def wait(self, timeout: float | None = None) -> task_pb2.Task:
        """As `TaskHandle.wait`."""
        if self._finished is not None:
            return self._finished
        end = None if timeout is None else time.monotonic() + timeout
        if is_brief(timeout):
            return await self._wait(timeout, end)
        task = await self._poll(BRIEF_SECONDS, end)
        if is_finished(task):
            return task
        with waiting():
            return await self._wait(timeout, end)

    async def _poll(self, seconds: float, end: float | None) -> task_pb2.Task:
        """The task when it is finished, at the latest after `seconds`."""
        request = scheduler_pb2.WaitTaskRequest(id=self.id)
        request.timeout.FromNanoseconds(int(seconds * 1e9))
        patience = self._calls.retry_for
        if end is not None:
            patience = min(patience, max(0.001, end - time.monotonic()))
        answer = await self._calls.call(
            WAIT_TASK, request, deadline=seconds + 2.0, retry_for=patience
        )
        if is_finished(answer.task):
            self._finished = answer.task
        return answer.task

    async def _wait(self, timeout: float | None, end: float | None) -> task_pb2.Task:
        while True:
            poll = self._calls.poll
            left = poll if end is None else min(poll, max(0.001, end - time.monotonic()))
            task = await self._poll(left, end)
            if is_finished(task):
                return task
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(
                    f"task {self.id} is still {shown_state(task)} after {timeout:g} s"
                )

    async def done(self) -> bool:
        """Whether it is finished, in whatever way."""
        return self._finished is not None or is_finished(await self.task())

    async def status(self) -> str:
        """Its state, e.g. RUNNING. As `TaskHandle.status`."""
        return state_name(self._finished or await self.task())

    async def task(self, *, full: bool = False) -> task_pb2.Task:
        """The task as it is now; `full` includes the work's payload."""
        view = task_pb2.TASK_VIEW_FULL if full else task_pb2.TASK_VIEW_BASIC
        request = scheduler_pb2.GetTaskRequest(id=self.id, view=view)
        return (await self._calls.call(GET_TASK, request)).task

    async def progress(self) -> task_pb2.TaskProgress | None:
        """As `TaskHandle.progress`."""
        found = await self.task()
        return found.progress if found.HasField("progress") else None

    async def cancel(self) -> bool:
        """As `TaskHandle.cancel`."""
        request = scheduler_pb2.CancelTaskRequest(id=self.id, request_id=new_request_id())
        try:
            await self._calls.call(CANCEL_TASK, request)
        except QuorateError as error:
            if error.reason == "TASK_FINISHED":
                return False
            raise
        return True

    async def retry(self, spec: task_pb2.TaskSpec | None = None) -> None:
        """As `TaskHandle.retry`."""
        request = scheduler_pb2.RetryTaskRequest(id=self.id, request_id=new_request_id(), spec=spec)
        await self._calls.call(RETRY_TASK, request)
        self._finished = None

    async def pause(self, reason: str = "") -> None:
        """As `TaskHandle.pause`."""
        request = scheduler_pb2.PauseTaskRequest(
            id=self.id, request_id=new_request_id(), reason=reason
        )
        await self._calls.call(PAUSE_TASK, request)

    async def resume(self) -> None:
        """As `TaskHandle.resume`."""
        request = scheduler_pb2.ResumeTaskRequest(id=self.id, request_id=new_request_id())
        await self._calls.call(RESUME_TASK, request)

    async def signal(self, signal: SignalName) -> None:
        """As `TaskHandle.signal`."""
        await self._calls.call(SEND_SIGNAL, signal_request(self.id, signal))

    async def explain(self) -> explain_pb2.Explanation:
        """As `TaskHandle.explain`."""
        request = scheduler_pb2.ExplainTaskRequest(id=self.id)
        return (await self._calls.call(EXPLAIN_TASK, request)).explanation

    async def update(self, **changes: Unpack[UpdateArgs]) -> task_pb2.Task:
        """As `TaskHandle.update`."""
        fields = update_of(changes)
        fields["task"].id = self.id
        request = scheduler_pb2.UpdateTaskRequest(request_id=new_request_id(), **fields)
        return (await self._calls.call(UPDATE_TASK, request)).task

    async def logs(
        self, follow: bool = False, *, attempt: int = 0, tail: int = 0, head: int = 0
    ) -> AsyncIterator[scheduler_pb2.LogChunk]:
        """As `TaskHandle.logs`."""
        position = LogPosition(self.id, follow=follow, attempt=attempt, tail=tail, head=head)
        heard = time.monotonic()
        while True:
            stream = self._calls.stream(STREAM_TASK_LOGS, position.request(), deadline=LOG_DEADLINE)
            try:
                async with stream as (address, call):
                    async for answer in call:
                        heard = time.monotonic()
                        chunk = position.unread(answer.chunk)
                        if chunk is not None:
                            yield chunk
                return
            except grpc.RpcError as error:
                verdict = judge(error)
                if not (position.may_begin(verdict) and not await self.done()):
                    if not isinstance(verdict, TryAgain):
                        raise verdict from error
                    self._calls.on_failure(address, verdict.error)
                    last = heard + self._calls.retry_for
                    if position.gives_up(verdict.error, time.monotonic(), last):
                        raise verdict.error from error
            await asyncio.sleep(LOG_LOOK)

    async def search_logs(
        self, text: str, *, attempt: int = 0
    ) -> AsyncIterator[scheduler_pb2.LogMatch]:
        """As `TaskHandle.search_logs`."""
        search = LogSearch(self.id, text, attempt)
        while not search.complete:
            answer = await self._calls.call(SEARCH_TASK_LOGS, search.request())
            for match in search.take(answer):
                yield match
