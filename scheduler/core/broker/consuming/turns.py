"""Which consumer of a queue gets the next message.

Higher priorities first, as long as one of them has room; those of one priority in turn
(https://www.rabbitmq.com/docs/consumer-priority). Who has no room leaves, and is put back when it
has: so choosing costs nothing for those that wait.
"""

from __future__ import annotations

from bisect import insort
from collections import deque

from scheduler.core.broker.consuming.sessions import Consumer


class Turns:
    """Owned by a queue's consumers. Holds those that may have room."""

    __slots__ = ("_levels", "_priorities")

    def __init__(self) -> None:
        self._levels: dict[int, deque[Consumer]] = {}
        # Highest first: negated.
        self._priorities: list[int] = []

    def put(self, consumer: Consumer) -> None:
        """It may have room: it stands last among its equals, unless it stands there already."""
        if consumer.queued or consumer.ended:
            return
        consumer.queued = True
        priority = consumer.spec.priority
        level = self._levels.get(priority)
        if level is None:
            level = self._levels[priority] = deque()
            insort(self._priorities, -priority)
        level.append(consumer)

    def first(self) -> deque[Consumer] | None:
        """Those whose turn it is, the next one in front; it has room. None: nobody has."""
        while self._priorities:
            priority = -self._priorities[0]
            level = self._levels[priority]
            while level:
                if level[0].room():
                    return level
                level.popleft().queued = False
            del self._levels[priority]
            self._priorities.pop(0)
        return None

    def clear(self) -> None:
        """Nobody stands here."""
        for level in self._levels.values():
            for consumer in level:
                consumer.queued = False
        self._levels.clear()
        self._priorities.clear()

    def rooms(self, level: deque[Consumer], most: int) -> int:
        """How many messages those of a level have room for, `most` at most."""
        total = 0
        for consumer in level:
            total += consumer.room()
            if total >= most:
                return most
        return total
