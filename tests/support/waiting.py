"""Waiting for conditions of other processes: by looking again, with pauses that leave them the
machine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

# Seconds between two looks.
_PAUSE = 0.03


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a condition holds; AssertionError when it does not within `seconds`."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        pause.wait(_PAUSE)


async def async_until(condition: Callable[[], Awaitable[object]], seconds: float = 20.0) -> None:
    """As `until`, of a condition that is awaited."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "the condition never held"
        await asyncio.sleep(_PAUSE)
