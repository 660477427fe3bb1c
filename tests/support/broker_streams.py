"""A client of one of the broker's streams over plain stubs, which goes on when its leader ends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from math import inf
from typing import Any

import grpc

from quorate.v1 import broker_pb2_grpc
from tests.support.cluster import Cluster
from tests.support.tls import open_aio

_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class StreamClient(ABC):
    """Opens its stream again, at the schedulers in turn."""

    def __init__(self, cluster: Cluster) -> None:
        self._servers = list(cluster.schedulers.values())
        self._turn = 0
        self._changed = asyncio.Event()

    @property
    @abstractmethod
    def count(self) -> int:
        """How far it is. `_changed` is set when it changes."""

    @abstractmethod
    async def _stream(self, stub: Any) -> None:
        """One stream, until it ends."""

    async def reached(self, count: int) -> None:
        """Wait until it is so far."""
        async with asyncio.timeout(60):
            while self.count < count:
                self._changed.clear()
                await self._changed.wait()

    async def run(self, until: float = inf) -> None:
        """Until it is so far, or cancelled."""
        while self.count < until:
            server = self._servers[self._turn % len(self._servers)]
            self._turn += 1
            try:
                async with open_aio(server.address) as channel:
                    await self._stream(broker_pb2_grpc.BrokerStub(channel))
            except grpc.aio.AioRpcError as error:
                if not _broken(error):
                    raise
            await asyncio.sleep(0.02)


def _broken(error: grpc.aio.AioRpcError) -> bool:
    """Whether a stream ended with its leader. gRPC's own client calls it INTERNAL when it was
    sending just then."""
    return error.code() in _UNKNOWN or "Internal error from Core" in (error.details() or "")
