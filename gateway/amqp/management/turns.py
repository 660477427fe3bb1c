"""How many requests are answered at a time: of all callers, and of one.

A request may hold some 10 MB and ask the cluster 64 times. Those of one caller leave room for
others; who waits is bounded by the connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

AT_ONCE: Final = 8
OF_ONE: Final = 4


class Turns:
    """Lives in one event loop."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_ONCE)
        # Of callers that ask just now: their turns, and their requests.
        self._own: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, caller: str) -> AsyncIterator[None]:
        """The caller's turn."""
        own, asking = self._own.get(caller, (asyncio.Semaphore(OF_ONE), 0))
        self._own[caller] = own, asking + 1
        try:
            async with own, self._all:
                yield
        finally:
            asking = self._own[caller][1] - 1
            if asking:
                self._own[caller] = own, asking
            else:
                del self._own[caller]
