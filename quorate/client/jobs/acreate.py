"""Creates arrays from an asyncio program. The twin of `create`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Any

from quorate.client.jobs.create import (
    CANCEL_SECONDS,
    append_request,
    cancel_request,
    first_request,
    go_on,
    is_full,
    is_over,
)
from quorate.client.jobs.parts import Part, parts_of
from quorate.client.jobs.specs import ArraySpec
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.job_rpcs import (
    APPEND_JOB_ITEMS,
    CANCEL_JOB,
    CLOSE_JOB,
    CREATE_JOB,
    GET_JOB,
)
from quorate.client.transport.rpcs import HELD_BACK, Req, Res, Rpc, new_request_id
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb


async def create(calls: AsyncCalls, array: ArraySpec, queue: str, request_id: str) -> job_pb2.Job:
    """As `create.create`."""
    stays_open = array.spec.open
    request, rest = first_request(array, queue, request_id)
    job = (await call_with_room(calls, CREATE_JOB, request)).job
    if not job.open:
        return job
    try:
        for part in rest:
            if part.items:
                job.count = await append_part(calls, job.id, part, repeated=bool(request_id))
        if not stays_open:
            close = pb.CloseJobRequest(id=job.id, request_id=new_request_id())
            job = (await calls.call(CLOSE_JOB, close)).job
    except BaseException as error:
        if is_over(error, repeated=bool(request_id)):
            return (await calls.call(GET_JOB, pb.GetJobRequest(id=job.id))).job
        # Shielded, within its bound: whoever cancels this coroutine wants the job ended.
        await asyncio.shield(_cancel(calls, job.id))
        raise
    return job


async def append(
    calls: AsyncCalls,
    job_id: str,
    items: Iterable[Any] | AsyncIterable[Any],
    encode: Callable[[Any, int], bytes],
    first: int,
    appender: str,
) -> int:
    """As `create.append`; `items` may be asynchronous too."""
    count = first
    async for part in _parts(items, encode, first):
        if part.items:
            at = count if appender else part.first
            count = await append_part(calls, job_id, replace(part, first=at), appender)
    return count


async def _parts(
    items: Iterable[Any] | AsyncIterable[Any], encode: Callable[[Any, int], bytes], first: int
) -> AsyncIterator[Part]:
    if not isinstance(items, AsyncIterable):
        for part in parts_of(items, encode, first):
            yield part
        return
    # One at a time: who appends as items come does not want them held back.
    position = first
    async for item in items:
        yield Part(position, [encode(item, position)])
        position += 1


async def append_part(
    calls: AsyncCalls, job_id: str, part: Part, appender: str = "", *, repeated: bool = False
) -> int:
    """As `create.append_part`."""
    asked = append_request(job_id, part, appender)
    while True:
        try:
            return (await call_with_room(calls, APPEND_JOB_ITEMS, asked)).count
        except QuorateError as error:
            if not go_on(asked, error, repeated=repeated):
                raise
        if not asked.items:
            return asked.first_position


async def _cancel(calls: AsyncCalls, job_id: str) -> None:
    with contextlib.suppress(QuorateError):
        await calls.call(CANCEL_JOB, cancel_request(job_id), retry_for=CANCEL_SECONDS)


async def call_with_room(calls: AsyncCalls, rpc: Rpc[Req, Res], request: Req) -> Res:
    """As `create.call_with_room`."""
    end = time.monotonic() + calls.retry_for
    while True:
        try:
            return await calls.call(rpc, request)
        except QuorateError as error:
            if not is_full(error) or time.monotonic() >= end:
                raise
        await asyncio.sleep(HELD_BACK)
