"""An active check of a gRPC instance: `grpc.health.v1.Health.Check` answers SERVING.

Plaintext, as agents ask replicas. A connection is made for each check and closed after it: a check
that finds yesterday's connection alive says nothing about the next client's.
"""

from __future__ import annotations

from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quorate.security.tls.dialer import ONE_QUESTION

_OPTIONS: Final = (
    *ONE_QUESTION,
    # Bytes: an answer is one enum, a head is a status and a sentence.
    ("grpc.max_receive_message_length", 1_024),
    ("grpc.max_metadata_size", 8_192),
)
# Characters of what an instance says of itself that go into the log.
_MOST_SAID: Final = 200


async def ask_grpc(host: str, port: int, service: str, timeout: float) -> str:
    """Why a check failed; "" when it passed.

    Args:
        service: the name to ask about; "" for the server as a whole.
        timeout: seconds for all of it.
    """
    name = f"[{host}]" if ":" in host else host
    async with grpc.aio.insecure_channel(f"{name}:{port}", options=_OPTIONS) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = await stub.Check(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            said = (error.details() or "")[:_MOST_SAID]
            return f"the gRPC health check failed with {error.code().name}: {said}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    statuses = health_pb2.HealthCheckResponse.ServingStatus
    known = answer.status in statuses.values()
    return f"the gRPC health check answered {statuses.Name(answer.status) if known else '?'}"
