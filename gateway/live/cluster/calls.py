"""The calls that live updates make to the cluster, and which failures pass by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

import grpc

from gateway.cluster.methods import Method, method_of
from gateway.live import limits
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2, service_pb2

_SCHEDULER = scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]
_REGISTRY = service_pb2.DESCRIPTOR.services_by_name["ServiceRegistry"]

GET_CLUSTER: Final = method_of(_SCHEDULER, "GetCluster")
GET_TASK: Final = method_of(_SCHEDULER, "GetTask")
LIST_TASKS: Final = method_of(_SCHEDULER, "ListTasks")
LIST_QUEUES: Final = method_of(_SCHEDULER, "ListQueues")
LIST_NODES: Final = method_of(_SCHEDULER, "ListNodes")
WATCH_JOBS: Final = method_of(_SCHEDULER, "WatchJobs")
WATCH_TASKS: Final = method_of(_SCHEDULER, "WatchTasks")
STREAM_LOGS: Final = method_of(_SCHEDULER, "StreamTaskLogs")
WATCH_SERVICES: Final = method_of(_REGISTRY, "WatchServices")

_PASSING: Final = frozenset(
    (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        # A crash of the other side looks like one of these.
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )
)
_PAGE: Final = 1_000


class Cluster(Protocol):
    """What is needed of `gateway.cluster.calls.Upstream`."""

    async def unary(
        self, method: Method, request: Any, *, timeout: float, reads: bool = False
    ) -> Any:
        """One answer. Raises UpstreamError."""

    def stream(
        self, method: Method, request: Any, *, timeout: float | None = None
    ) -> AsyncIterator[Any]:
        """Answers, without end. Raises UpstreamError."""


def passes(error: QuorateError) -> bool:
    """Whether trying again later may help."""
    return error.code in _PASSING


async def read(cluster: Cluster, method: Method, request: Any) -> Any:
    """The answer of a method that changes nothing. Raises QuorateError."""
    return await cluster.unary(method, request, timeout=limits.CALL, reads=True)


async def pages(
    cluster: Cluster, method: Method, make: Callable[[int, str], Any], most: int
) -> AsyncIterator[Any]:
    """The pages of a listing, until `most` items were asked for. Raises QuorateError."""
    token, asked = "", 0
    while asked < most:
        size = min(_PAGE, most)
        page = await read(cluster, method, make(size, token))
        yield page
        token, asked = page.next_page_token, asked + size
        if not token:
            return
