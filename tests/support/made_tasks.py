"""Task queues for a broker's machine, without a core of tasks."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.errors import exhausted
from scheduler.core.broker.intake import Asked, Prepared

# Of a task.
WRITES, SIZE = 4, 1_000


class Tasks:
    """A `TaskIntake` that makes tasks in memory."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.prepared = 0
        self.full: dict[str, None] = {}

    def check_bound(self, queue: str) -> None: ...

    def prepare(self, asked: Sequence[Asked], creator: str, now: float) -> list[Prepared]:
        self.prepared += len(asked)
        if any(one.queue in self.full for one in asked):
            raise exhausted("QUEUE_FULL", "the queue is full")
        return [Prepared(one.queue, None, SIZE, WRITES) for one in asked]

    def prepare_dead(self, asked: Sequence[Asked], now: float) -> list[Prepared | None]:
        self.prepared += len(asked)
        return [
            None if one.queue in self.full else Prepared(one.queue, None, SIZE, WRITES)
            for one in asked
        ]

    def create(self, prepared: Prepared, creator: str, now: float) -> None:
        self.made.append(prepared.queue)
