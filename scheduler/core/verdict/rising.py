"""Whether dead letters become more: how many each queue had in the last quarter of an hour. Pure.

Bounded: `MOST` queues, 16 samples of each. A new leader begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from scheduler.core.model.state import State
from scheduler.core.values import TaskState

MOST: Final = 1_000
# Seconds between samples, and how many there are.
EVERY: Final = 60.0
_SAMPLES: Final = 16
# So many more of one queue are a problem.
LEAST: Final = 5


class Rising:
    """Counts of dead letters by queue, the oldest first."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[int]] = {}
        self._next = 0.0
        self._more: dict[str, int] = {}

    def look(self, state: State, now: float) -> None:
        """Count at `now`; a sample is kept once in `EVERY` seconds."""
        sample = now >= self._next
        if sample:
            self._next = now + EVERY
        queues = dict(islice(state.queues.items(), MOST))
        for name in [known for known in self._samples if known not in queues]:
            del self._samples[name]
        self._more = {}
        for name, queue in queues.items():
            dead = queue.counts[TaskState.FAILED] + queue.counts[TaskState.EXPIRED]
            counts = self._samples.get(name)
            if counts is None:
                counts = self._samples[name] = deque([dead], maxlen=_SAMPLES)
            elif sample:
                counts.append(dead)
            if (more := dead - min(counts)) >= LEAST:
                self._more[name] = more

    def found(self) -> Iterator[tuple[str, int]]:
        """Queues whose dead letters have become more, and by how many."""
        yield from sorted(self._more.items())
