"""Parts of large events that wait for their turn: one of each event under way.

A publish that is done in parts is finished before another one begins: messages of one producer are
queued in their order, and what goes on record of it is what is settled. So publishes wait for each
other here; everything else takes turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.publishing.parts import PublishContinued

_BEGIN: Final = frozenset((e.MessagesPublished, e.Transacted))
_PUBLISH: Final = _BEGIN | {PublishContinued}


class Parts:
    """Owned by the driver. Bounded by the callers that wait, and by the events of the machine."""

    def __init__(self) -> None:
        self._publishes: deque[object] = deque()
        self._others: deque[object] = deque()
        self._some = asyncio.Event()
        self._published = asyncio.Event()
        self._closed = False

    @property
    def publishing(self) -> bool:
        """Whether parts of a publish wait: others wait behind it."""
        return bool(self._publishes)

    def holds(self, event: object) -> bool:
        """Whether an event has to wait behind a publish."""
        return bool(self._publishes) and type(event) in _BEGIN

    def add(self, events: Iterable[object]) -> None:
        """Events wait for their turn, behind those that wait."""
        for event in events:
            if type(event) in _PUBLISH:
                self._publishes.append(event)
            elif type(event) is not e.TimePassed or event not in self._others:
                self._others.append(event)
        self._some.set()

    def go_on(self, parts: deque[object]) -> None:
        """The parts that are left of an event. Of a publish they stay in front."""
        self.add(part for part in parts if type(part) not in _PUBLISH)
        self._publishes.extendleft(part for part in reversed(parts) if type(part) in _PUBLISH)
        self._some.set()

    async def some(self) -> None:
        """Wait until there is one."""
        while not (self._publishes or self._others):
            self._some.clear()
            await self._some.wait()

    def take(self) -> list[object]:
        """One publish and one of the others, whichever there are."""
        taken = [parts.popleft() for parts in (self._publishes, self._others) if parts]
        if not self._publishes:
            self._published.set()
        return taken

    async def published(self) -> None:
        """Wait until no publish waits."""
        while self._publishes and not self._closed:
            self._published.clear()
            await self._published.wait()

    def close(self) -> None:
        """The term is over."""
        self._closed = True
        self._publishes.clear()
        self._others.clear()
        self._published.set()
