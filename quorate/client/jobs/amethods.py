"""What `AsyncClient` has of jobs. The twin of `methods`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.jobs import requests
from quorate.client.jobs.acreate import create
from quorate.client.jobs.ahandle import AsyncJobHandle
from quorate.client.jobs.specs import ArrayOptions, ArrayWork, array_of, split, template_of
from quorate.client.tracking.outcome import is_pickled
from quorate.client.transport.job_rpcs import LIST_JOBS
from quorate.client.work.texts import text_of
from quorate.v1 import job_pb2, task_pb2

if TYPE_CHECKING:
    from quorate.client.transport.acalls import AsyncCalls
    from quorate.client.work.options import TaskOptions


class AsyncJobMethods:
    """The methods about jobs; a part of `AsyncClient`."""

    if TYPE_CHECKING:
        _options: TaskOptions
        _limit: int

        @property
        def calls(self) -> AsyncCalls: ...

    async def array(
        self,
        work: ArrayWork,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        as_json: bool = False,
        **options: Unpack[ArrayOptions],
    ) -> AsyncJobHandle[Any]:
        """As `Client.array`."""
        given, task_options = split(options, self._options)
        template = template_of(work, args, kwargs or {}, task_options, time.time(), as_json=as_json)
        return await self._array(template, items, count, given, task_options)

    async def array_spec(
        self,
        template: task_pb2.TaskSpec,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        **options: Unpack[ArrayOptions],
    ) -> AsyncJobHandle[Any]:
        """As `Client.array_spec`."""
        given, task_options = split(options, self._options)
        return await self._array(template, items, count, given, task_options)

    async def _array(
        self,
        template: task_pb2.TaskSpec,
        items: Iterable[Any] | None,
        count: int | None,
        given: ArrayOptions,
        options: TaskOptions,
    ) -> AsyncJobHandle[Any]:
        array = array_of(template, items, count, given, limit=self._limit)
        job = await create(self.calls, array, options.queue, options.request_id)
        return AsyncJobHandle(self.calls, job.id, pickled=is_pickled(template), limit=self._limit)

    def job(self, job_id: str) -> AsyncJobHandle[Any]:
        """As `Client.job`."""
        return AsyncJobHandle(self.calls, text_of("id", job_id), limit=self._limit)

    async def jobs(
        self, *, queue: str = "", states: Sequence[str] = (), text: str = "", page_size: int = 100
    ) -> AsyncIterator[job_pb2.Job]:
        """As `Client.jobs`."""
        request = requests.jobs(queue, states, text, page_size)
        while True:
            answer = await self.calls.call(LIST_JOBS, request)
            for job in answer.jobs:
                yield job
            request.page_token = answer.next_page_token
            if not request.page_token:
                return
