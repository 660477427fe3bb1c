"""What one commit takes of a transaction, which is never split: more is RESOURCE_EXHAUSTED."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from quorate.runtime.errors import QuorateError, exhausted
from scheduler.core.broker.consuming.bounds import STEP_SETTLED
from scheduler.core.broker.handlers.placing import Copy, placed
from scheduler.core.broker.intake import Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.ids import split_id
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.format import MESSAGE_BYTES
from scheduler.core.broker.storage.places import SubLogName
from scheduler.core.broker.storage.sub_log import SubLog

# Messages that are published and dead lettered: each is routed.
MOST_MESSAGES: Final = 512
# Keys beside those of messages and acknowledgements: two producers, and two that make room. Bytes
# of such a row: see `publishing.rejections`.
_ROWS: Final = 4
_ROW_BYTES: Final = 8_192
# Of a key, twice for a range, and what the request has beside it.
_KEY_BYTES: Final = 300


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


def check_dead(size: int, limits: BrokerLimits) -> None:
    """Raise RESOURCE_EXHAUSTED for too many bytes of dead letters."""
    if size > limits.step_bytes:
        raise too_large(
            f"dead letters messages of {size} bytes or more, and the limit is {limits.step_bytes}",
            limits.step_bytes,
        )


@dataclass(slots=True)
class Weight:
    """What a transaction writes.

    Attributes:
        size: bytes of copies; `places`: the sub-logs that they go to.
        settled: the sub-logs of which messages are settled, and of which of their chunks how many.
        tasks: writes of tasks that messages become.
    """

    size: int = 0
    places: dict[tuple[QueueUid, SubLogName], None] = field(default_factory=dict)
    settled: dict[tuple[QueueUid, int], tuple[SubLog, dict[int, int]]] = field(default_factory=dict)
    tasks: int = 0

    def add(self, copies: Iterable[tuple[MessageQueue, Copy]], now: float) -> None:
        """Copies that are stored."""
        for queue, copy in copies:
            self.size += len(copy.payload) + MESSAGE_BYTES
            self.places[queue.row.uid, placed(queue, copy, now).sub_log] = None

    def create(self, tasks: Iterable[Prepared]) -> None:
        """Messages that become tasks."""
        for task in tasks:
            self.size += task.size
            self.tasks += task.writes

    def settle(self, queue: MessageQueue, deliveries: Iterable[int]) -> None:
        """Deliveries that are settled."""
        for delivery in deliveries:
            priority, sequence = split_id(delivery)
            key = queue.row.uid, priority
            if key not in self.settled:
                self.settled[key] = queue.of_priority(priority).log, {}
            log, chunks = self.settled[key]
            first = log.find(sequence)
            chunks[first] = chunks.get(first, 0) + 1

    def check(self, limits: BrokerLimits) -> None:
        """Raise RESOURCE_EXHAUSTED if one commit does not take it."""
        if self.size > limits.step_bytes:
            raise too_large(
                f"stores {self.size} bytes, counted once for each message queue, and the limit is "
                f"{limits.step_bytes}",
                limits.step_bytes,
            )
        keys, size = self.total()
        if keys > limits.step_writes:
            settled = keys - len(self.places) - self.tasks - _ROWS
            commits = sum([len(chunks) for _, chunks in self.settled.values()])
            raise too_large(
                f"writes up to {keys} keys ({len(self.places)} for message queues, {settled} for "
                f"deliveries of {commits} commits, {self.tasks} for tasks), and the limit is "
                f"{limits.step_writes}",
                limits.step_writes,
            )
        if size > limits.commit_bytes:
            raise too_large(
                f"writes up to {size} bytes ({self.size} of messages, the others for deliveries), "
                f"and the limit is {limits.commit_bytes}",
                limits.commit_bytes,
            )

    def total(self) -> tuple[int, int]:
        """Keys and bytes, at most."""
        keys, size = len(self.places) + self.tasks + _ROWS, self.size + _ROWS * _ROW_BYTES
        for log, chunks in self.settled.values():
            written, heavy = log.weigh(chunks)
            keys, size = keys + written, size + heavy
        return keys, size + keys * _KEY_BYTES
