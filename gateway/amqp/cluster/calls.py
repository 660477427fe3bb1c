"""Unary calls of a connection. They are repeated over a change of leaders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.message import Message

from gateway.amqp.protocol.limits import MOST_BODY
from gateway.cluster.calls import Metadata, Upstream
from gateway.cluster.methods import Method, method_of
from quorate.client.transport.rpcs import new_request_id
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2, scheduler_pb2

_BROKER: Final = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
_STREAMS: Final = ("PublishStream", "Consume")
_METHODS: Final[dict[str, Method]] = {
    one.name: method_of(_BROKER, one.name) for one in _BROKER.methods if one.name not in _STREAMS
}
_GET_CLUSTER: Final = method_of(
    scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"], "GetCluster"
)
# Seconds of one round of tries; and of all of them: then the connection is closed.
_ROUND: Final = 15.0
_MOST: Final = 60.0
_PAUSE: Final = 0.2
_NOBODY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Answered(NamedTuple):
    """What the cluster says of a caller.

    Attributes:
        name: empty where callers are not known.
        most_body: bytes of the body of a message, at most.
    """

    name: str
    most_body: int


class Calls:
    """Of one connection.

    Args:
        metadata: whose calls they are, at that moment.
    """

    def __init__(self, upstream: Upstream, metadata: Callable[[], Metadata]) -> None:
        self._upstream = upstream
        self._metadata = metadata

    async def ask(self, rpc: str, request: Message) -> Any:
        """The answer of a method of `quorate.v1.Broker`. Raises QuorateError."""
        method = _METHODS[rpc]
        if method.has_request_id:
            # One for all rounds.
            request.request_id = new_request_id()  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        end = loop.time() + _MOST
        while True:
            try:
                return await self._upstream.unary(
                    method,
                    request,
                    timeout=_ROUND,
                    reads=not method.has_request_id,
                    metadata=self._metadata(),
                )
            except QuorateError as error:
                if error.code not in _NOBODY or loop.time() > end:
                    raise
                await asyncio.sleep(_PAUSE)

    async def caller(self) -> Answered:
        """What the cluster says of the caller. Raises QuorateError."""
        answer: Any = await self._upstream.unary(
            _GET_CLUSTER,
            scheduler_pb2.GetClusterRequest(),
            timeout=_ROUND,
            reads=True,
            metadata=self._metadata(),
        )
        return Answered(str(answer.caller.name), answer.cluster.max_message_bytes or MOST_BODY)
