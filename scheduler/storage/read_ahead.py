"""Reads a watch ahead of whoever folds it, so that etcd never finds the watch behind.

etcd sends a watch each change as it is made for as long as the watch takes them. One that asks
for the past, or is slow, gets what it missed read back from disk. Version 3.4 does that more slowly
than a busy cluster writes (measured: 24 revisions a second of the 50 that were written, etcd at 89
% of a core instead of 28): such a watch falls further behind for as long as the load lasts.

So a follower opens its watch before it reads its snapshot, and takes at once what comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from quorate.etcd.api import WatchBatch, size_of

# Bytes of records.
MOST_AHEAD: Final = 64 * 1024 * 1024


class ReadAhead:
    """Async context manager and iterator of the batches of a watch, in their order.

    Args:
        batches: the watch. What it raises is raised behind the batches before it.
        most: bytes of records held at once, and one batch; beyond that the watch is held back.
    """

    def __init__(self, batches: AsyncIterator[WatchBatch], most: int = MOST_AHEAD) -> None:
        self._batches = batches
        self._most = most
        self._held: deque[tuple[WatchBatch, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def revision(self) -> int:
        """The revision of the last batch that is held; 0 while none is."""
        return self._held[-1][0].revision if self._held else 0

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read(), name="read ahead")
        self._reading.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._reading is not None
        self._reading.cancel()
        # Its failure was raised to the reader, or does not matter any more.
        await asyncio.gather(self._reading, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        assert self._reading is not None
        while not self._held:
            if self._reading.done():
                self._reading.result()
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        batch, size = self._held.popleft()
        self._bytes -= size
        self._changed.set()
        return batch

    async def _read(self) -> None:
        async for batch in self._batches:
            size = size_of(batch.events)
            self._held.append((batch, size))
            self._bytes += size
            self._changed.set()
            while self._bytes > self._most:
                self._changed.clear()
                await self._changed.wait()
