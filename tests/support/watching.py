"""Watches of an in-memory etcd, without a leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quorate.etcd.api import Range
from quorate.etcd.generation import FIRST_GENERATION
from quorate.etcd.memory.store import MemoryEtcd
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks.changes import Recent
from scheduler.api.tasks.watches import Watches


def watches_of(
    etcd: MemoryEtcd,
    prefix: bytes,
    generation: int = FIRST_GENERATION,
    *,
    head: int = 0,
    recent: Recent | None = None,
) -> Watches:
    """Watches as a leader has them that last wrote at `head`; nobody awaits their `run` yet."""

    async def revision() -> int:
        return (await etcd.range(Range(prefix + b"head"))).revision

    ring = recent if recent is not None else Recent(prefix, generation)
    return Watches(etcd, ring, lambda: head, revision)


class Followed:
    """One watch; its answers as messages."""

    def __init__(self, watches: Watches, request: pb.WatchTasksRequest, caller: str = "") -> None:
        self._answers = watches.follow(request, caller)

    def __aiter__(self) -> Followed:
        return self

    async def __anext__(self) -> pb.WatchTasksResponse:
        answer = await anext(self._answers)
        return pb.WatchTasksResponse.FromString(answer.SerializeToString())

    async def aclose(self) -> None:
        """End it."""
        await self._answers.aclose()


@asynccontextmanager
async def running(watches: Watches) -> AsyncIterator[Watches]:
    """Await `run` while the block lasts."""
    run = asyncio.create_task(watches.run())
    try:
        yield watches
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
