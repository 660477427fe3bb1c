"""Parts of large events that wait for their turn: one of each event under way.

They take turns with each other, and with everybody's events. The order of what one producer
publishes is kept by the core (`scheduler.core.broker.handlers.publishing.turns`): nothing here
knows what the parts are of. While many wait, or those that wait have much in memory, streams are
not read: `wait_few`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from scheduler.core.broker import events as e

# With so many, nothing more is taken of clients' streams. Calls are bounded by write admission.
MANY: Final = 256


class Parts:
    """Owned by the driver. Bounded by the callers that wait, and by the events of the machine."""

    def __init__(self) -> None:
        self._waiting: deque[object] = deque()
        self._some = asyncio.Event()
        self._fewer = asyncio.Event()
        self._closed = False
        self._heavy = False

    @property
    def many(self) -> bool:
        """Whether so many wait that clients have to."""
        return self._heavy or len(self._waiting) >= MANY

    def heavy(self, heavy: bool) -> None:
        """Whether what waits has too much in memory."""
        if heavy is not self._heavy:
            self._heavy = heavy
            if not self.many:
                self._fewer.set()

    def add(self, events: Iterable[object]) -> None:
        """Events wait for their turn, behind those that wait."""
        for event in events:
            known = type(event) is e.TimePassed and any(
                type(one) is e.TimePassed for one in self._waiting
            )
            if not known:
                self._waiting.append(event)
        self._some.set()

    async def some(self) -> None:
        """Wait until there is one."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()

    def take(self) -> object:
        """The one whose turn it is."""
        event = self._waiting.popleft()
        if not self.many:
            self._fewer.set()
        return event

    async def wait_few(self) -> None:
        """Wait while there are many."""
        while self.many and not self._closed:
            self._fewer.clear()
            await self._fewer.wait()

    def close(self) -> None:
        """The term is over."""
        self._closed = True
        self._waiting.clear()
        self._fewer.set()
