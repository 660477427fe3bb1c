"""FAILED tasks grouped by their errors, kept up to date as tasks fail, are retried and deleted.

Owned by `State`. A group is one queue's tasks whose error texts (`texts.error_text`: type and the
beginning of the message) are the same where each run of digits is one `#`.

Memory: an entry a FAILED task. At most `MOST_OF_QUEUE` groups in a queue and `MOST` in all; what
comes beyond is in one more group of its queue, whose errors are of many kinds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final, Protocol

from quorate.runtime.ids import QueueName, TaskId

MOST_OF_QUEUE: Final = 1_000
MOST: Final = 10_000
# The key of the group of what comes beyond: no error text is empty.
_MIXED: Final = ""
_DIGITS: Final = re.compile(r"\d+")


class Failed(Protocol):
    """What the groups need of a FAILED task's row."""

    dead: DeadGroup | None

    @property
    def id(self) -> TaskId: ...

    @property
    def finish_time(self) -> float: ...


class DeadGroup:
    """The FAILED tasks of one queue with one kind of error, in the order in which they failed."""

    __slots__ = ("id", "key", "queue", "rows")

    def __init__(self, queue: QueueName, key: str) -> None:
        # No queue's name has a line break.
        self.id = blake2b(f"{queue}\n{key}".encode(), digest_size=8).hexdigest()
        self.key = key
        self.queue = queue
        self.rows: dict[TaskId, Failed] = {}

    @property
    def mixed(self) -> bool:
        """Whether its errors are of many kinds."""
        return self.key == _MIXED

    @property
    def first(self) -> Failed:
        """The task that failed first."""
        return next(iter(self.rows.values()))

    @property
    def last(self) -> Failed:
        """The task that failed last."""
        return next(reversed(self.rows.values()))


class DeadLetters:
    """The groups of all queues."""

    def __init__(self) -> None:
        self._queues: dict[QueueName, dict[str, DeadGroup]] = {}
        self._groups = 0

    def add(self, row: Failed, queue: QueueName, error: str) -> None:
        """A task of the queue FAILED with this error text."""
        groups = self._queues.get(queue)
        if groups is None:
            groups = self._queues[queue] = {}
        key = _DIGITS.sub("#", error)
        group = groups.get(key)
        if group is None:
            if len(groups) >= MOST_OF_QUEUE or self._groups >= MOST:
                key = _MIXED
            group = groups.get(key)
        if group is None:
            group = groups[key] = DeadGroup(queue, key)
            self._groups += 1
        group.rows[row.id] = row
        row.dead = group

    def remove(self, row: Failed) -> None:
        """A FAILED task is deleted, or about to be live again."""
        group = row.dead
        if group is None:
            return
        row.dead = None
        del group.rows[row.id]
        if not group.rows:
            groups = self._queues[group.queue]
            del groups[group.key]
            self._groups -= 1
            if not groups:
                del self._queues[group.queue]

    def groups(self, queue: QueueName | None = None) -> Iterator[DeadGroup]:
        """The groups of one queue, or of all."""
        if queue is not None:
            yield from self._queues.get(queue, {}).values()
            return
        for groups in self._queues.values():
            yield from groups.values()

    def settle(self) -> None:
        """Put what a snapshot brought in the order of keys into the order of time."""
        for group in self.groups():
            rows = sorted(group.rows.values(), key=lambda row: row.finish_time)
            group.rows = {row.id: row for row in rows}
