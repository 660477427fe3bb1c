"""Large answers of all streams that clients have not taken yet.

A message with a large body is as much memory as many others, and each stream may have one. So the
core asks how much there is in all before it sends another one (`BrokerLimits.outgoing_bytes`), and
looks again when some of it is taken.

A client that takes nothing for `SLOW` seconds does not count any more, so that a few of them do not
hold up all others; but at most `MOST_SLOW` bytes are left out of the count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from scheduler.core.broker.rows import NO_SESSION, SessionId

SLOW: Final = 5.0
MOST_SLOW: Final = 256 << 20


class Outgoing:
    """Of one term. Bytes are counted as long as gRPC has not taken them.

    Attributes:
        size: bytes that count; `slow`: those that do not.

    Args:
        notify: called when there may be room for more, with the session that has no others.
    """

    def __init__(self, notify: Callable[[SessionId], None]) -> None:
        self.size = self.slow = 0
        self._notify = notify

    def stream(self) -> StreamOutgoing:
        """What one stream has of it."""
        return StreamOutgoing(self)

    def notify(self, session: SessionId) -> None:
        """There may be room for more."""
        self._notify(session)


class StreamOutgoing:
    """Of one stream.

    Attributes:
        size: bytes that its client has not taken.
    """

    def __init__(self, of_all: Outgoing) -> None:
        self.size = 0
        self._of_all = of_all
        self._is_slow = False
        self._timer: asyncio.TimerHandle | None = None

    def add(self, size: int) -> None:
        """More is to be sent."""
        self.size += size
        if self._is_slow:
            self._of_all.slow += size
            return
        self._of_all.size += size
        if self._timer is None:
            self._watch()

    def taken(self, size: int, session: SessionId = NO_SESSION) -> None:
        """The client has taken so much of it, or is gone."""
        if not size:
            return
        self._count_again()
        self.size -= size
        self._of_all.size -= size
        if self.size:
            self._watch()
        self._of_all.notify(NO_SESSION if self.size else session)

    def _count_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_slow:
            self._is_slow = False
            self._of_all.slow -= self.size
            self._of_all.size += self.size

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SLOW, self._slow)

    def _slow(self) -> None:
        self._timer = None
        if self._of_all.slow + self.size > MOST_SLOW:
            self._watch()
            return
        self._is_slow = True
        self._of_all.size -= self.size
        self._of_all.slow += self.size
        self._of_all.notify(NO_SESSION)
