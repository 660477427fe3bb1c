"""Long work on the leader's event loop, in short slices: searches, checks of large requests.

One piece of work is in the lane at a time; others wait for their turn, the callers one after the
other, so that one that asks a hundred times is served no more often than one that asks once. The
work calls `pause` between two small steps: once a slice is over, everybody else has the loop for
as long as the slice took, or `REST` times as long when other callers write. So all long work
together takes half of the loop at most, or a quarter, and holds it for a slice and one step at a
time.

Bounds: `MOST_WAITING` wait in all, `MOST_OF_CALLER` of one caller; beyond that the answer is
RESOURCE_EXHAUSTED.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from quorate.runtime.errors import exhausted
from scheduler.core.queues.turns import Contention

MOST_WAITING: Final = 1_024
MOST_OF_CALLER: Final = 128
# Seconds.
SLICE: Final = 0.0005
REST: Final = 3
_LONGEST_REST: Final = 0.05
_RETRY: Final = 0.5


class Lane:
    """The lane of one leader. For one event loop.

    Args:
        contention: who writes.
    """

    def __init__(self, contention: Contention | None = None) -> None:
        self._contention = contention or Contention()
        self._caller = ""
        self._busy = False
        # By caller, in the order of their turns; no empty ones.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._count = 0
        self._began = 0.0

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Hold the lane. Raises QuorateError RESOURCE_EXHAUSTED."""
        if self._busy:
            await self._wait(caller)
        self._busy = True
        self._caller = caller
        self._began = time.perf_counter()
        try:
            yield
        finally:
            self._next()

    async def pause(self) -> None:
        """Let others have the loop if the slice is over; for whoever holds the lane."""
        took = time.perf_counter() - self._began
        if took >= SLICE:
            now = asyncio.get_running_loop().time()
            rest = REST if self._contention.others(self._caller, now) else 1
            await asyncio.sleep(min(rest * took, _LONGEST_REST))
            self._began = time.perf_counter()

    async def _wait(self, caller: str) -> None:
        line = self._waiting.get(caller)
        if self._count >= MOST_WAITING or (line is not None and len(line) >= MOST_OF_CALLER):
            error = exhausted(
                "TOO_MANY_SEARCHES",
                f"{MOST_OF_CALLER} searches and large requests of this caller wait already "
                f"({MOST_WAITING} of all); wait for their answers",
                limit=MOST_OF_CALLER,
            )
            error.retry_delay = _RETRY
            raise error
        if line is None:
            line = self._waiting[caller] = deque()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        self._count += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was this one's turn already.
                self._next()
            raise
        finally:
            self._count -= 1

    def _next(self) -> None:
        """The lane is free: the next caller's oldest work has it."""
        while self._waiting:
            caller, line = next(iter(self._waiting.items()))
            turn = line.popleft()
            # Behind the others.
            del self._waiting[caller]
            if line:
                self._waiting[caller] = line
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
