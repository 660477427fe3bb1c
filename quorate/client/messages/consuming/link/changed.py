"""What coroutines of an asyncio consumer wait for."""

from __future__ import annotations

import asyncio
import time


class Changed:
    """What coroutines of one event loop wait for: something changed; look again."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify_all(self) -> None:
        """Wake all that wait."""
        for one in self._waiting:
            if not one.done():
                one.set_result(None)
        self._waiting.clear()

    async def wait(self, end: float | None) -> bool:
        """Until the next change; False: `end` (monotonic) has passed."""
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with the result.
            async with asyncio.timeout(left):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True
