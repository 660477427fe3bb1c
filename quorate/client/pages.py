"""Lists that come in pages, as plain iterators."""

from __future__ import annotations

from collections.abc import Iterator

from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import (
    LIST_AUDIT_ENTRIES,
    LIST_LIMITS,
    LIST_NODES,
    LIST_PAUSES,
    LIST_QUEUES,
    LIST_QUOTAS,
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


def list_nodes(calls: Calls) -> Iterator[node_pb2.Node]:
    """Every registered node by name."""
    token = ""
    while True:
        answer = calls.call(LIST_NODES, scheduler_pb2.ListNodesRequest(page_token=token))
        yield from answer.nodes
        token = answer.next_page_token
        if not token:
            return


def list_queues(calls: Calls) -> Iterator[queue_pb2.Queue]:
    """Every queue by name, with its counts."""
    token = ""
    while True:
        answer = calls.call(LIST_QUEUES, scheduler_pb2.ListQueuesRequest(page_token=token))
        yield from answer.queues
        token = answer.next_page_token
        if not token:
            return


def list_quotas(calls: Calls) -> Iterator[quota_pb2.Quota]:
    """The quotas of callers and queues, by name."""
    request = scheduler_pb2.ListQuotasRequest()
    while True:
        answer = calls.call(LIST_QUOTAS, request)
        yield from answer.quotas
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def list_limits(calls: Calls) -> Iterator[limit_pb2.Limit]:
    """The shared limits by name, with what is used of them."""
    request = limit_pb2.ListLimitsRequest()
    while True:
        answer = calls.call(LIST_LIMITS, request)
        yield from answer.limits
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def list_pauses(calls: Calls) -> Iterator[pause_pb2.Pause]:
    """The pauses of tasks that match, by name."""
    request = pause_pb2.ListPausesRequest()
    while True:
        answer = calls.call(LIST_PAUSES, request)
        yield from answer.pauses
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def list_audit_entries(
    calls: Calls, request: scheduler_pb2.ListAuditEntriesRequest
) -> Iterator[audit_pb2.AuditEntry]:
    """Who changed what, newest first; `request` says which, and how many at a time."""
    while True:
        answer = calls.call(LIST_AUDIT_ENTRIES, request)
        yield from answer.entries
        request.page_token = answer.next_page_token
        if not request.page_token:
            return
