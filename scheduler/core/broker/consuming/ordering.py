"""Ordering keys of one queue: a message waits until the one before it of its key is settled.

    taken, key free --> the key is held --(acknowledged, dead lettered)--> the next one is released
    taken, key held --> set aside                  |
                            ^---- put back --------'--(came back)--> the key is free

What is set aside stays ready: it counts, expires and is purged as all that is ready, but it is not
looked at again until it is released. A message that came back stands before it, and takes the key
again; should it expire meanwhile, the one that was released after it does.

Messages of several priorities of one key: the higher priority first, as ever.

Memory: an entry for each key that is held, and `WAITING_FOR_KEYS` that are set aside.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from typing import Final

from scheduler.core.broker.consuming.bounds import WAITING_FOR_KEYS
from scheduler.core.broker.queues.ids import make_id, split_id

_HIGHEST: Final = 31


class OrderingKeys:
    """Owned by a queue's consumers.

    Attributes:
        aside: messages that are set aside.
    """

    __slots__ = ("_held", "_released", "_waiting", "aside")

    def __init__(self) -> None:
        # Key -> the delivery that holds it.
        self._held: dict[bytes, int] = {}
        # Key -> what is set aside, in the order of delivery: see `_rank`.
        self._waiting: dict[bytes, list[int]] = {}
        # Of keys that nobody holds: what was released last.
        self._released: dict[bytes, int] = {}
        self.aside = 0

    @property
    def full(self) -> bool:
        """Nothing more can be set aside."""
        return self.aside >= WAITING_FOR_KEYS

    def hold(self, key: bytes, delivery: int) -> bool:
        """A message of the key is to be delivered; False: not now, an earlier one is out."""
        if key in self._held:
            return False
        self._held[key] = delivery
        self._released.pop(key, None)
        return True

    def set_aside(self, key: bytes, delivery: int) -> None:
        """It waits for an earlier one."""
        insort(self._waiting.setdefault(key, []), _rank(delivery))
        self.aside += 1

    def free(self, key: bytes, delivery: int) -> int | None:
        """A delivery is settled, or came back; which one is to be ready again, if any."""
        if self._held.get(key) != delivery:
            return None
        del self._held[key]
        return self._release(key)

    def missed(self, is_ready: Callable[[int], bool]) -> list[int]:
        """What is to be ready again because what was released before it is gone."""
        found: list[int] = []
        for key, released in list(self._released.items()):
            current: int | None = released
            while current is not None and not is_ready(current):
                current = self._release(key)
            if current is not None and current != released:
                found.append(current)
        return found

    def all_aside(self) -> Iterator[int]:
        """Forget what is set aside: all of it is to be ready again."""
        for waiting in self._waiting.values():
            for rank in waiting:
                yield _delivery(rank)
        self._waiting.clear()
        self._released.clear()
        self.aside = 0

    def _release(self, key: bytes) -> int | None:
        waiting = self._waiting.get(key)
        if not waiting:
            self._released.pop(key, None)
            return None
        delivery = self._released[key] = _delivery(waiting.pop(0))
        self.aside -= 1
        if not waiting:
            del self._waiting[key]
        return delivery


def _rank(delivery: int) -> int:
    priority, sequence = split_id(delivery)
    return make_id(_HIGHEST - priority, sequence)


# Its own inverse.
_delivery: Final = _rank
