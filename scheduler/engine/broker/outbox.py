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
from scheduler.core.broker.storage.bodies import LARGE_BYTES
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
        # Bytes of large messages: in `_held`, and of what is being committed.
        self._held_bytes = 0
        self._committing = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def outgoing(self) -> int:
        """Bytes of large messages on their way to clients."""
        return self._held_bytes + self._committing + self.sessions.outgoing

    def committing(self, effects: Sequence[fx.After]) -> None:
        """What is sent once it is committed."""
        self._committing += _large(effects)

    def committed(self, effects: Sequence[fx.After]) -> None:
        """It is, or will not be."""
        self._committing -= _large(effects)

    def send(self, effects: Sequence[fx.Now | fx.After]) -> None:
        """Send effects for sessions, in order."""
        if self._held or not self._trusted():
            self._held += effects
            self._held_bytes += _large(effects)
            self._arm()
            return
        for effect in effects:
            self._send(effect)

    def close(self) -> None:
        """The term is over: what waits is dropped."""
        self._closed = True
        self._held.clear()
        self._held_bytes = 0
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
            effect = self._held.popleft()
            self._held_bytes -= _large((effect,))
            self._send(effect)
        if self._held:
            self._arm()


def _large(effects: Sequence[Any]) -> int:
    """Bytes of large messages in these."""
    size = 0
    for effect in effects:
        deliveries: Sequence[fx.Delivery] = ()
        if type(effect) is fx.Deliver:
            deliveries = effect.deliveries
        elif type(effect) is fx.SendFetched and effect.delivery is not None:
            deliveries = (effect.delivery,)
        for delivery in deliveries:
            if len(delivery.payload) >= LARGE_BYTES:
                size += len(delivery.payload)
    return size
