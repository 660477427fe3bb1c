"""Lists that come in pages, as plain iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import (
    LIST_AUDIT_ENTRIES,
    LIST_LIMITS,
    LIST_NODES,
    LIST_PAUSES,
    LIST_QUEUES,
    LIST_QUOTAS,
    Req,
    Res,
    Rpc,
)
from quorate.v1 import (
    audit_pb2,
    limit_pb2,
    node_pb2,
    pause_pb2,
    queue_pb2,
    quota_pb2,
    scheduler_pb2,
)


def pages(calls: Calls, rpc: Rpc[Req, Res], request: Req) -> Iterator[Res]:
    """The answers to a call that lists, page after page. `request` is changed."""
    asked: Any = request
    while True:
        answer = calls.call(rpc, request)
        yield answer
        asked.page_token = _next(answer)
        if not asked.page_token:
            return


async def apages(calls: AsyncCalls, rpc: Rpc[Req, Res], request: Req) -> AsyncIterator[Res]:
    """As `pages`."""
    asked: Any = request
    while True:
        answer = await calls.call(rpc, request)
        yield answer
        asked.page_token = _next(answer)
        if not asked.page_token:
            return


def _next(answer: Any) -> str:
    token: str = answer.next_page_token
    return token


def list_nodes(calls: Calls) -> Iterator[node_pb2.Node]:
    """Every registered node by name."""
    for answer in pages(calls, LIST_NODES, scheduler_pb2.ListNodesRequest()):
        yield from answer.nodes


def list_queues(calls: Calls) -> Iterator[queue_pb2.Queue]:
    """Every queue by name, with its counts."""
    for answer in pages(calls, LIST_QUEUES, scheduler_pb2.ListQueuesRequest()):
        yield from answer.queues


def list_quotas(calls: Calls) -> Iterator[quota_pb2.Quota]:
    """The quotas of callers and queues, by name."""
    for answer in pages(calls, LIST_QUOTAS, scheduler_pb2.ListQuotasRequest()):
        yield from answer.quotas


def list_limits(calls: Calls) -> Iterator[limit_pb2.Limit]:
    """The shared limits by name, with what is used of them."""
    for answer in pages(calls, LIST_LIMITS, limit_pb2.ListLimitsRequest()):
        yield from answer.limits


def list_pauses(calls: Calls) -> Iterator[pause_pb2.Pause]:
    """The pauses of tasks that match, by name."""
    for answer in pages(calls, LIST_PAUSES, pause_pb2.ListPausesRequest()):
        yield from answer.pauses


def list_audit_entries(
    calls: Calls, request: scheduler_pb2.ListAuditEntriesRequest
) -> Iterator[audit_pb2.AuditEntry]:
    """Who changed what, newest first; `request` says which, and how many at a time."""
    for answer in pages(calls, LIST_AUDIT_ENTRIES, request):
        yield from answer.entries
