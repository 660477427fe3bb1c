"""What `AsyncClient` has of jobs. The twin of `methods`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.jobs import requests
from quorate.client.jobs.acreate import create
from quorate.client.jobs.ahandle import AsyncJobHandle
from quorate.client.jobs.specs import (
    ArrayCall,
    ArrayOptions,
    ArrayWork,
    array_of,
    reduce_of,
    split,
    template_of,
)
from quorate.client.pages import apages
from quorate.client.tracking.outcome import is_pickled
from quorate.client.transport.job_rpcs import LIST_JOBS
from quorate.client.work.specs import Work
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
        now = time.time()
        template = template_of(work, args, kwargs or {}, task_options, now, as_json=as_json)
        reduce = reduce_of(given, task_options, now, as_json=as_json)
        return await self._array(template, items, count, given, task_options, reduce)

    async def map_reduce(
        self,
        work: ArrayWork,
        items: Iterable[Any] | None,
        reduce: Work,
        *,
        fan_in: int = 0,
        **options: Unpack[ArrayCall],
    ) -> AsyncJobHandle[Any]:
        """As `Client.map_reduce`."""
        return await self.array(work, items, reduce=reduce, fan_in=fan_in, **options)

    async def array_spec(
        self,
        template: task_pb2.TaskSpec,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        reduce_template: task_pb2.TaskSpec | None = None,
        **options: Unpack[ArrayOptions],
    ) -> AsyncJobHandle[Any]:
        """As `Client.array_spec`."""
        given, task_options = split(options, self._options)
        return await self._array(template, items, count, given, task_options, reduce_template)

    async def _array(
        self,
        template: task_pb2.TaskSpec,
        items: Iterable[Any] | None,
        count: int | None,
        given: ArrayOptions,
        options: TaskOptions,
        reduce: task_pb2.TaskSpec | None,
    ) -> AsyncJobHandle[Any]:
        array = array_of(template, items, count, given, limit=self._limit, reduce=reduce)
        job = await create(self.calls, array, options.queue, options.request_id)
        pickled = is_pickled(template) or (reduce is not None and is_pickled(reduce))
        return AsyncJobHandle(self.calls, job.id, pickled=pickled, limit=self._limit)

    def job(self, job_id: str) -> AsyncJobHandle[Any]:
        """As `Client.job`."""
        return AsyncJobHandle(self.calls, text_of("id", job_id), limit=self._limit)

    async def jobs(
        self, *, queue: str = "", states: Sequence[str] = (), text: str = "", page_size: int = 100
    ) -> AsyncIterator[job_pb2.Job]:
        """As `Client.jobs`."""
        request = requests.jobs(queue, states, text, page_size)
        async for answer in apages(self.calls, LIST_JOBS, request):
            for job in answer.jobs:
                yield job
