"""When feeds are flushed: at once after silence, and then at most ten times a second.

Owns one timer for each feed with changes that are not sent yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.live import limits
from gateway.live.topics.feed import Feed


class Throttle:
    """Flushes feeds that were touched, not more often than every `interval` seconds each."""

    def __init__(self, interval: float = limits.INTERVAL) -> None:
        self._interval = interval
        self._loop = asyncio.get_running_loop()

    def touch(self, feed: Feed, publish: Callable[[], None]) -> None:
        """`publish` soon; nothing when that is on its way already."""
        if feed.timer is None:
            due = max(0.0, feed.flushed + self._interval - self._loop.time())
            feed.timer = self._loop.call_later(due, self._run, feed, publish)

    def stop(self, feed: Feed) -> None:
        """The feed is no more."""
        if feed.timer is not None:
            feed.timer.cancel()
            feed.timer = None

    def _run(self, feed: Feed, publish: Callable[[], None]) -> None:
        feed.timer = None
        feed.flushed = self._loop.time()
        publish()
