"""Stores that keep the contract of `quorate.etcd.api.Etcd`: the real one and its in-memory twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from quorate.etcd.api import (
    Etcd,
    Range,
    RangeResult,
    WatchBatch,
    prefix_end,
)
from quorate.etcd.client import EtcdClient
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.timing.clock import SimulatedClock

MAX_TXN_OPS = 1024  # as EtcdProcess starts it


@dataclass
class Store:
    """A store under test, a key prefix of the test's own, and a way to let time pass.

    `hurry(seconds)` moves the twin's clock; real etcd takes its time.
    """

    etcd: Etcd
    prefix: bytes
    hurry: Callable[[float], None]

    def key(self, name: str) -> bytes:
        return self.prefix + name.encode()

    @property
    def end(self) -> bytes:
        return prefix_end(self.prefix)

    async def all(self, **arguments: object) -> RangeResult:
        read = Range(self.prefix, self.end)._replace(**arguments)  # type: ignore[arg-type]
        return await self.etcd.range(read)


async def take(batches: AsyncIterator[WatchBatch]) -> WatchBatch:
    return await asyncio.wait_for(anext(batches), 10)


@asynccontextmanager
async def opened(endpoint: str, prefix: bytes) -> AsyncIterator[Store]:
    """Real etcd at `endpoint`; the twin when it is empty."""
    if endpoint:
        async with EtcdClient([endpoint]) as client:
            yield Store(client, prefix, lambda seconds: None)
        return
    clock = SimulatedClock()
    twin = MemoryEtcd(clock, max_txn_ops=MAX_TXN_OPS)

    def hurry(seconds: float) -> None:
        clock.advance(seconds)
        twin.tick()

    yield Store(twin, prefix, hurry)
    await twin.close()
