"""Whether this process holds all of the log up to a revision, and so could lead at once.

    not loaded --a whole snapshot was folded--> loaded --compacted away, or it has led--> not loaded

The replica (`scheduler.storage.replica.replica`) says so; the candidacy
(`scheduler.leadership.elector`), the readiness probe and a metric depend on it. A process that led
has changed its state beyond what was committed, so it is not loaded when that ends, until it has
folded anew.
"""

from __future__ import annotations

import asyncio


class Loaded:
    """A fact that may be waited for, both ways. Lives in one event loop."""

    def __init__(self, loaded: bool = False) -> None:
        self._yes, self._no = asyncio.Event(), asyncio.Event()
        self.set(loaded)

    def is_set(self) -> bool:
        """Whether it is loaded now."""
        return self._yes.is_set()

    def set(self, loaded: bool) -> None:
        """It is so from now on."""
        now, before = (self._yes, self._no) if loaded else (self._no, self._yes)
        before.clear()
        now.set()

    async def wait(self) -> None:
        """Return once it is loaded."""
        await self._yes.wait()

    async def lost(self) -> None:
        """Return once it is not."""
        await self._no.wait()
