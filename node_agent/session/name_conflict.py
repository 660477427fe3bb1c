"""Whether another agent lives under the name that this one is to have.

Every answer of an agent's health service carries its instance id in the initial metadata, as a
scheduler's does. Who is about to register asks the address on record: only the very process that
wrote the record counts. A refused connection, or somebody else there, means that it is gone; then
it is succeeded, as after a crash. Silence means nothing: a process under load answers late, and one
that is cut off from here may work. While its lease lasts it is asked again (`registration`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc_health.v1 import _async as health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.ids import INSTANCE_METADATA
from quorate.security.tls.dialer import ONE_QUESTION, Dialer

# Seconds for the other process to answer.
_PATIENCE: Final = 1.0


class NodeHealth(health.HealthServicer):  # type: ignore[misc]  # no types
    """The standard health service, which also says which process is answering."""

    def __init__(self, instance: Callable[[], str]) -> None:
        super().__init__()
        self._instance = instance

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        """See grpc.health.v1.Health."""
        await context.send_initial_metadata(((INSTANCE_METADATA, self._instance()),))
        return await super().Check(request, context)


async def is_alive(record: NodeRecord, dialer: Dialer) -> bool | None:
    """Whether the process that wrote `record` answers at its address; None: nobody said anything
    for a second."""
    channel = dialer.open(record.address, ONE_QUESTION)
    try:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        call = stub.Check(health_pb2.HealthCheckRequest(), timeout=_PATIENCE)
        await call
        metadata = await call.initial_metadata()
        return bool(metadata.get(INSTANCE_METADATA) == record.instance)
    except grpc.aio.AioRpcError as error:
        return None if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else False
    finally:
        await channel.close(None)
