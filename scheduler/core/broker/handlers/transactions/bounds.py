"""What one commit takes of a transaction, which is never split: more is RESOURCE_EXHAUSTED."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from quorate.runtime.errors import QuorateError, exhausted
from scheduler.core.broker.consuming.bounds import STEP_SETTLED
from scheduler.core.broker.handlers.placing import Copy, Target, TaskQueue, placed
from scheduler.core.broker.intake import Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.format import MESSAGE_BYTES
from scheduler.core.broker.storage.places import SubLogName

# Messages that are published and dead lettered: each is routed.
MOST_MESSAGES: Final = 512
# Keys beside those of messages and acknowledgements: two producers, and two that make room.
_ROWS: Final = 4
# Writes of a task that a dead letter becomes, at most.
_DEAD_TASK: Final = 6


def too_large(what: str, limit: int) -> QuorateError:
    """The transaction does not fit into one commit."""
    return exhausted(
        "TRANSACTION_TOO_LARGE",
        f"the transaction {what}; it is one commit and is never split: make it smaller",
        limit=limit,
    )


def check_messages(count: int) -> None:
    """Raise RESOURCE_EXHAUSTED for too many messages."""
    if count > MOST_MESSAGES:
        raise too_large(
            f"publishes and dead letters {count} messages, and the limit is {MOST_MESSAGES}",
            MOST_MESSAGES,
        )


def check_settled(count: int) -> None:
    """Raise RESOURCE_EXHAUSTED for too many deliveries."""
    if count > STEP_SETTLED:
        raise too_large(
            f"settles {count} deliveries or more, and the limit is {STEP_SETTLED}", STEP_SETTLED
        )


@dataclass(slots=True)
class Weight:
    """What a transaction writes.

    Attributes:
        size: bytes of copies; `places`: the sub-logs that they go to.
        chunks: chunks of which messages are settled; `settled`: the sub-logs of those.
        tasks: writes of tasks that messages become.
    """

    size: int = 0
    places: dict[tuple[QueueUid, SubLogName], None] = field(default_factory=dict)
    chunks: dict[tuple[QueueUid, int, int], None] = field(default_factory=dict)
    settled: dict[tuple[QueueUid, int], None] = field(default_factory=dict)
    tasks: int = 0

    def add(self, copies: Iterable[tuple[Target, Copy]], now: float) -> None:
        """Copies that are stored."""
        for queue, copy in copies:
            self.size += len(copy.payload) + MESSAGE_BYTES
            if isinstance(queue, TaskQueue):
                self.tasks += _DEAD_TASK
                continue
            self.places[queue.row.uid, placed(queue, copy, now).sub_log] = None

    def create(self, tasks: Iterable[Prepared]) -> None:
        """Messages that become tasks."""
        for task in tasks:
            self.size += task.size
            self.tasks += task.writes

    def settle(self, queue: MessageQueue, deliveries: Iterable[tuple[int, int]]) -> None:
        """Deliveries that are settled: (priority, first sequence of the chunk)."""
        for priority, first in deliveries:
            self.settled[queue.row.uid, priority] = None
            self.chunks[queue.row.uid, priority, first] = None

    @property
    def writes(self) -> int:
        """Keys, at most."""
        return len(self.places) + len(self.chunks) + len(self.settled) + self.tasks + _ROWS

    def check(self, limits: BrokerLimits) -> None:
        """Raise RESOURCE_EXHAUSTED if one commit does not take it."""
        if self.size > limits.step_bytes:
            raise too_large(
                f"stores {self.size} bytes, counted once for each message queue, and the limit is "
                f"{limits.step_bytes}",
                limits.step_bytes,
            )
        if self.writes > limits.step_writes:
            raise too_large(
                f"writes {self.writes} keys ({len(self.places)} for message queues, "
                f"{len(self.chunks) + len(self.settled)} for deliveries of {len(self.chunks)} "
                f"commits, {self.tasks} for tasks), and the limit is {limits.step_writes}",
                limits.step_writes,
            )
