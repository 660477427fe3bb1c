"""Instants at which something is to be looked at. One for each key."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, TypeAlias

# What to look at: a kind, and whose.
TimerKey: TypeAlias = tuple[str, str]

_LEAST_SWEPT: Final = 64


class Timers:
    """Owned by the leader's state. Memory: twice the number of keys, and a few."""

    def __init__(self) -> None:
        self._instants: dict[TimerKey, float] = {}
        self._heap: list[tuple[float, TimerKey]] = []

    @property
    def earliest(self) -> float:
        """Of all; infinity for none."""
        heap = self._heap
        while heap and self._instants.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else inf

    def get(self, key: TimerKey) -> float:
        """When that of the key is due; infinity for never."""
        return self._instants.get(key, inf)

    def put(self, key: TimerKey, instant: float) -> None:
        """Set the instant of a key; infinity: none."""
        if self._instants.get(key, inf) == instant:
            return
        if instant == inf:
            self._instants.pop(key, None)
            return
        self._instants[key] = instant
        heappush(self._heap, (instant, key))
        if len(self._heap) > 2 * len(self._instants) + _LEAST_SWEPT:
            self._heap = [(at, key) for key, at in self._instants.items()]
            heapify(self._heap)

    def sooner(self, key: TimerKey, instant: float) -> None:
        """Set the instant of a key unless it has an earlier one."""
        if instant < self.get(key):
            self.put(key, instant)

    def pop(self, now: float) -> TimerKey | None:
        """Take one that is due."""
        if self.earliest > now:
            return None
        key = heappop(self._heap)[1]
        del self._instants[key]
        return key

    def clear(self) -> None:
        """Forget all."""
        self._instants.clear()
        self._heap.clear()
