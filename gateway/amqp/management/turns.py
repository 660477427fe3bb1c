"""How many requests are answered at a time: of all callers, and of one.

A request may hold some 10 MB and ask the cluster 64 times. Those of one caller leave room for
others. A request may outlive its connection, so those that wait are counted, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway.amqp.management.failures import Failure

AT_ONCE: Final = 8
OF_ONE: Final = 4
# Requests of one caller that wait for their turn.
MOST_WAITING: Final = 32


class Turns:
    """Lives in one event loop."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_ONCE)
        # Of callers that ask just now: their turns, and their requests.
        self._own: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, caller: str) -> AsyncIterator[None]:
        """The caller's turn. Raises Failure 429: too many of its requests wait."""
        own, asking = self._own.get(caller, (asyncio.Semaphore(OF_ONE), 0))
        if asking >= OF_ONE + MOST_WAITING:
            text = f"{MOST_WAITING} requests of this caller wait already; ask again later"
            raise Failure(429, "too_many_requests", text)
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
