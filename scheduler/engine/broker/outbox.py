"""What sessions get: in order, and only while the leader is trusted.

What is made while it is not trusted waits: either the lease is renewed, or the term ends, and then
the next leader redelivers. Bounded by the credit of the consumers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from scheduler.core.broker import effects as fx
from scheduler.engine.broker.ports import MessageSessions

# Seconds between two looks at the trust window while it is shut: nothing signals it.
_PAUSE: Final = 0.02


class Outbox:
    """Of one term. Owned by the driver, which closes it.

    Attributes:
        sessions: who gets it.
    """

    def __init__(self, sessions: MessageSessions, trusted: Callable[[], bool]) -> None:
        self.sessions = sessions
        self._trusted = trusted
        self._held: deque[Any] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def send(self, effects: Sequence[fx.Now | fx.After]) -> None:
        """Send effects for sessions, in order."""
        if self._held or not self._trusted():
            self._held += effects
            self._arm()
            return
        for effect in effects:
            self._send(effect)

    def close(self) -> None:
        """The term is over: what waits is dropped."""
        self._closed = True
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, effect: Any) -> None:
        kind, sessions = type(effect), self.sessions
        if kind is fx.Deliver:
            sessions.deliver(effect)
        elif kind is fx.SettleDone:
            sessions.settled(effect.session, effect.number)
        elif kind is fx.SendFetched:
            sessions.fetched(effect)
        elif kind is fx.EndConsumer:
            sessions.ended(effect)
        else:
            sessions.refused(effect)

    def _arm(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(_PAUSE, self._look)

    def _look(self) -> None:
        self._timer = None
        while self._held and self._trusted():
            self._send(self._held.popleft())
        if self._held:
            self._arm()
