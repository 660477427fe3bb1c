"""CancelAllTasks, RetryAllTasks and DeleteAllTasks: one page after the other until none is left.

Each page is the call about many tasks that it would be by itself (`calls`), with its record, its
entry of the audit log and its turn among callers. Its request id is made of the call's and of its
number, so that a repeat of the whole goes through the pages that are done without doing anything.
Nothing is kept between two pages but the totals.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.servicer import Context
from scheduler.api.validate import MAX_REQUEST_ID, at_most

# Behind the id of the whole: a stroke, and the number of a page.
_NUMBER: Final = 9
_MOST_ID: Final = MAX_REQUEST_ID - _NUMBER

# What a filter may consist of.
_FILTER: Final = ("queue", "states", "text", "error_group")

_Call = Callable[[Any, Context], Awaitable[Any]]


class _Pages(Protocol):
    """The calls that answer one page each."""

    async def CancelTasks(self, request: pb.CancelTasksRequest, context: Context) -> Message: ...

    async def RetryTasks(self, request: pb.RetryTasksRequest, context: Context) -> Message: ...

    async def DeleteTasks(self, request: pb.DeleteTasksRequest, context: Context) -> Message: ...


class AllTasksCalls:
    """One method for each RPC; each raises QuorateError.

    Args:
        calls: answers for pages.
    """

    def __init__(self, calls: _Pages) -> None:
        self._calls = calls

    async def CancelAllTasks(
        self, request: pb.CancelAllTasksRequest, context: Context
    ) -> AsyncIterator[Message]:
        cancelled = stopping = skipped = 0
        page = pb.CancelTasksRequest()
        async for answer in _pages(self._calls.CancelTasks, page, request, context):
            cancelled += answer.cancelled
            stopping += answer.stopping
            skipped += answer.finished + answer.skipped
            yield pb.CancelAllTasksResponse(
                cancelled=cancelled,
                stopping=stopping,
                skipped=skipped,
                complete=not answer.next_page_token,
            )

    async def RetryAllTasks(
        self, request: pb.RetryAllTasksRequest, context: Context
    ) -> AsyncIterator[Message]:
        retried = skipped = over_quota = 0
        last_start = None
        page = pb.RetryTasksRequest(max_rate=request.max_rate)
        async for answer in _pages(self._calls.RetryTasks, page, request, context):
            retried += answer.retried
            skipped += answer.not_finished + answer.skipped
            over_quota += answer.over_quota
            if answer.HasField("last_start_time"):
                last_start = answer.last_start_time
            yield pb.RetryAllTasksResponse(
                retried=retried,
                skipped=skipped,
                over_quota=over_quota,
                last_start_time=last_start,
                complete=not answer.next_page_token,
            )

    async def DeleteAllTasks(
        self, request: pb.DeleteAllTasksRequest, context: Context
    ) -> AsyncIterator[Message]:
        deleted = skipped = 0
        page = pb.DeleteTasksRequest()
        async for answer in _pages(self._calls.DeleteTasks, page, request, context):
            deleted += answer.deleted
            skipped += answer.not_finished + answer.skipped
            yield pb.DeleteAllTasksResponse(
                deleted=deleted, skipped=skipped, complete=not answer.next_page_token
            )


async def _pages(
    call: _Call, page: Any, request: Any, context: Context
) -> AsyncGenerator[Any, None]:
    """The answers of all pages of a filter.

    Args:
        page: the first page's request, but for what is in `request`, too.
    """
    request_id = request.request_id
    at_most("request_id", len(request_id), _MOST_ID, "characters")
    fields = [name for name in _FILTER if name in request.DESCRIPTOR.fields_by_name]
    if not any(getattr(request, name) for name in fields):
        raise invalid(
            "queue",
            f"is required, or another filter: at least one of {', '.join(fields)}; to mean the "
            "tasks of all queues, name their states",
        )
    for name in fields:
        if name != "states":
            setattr(page, name, getattr(request, name))
    page.states.extend(request.states)
    page.validate_only = request.validate_only
    number = 0
    while True:
        page.request_id = f"{request_id}/{number}" if request_id else ""
        answer = await call(page, context)
        yield answer
        if not answer.next_page_token:
            return
        page.page_token = answer.next_page_token
        number += 1
