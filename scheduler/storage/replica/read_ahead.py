"""Reads a watch ahead of whoever folds it, so that etcd never finds the watch behind.

etcd sends a watch each change as it is made for as long as the watch takes them. One that asks
for the past, or is slow, gets what it missed read back from disk. Version 3.4 does that more slowly
than a busy cluster writes (measured: 24 revisions a second of the 50 that were written, etcd at 89
% of a core instead of 28): such a watch falls further behind for as long as the load lasts.

So a follower opens its watch before it reads its snapshot, and takes at once what comes.

The pages of the snapshot are read ahead too, one of them: etcd reads it while the one before it is
folded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

# Bytes of records.
MOST_AHEAD: Final = 64 * 1024 * 1024

Batch = TypeVar("Batch")


class ReadAhead(Generic[Batch]):
    """Async context manager and iterator of what another iterator yields, in its order.

    Args:
        batches: the watch, or the pages. What it raises is raised behind the batches before it.
        size: how much a batch counts, in bytes of records.
        most: how much is held at once, beside one batch; beyond that the iterator is held back.
    """

    def __init__(
        self,
        batches: AsyncIterator[Batch],
        size: Callable[[Batch], int],
        most: int = MOST_AHEAD,
    ) -> None:
        self._batches = batches
        self._size = size
        self._most = most
        self._held: deque[tuple[Batch, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def last(self) -> Batch | None:
        """The last batch that is held."""
        return self._held[-1][0] if self._held else None

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

    async def __anext__(self) -> Batch:
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
            size = self._size(batch)
            self._held.append((batch, size))
            self._bytes += size
            self._changed.set()
            while self._bytes > self._most:
                self._changed.clear()
                await self._changed.wait()
