"""Many tasks by few calls from an asyncio program. The twin of `bulk`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import grpc

from quorate.client.mapping.bulk import MOST_IDS, BulkCall, C, Req, Res, next_page
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.policy import is_lost
from quorate.client.transport.rpcs import CANCEL_TASK, CANCEL_TASKS, new_request_id
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb


async def make(calls: AsyncCalls, call: BulkCall[Req, Res, C], requests: Iterable[Any]) -> C:
    """As `BulkCall.make`."""
    total: C | None = None
    for first in requests:
        request = first
        while request is not None:
            answer: Any = await calls.call(call.rpc, request)
            counts = call.counts(answer)
            total = counts if total is None else total + counts
            request = next_page(request, answer.next_page_token)
    return total if total is not None else call.counts(call.rpc.response())


async def give_up(calls: AsyncCalls, ids: Sequence[str], *, seconds: float) -> None:
    """As `bulk.give_up`."""
    end = time.monotonic() + seconds
    for start in range(0, len(ids), MOST_IDS):
        part = ids[start : start + MOST_IDS]
        request = pb.CancelTasksRequest(ids=part, request_id=new_request_id())
        left = end - time.monotonic()
        if left <= 0:
            return
        try:
            await calls.call(CANCEL_TASKS, request, retry_for=left)
        except QuorateError as error:
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:
                return
            await _one_by_one(calls, part, end)


async def _one_by_one(calls: AsyncCalls, ids: Sequence[str], end: float) -> None:
    for task_id in ids:
        left = end - time.monotonic()
        if left <= 0:
            return
        request = pb.CancelTaskRequest(id=task_id, request_id=new_request_id())
        try:
            await calls.call(CANCEL_TASK, request, deadline=left, retry_for=0)
        except QuorateError as error:
            if is_lost(error):
                return
