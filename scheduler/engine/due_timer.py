"""One timer of a leader: it fires at the earliest instant for which it was armed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

# Seconds: asyncio refuses timers of months. It is armed again when it fires too early.
_MOST_AHEAD: Final = 3_600.0


class DueTimer:
    """Calls `fire` when an instant has come. Owned by the driver, which closes it with the term."""

    def __init__(self, fire: Callable[[], None]) -> None:
        self._fire = fire
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0.0
        self._closed = False

    @property
    def armed(self) -> bool:
        """Whether it will fire."""
        return self._handle is not None

    def arm(self, due: float | None, now: float) -> None:
        """Fire at `due`, unless it fires earlier anyway; None: there is nothing to fire for."""
        # A timer of a term that is over would keep its whole state in memory.
        if due is None or self._closed or (self._handle is not None and self._at <= due):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._at = due
        delay = min(max(0.0, due - now), _MOST_AHEAD)
        self._handle = self._loop.call_later(delay, self._fired)

    def close(self) -> None:
        """Fire no more."""
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()

    def _fired(self) -> None:
        self._handle = None
        self._fire()
