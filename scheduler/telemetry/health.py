"""The health service of a scheduler, which also says which process is answering.

Standard `grpc.health.v1.Health`, with one addition: every answer carries the process's instance
id in its initial metadata, so that a watcher can tell a restarted process from the one it knew.
The servicer owns the statuses; the app sets them. Nothing here fails on its own: a watcher that
goes away ends its own stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quorate.runtime.ids import INSTANCE_METADATA
from quorate.runtime.typed_requests import typed

SERVICE: Final = "quorate.v1.Scheduler"

_Context = grpc.aio.ServicerContext[Any, Any]


class InstanceHealth:
    """Health that names the instance.

    The process as a whole (service name "") is SERVING from the start.

    Args:
        instance: this process's instance id, as in its CandidateRecord.
    """

    def __init__(self, instance: str) -> None:
        self._metadata = ((INSTANCE_METADATA, instance),)
        self._statuses: dict[str, health_pb2.HealthCheckResponse.ServingStatus.ValueType] = {
            "": health_pb2.HealthCheckResponse.SERVING
        }
        self._changed = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        """Serve on `server`, beside its other services."""
        health_pb2_grpc.add_HealthServicer_to_server(self, typed(server))

    def set(self, service: str, *, serving: bool) -> None:
        """Set a service's status and notify its watchers."""
        response = health_pb2.HealthCheckResponse
        self._statuses[service] = response.SERVING if serving else response.NOT_SERVING
        # Everybody who waits holds the old event; later comers get the new one.
        self._changed.set()
        self._changed = asyncio.Event()

    def shut_down(self) -> None:
        """NOT_SERVING for every service: the process is about to go."""
        for service in self._statuses:
            self.set(service, serving=False)

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> health_pb2.HealthCheckResponse:
        """The status of one service, once. NOT_FOUND for one that was never set."""
        await context.send_initial_metadata(self._metadata)
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(
        self, request: health_pb2.HealthListRequest, context: _Context
    ) -> health_pb2.HealthListResponse:
        """The statuses of all services."""
        await context.send_initial_metadata(self._metadata)
        answer = health_pb2.HealthListResponse()
        for service, status in self._statuses.items():
            answer.statuses[service].status = status
        return answer

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status of one service and its changes, until the caller or the process leaves."""
        await context.send_initial_metadata(self._metadata)
        unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        sent: int | None = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, unknown)
            if status != sent:
                sent = status
                yield health_pb2.HealthCheckResponse(status=status)
            await changed.wait()
