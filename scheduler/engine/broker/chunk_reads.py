"""Chunks that are read back from etcd: bodies that are not in memory, and small chunks to merge.

Several wanted chunks are one request, and a few requests are under way. Bodies that are stored
apart have readers of their own, large ones one at a time, so that nobody waits behind them. A
read that fails is made again, with pauses, for as long as the term lasts: whoever waits for a chunk
waits for etcd.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog

from quorate.etcd.api import EtcdAnswerTooLarge, EtcdError
from quorate.runtime.timing.backoff import Backoff
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.engine.broker.ports import ChunkPlace, StoredChunks

log = structlog.get_logger(__name__)

# Requests under way, and chunks of one: a chunk takes up to 1.5 MiB, most 256 KiB at most.
READERS: Final = 4
MOST_AT_ONCE: Final = 16
# Of large bodies: each may have 16 MiB.
LARGE_READERS: Final = 2
# Seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class ChunkReads:
    """Of one term. What is wanted is bounded by the core: one read a chunk, one merge a sub-log.

    Args:
        handle: gets what was read.
    """

    def __init__(self, stored: StoredChunks, handle: Callable[[Sequence[object]], None]) -> None:
        self._stored = stored
        self._handle = handle
        self._bodies: deque[ChunkPlace] = deque()
        self._merges: deque[fx.ReadToMerge] = deque()
        self._apart: deque[BodyRef] = deque()
        self._large: deque[BodyRef] = deque()
        self._some = asyncio.Event()

    def load(self, effect: fx.LoadChunks) -> None:
        """Read bodies; each becomes an event."""
        self._bodies.extend(effect.chunks)
        self._some.set()

    def load_body(self, effect: fx.LoadBody) -> None:
        """Read a body that is stored apart; it becomes an event."""
        (self._large if effect.ref.parts > 1 else self._apart).append(effect.ref)
        self._some.set()

    def merge(self, effect: fx.ReadToMerge) -> None:
        """Read chunks to merge; they become one event."""
        self._merges.append(effect)
        self._some.set()

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(READERS):
                tasks.create_task(self._read_bodies(), name=f"chunks {number}")
            tasks.create_task(self._read_merges(), name="chunks to merge")
            tasks.create_task(self._read_apart(self._apart, MOST_AT_ONCE), name="bodies")
            for number in range(LARGE_READERS):
                large = self._read_apart(self._large, 1)
                tasks.create_task(large, name=f"large bodies {number}")

    async def _read_bodies(self) -> None:
        while True:
            await self._wait(self._bodies)
            count = min(MOST_AT_ONCE, len(self._bodies))
            places = [self._bodies.popleft() for _ in range(count)]
            values = await self._read(places)
            self._handle(
                [e.ChunkLoaded(*place, value) for place, value in zip(places, values, strict=True)]
            )

    async def _read_merges(self) -> None:
        while True:
            await self._wait(self._merges)
            uid, sub_log, firsts = self._merges.popleft()
            found: list[tuple[int, bytes]] = []
            for start in range(0, len(firsts), MOST_AT_ONCE):
                part = firsts[start : start + MOST_AT_ONCE]
                values = await self._read([(uid, sub_log, first) for first in part])
                found += [
                    (first, value)
                    for first, value in zip(part, values, strict=True)
                    if value is not None
                ]
            self._handle([e.MergeRead(uid, sub_log, found)])

    async def _read_apart(self, wanted: deque[BodyRef], most: int) -> None:
        while True:
            await self._wait(wanted)
            refs = [wanted.popleft() for _ in range(min(most, len(wanted)))]
            values = await self._tried(partial(self._stored.read_bodies, refs), len(refs))
            self._handle(
                [e.BodyLoaded(ref, value) for ref, value in zip(refs, values, strict=True)]
            )

    async def _wait(self, wanted: deque[Any]) -> None:
        while not wanted:
            self._some.clear()
            await self._some.wait()

    async def _read(self, places: Sequence[ChunkPlace]) -> list[bytes | None]:
        try:
            return await self._tried(partial(self._stored.read, places), len(places))
        except EtcdAnswerTooLarge:
            return [(await self._read([place]))[0] for place in places]

    async def _tried(
        self, read: Callable[[], Awaitable[list[bytes | None]]], count: int
    ) -> list[bytes | None]:
        """Raises EtcdAnswerTooLarge for several."""
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                return await read()
            except EtcdError as error:
                if isinstance(error, EtcdAnswerTooLarge) and count > 1:
                    raise
                if not backoff.failures:
                    log.warning("chunks_not_read", error=str(error), chunks=count)
                await asyncio.sleep(backoff.next())
