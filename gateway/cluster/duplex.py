"""Streams in both directions, opened at whichever scheduler serves.

Requests and answers are bytes. The caller opens another stream when one ends, and says again what
it has to; `Upstream` learns what failed, so that the next one goes to another scheduler.
"""

from __future__ import annotations

from typing import Any

import grpc

from gateway.cluster.calls import Metadata, Upstream
from gateway.cluster.upstream_errors import typed
from quorate.client.transport.policy import Failure, failure_of
from quorate.runtime.errors import QuorateError, from_rpc_error

# What gRPC's own client calls a stream that broke while it was sending.
_BROKE_SENDING = "Internal error from Core"


class Duplex:
    """Streams of one method, one after the other.

    Attributes:
        heard: the present stream has answered.
        limited: why the last one ended, if a quota is used up for the moment.

    Args:
        path: of the method.
    """

    def __init__(self, upstream: Upstream, path: str) -> None:
        self.heard = False
        self.limited: QuorateError | None = None
        self._upstream = upstream
        self._path = path
        self._address = ""

    def open(self, metadata: Metadata) -> Any:
        """A new stream of bytes, without a deadline."""
        self.heard = False
        self._address, found = self._upstream.connection()
        # The stubs do not know that serializers may be left out.
        channel: Any = found
        return channel.stream_stream(self._path)(metadata=metadata)

    def on_answer(self) -> None:
        """The stream has answered."""
        if not self.heard:
            self.heard = True
            self._upstream.on_answer(self._address)

    def broken(self) -> None:
        """The stream ended, and nobody knows why."""
        self._upstream.on_failure(self._address, Failure.LOST)

    def on_error(self, error: grpc.aio.AioRpcError) -> QuorateError | None:
        """The stream ended with an error; what it says if opening another one is of no use."""
        failure = failure_of(error, from_rpc_error(error))
        if failure is Failure.FINAL and _BROKE_SENDING in (error.details() or ""):
            failure = Failure.LOST
        self._upstream.on_failure(self._address, failure)
        self.limited = None
        if failure is Failure.LIMITED:
            self.limited = typed(error, None, self._upstream.addresses)
        if failure is not Failure.FINAL:
            return None
        return typed(error, None, self._upstream.addresses)
