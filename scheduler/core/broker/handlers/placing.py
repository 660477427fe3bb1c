"""Messages on their way into queues: weighed, packed, and joined to the chunks of a commit.

A `Placing` is made for a step, and becomes `AddMessages` at its end: `flush`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from scheduler.core.broker.effects import AddMessages, BrokerEffects
from scheduler.core.broker.intake import Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.envelope import Parsed
from scheduler.core.broker.queues.flags import HAS_ORDERING_KEY
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import FIELD_FLAGS, MESSAGE_BYTES, Packed, pack
from scheduler.core.broker.storage.places import DELAYED, SubLogName, of_priority


class Copy(NamedTuple):
    """One message for one queue. `instant`: when it was published; `flags`: see `queues.flags`."""

    payload: bytes
    parsed: Parsed
    instant: float
    flags: int = 0


class TaskQueue(NamedTuple):
    """A task queue that a message goes to."""

    name: str


# Where a copy goes.
Target: TypeAlias = MessageQueue | TaskQueue


class Placed(NamedTuple):
    """Where a copy goes, when it expires there (infinity: never), and when it is due (0: now)."""

    sub_log: SubLogName
    expiry: float
    due: float


def placed(queue: MessageQueue, copy: Copy, now: float) -> Placed:
    """Where a copy goes in a queue."""
    spec, parsed = queue.row.spec, copy.parsed
    if queue.is_stream:
        return Placed(of_priority(0), now + spec.message_ttl, 0.0)
    expiry = copy.instant + parsed.expiration
    due = copy.instant + parsed.deliver_after
    if due > now:
        # The queue's own time to live begins when it is due.
        return Placed(DELAYED, expiry, due)
    sub_log = of_priority(min(parsed.priority, spec.max_priority))
    return Placed(sub_log, min(expiry, now + spec.message_ttl), 0.0)


class Placing:
    """What one step adds to queues.

    Attributes:
        size: bytes so far; `places`: sub-logs; `tasks`: writes of tasks.
    """

    def __init__(self, limits: BrokerLimits) -> None:
        self._limits = limits
        self._added: dict[tuple[QueueUid, SubLogName], list[Packed]] = {}
        self.size = self.tasks = 0

    @property
    def places(self) -> int:
        return len(self._added)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is placed so far."""
        return not (self._added or self.tasks)

    def has_room(self, payload: bytes, copies: int = 1) -> bool:
        """Whether one more message fits into the step. The first one always does."""
        return self.is_empty or (
            self.size + copies * (len(payload) + MESSAGE_BYTES) <= self._limits.step_bytes
            and len(self._added) + self.tasks + copies <= self._limits.step_writes
        )

    def takes(self, tasks: Sequence[Prepared]) -> bool:
        """Whether these tasks fit into the step. The first ones always do."""
        return self.is_empty or (
            self.size + sum([task.size for task in tasks]) <= self._limits.step_bytes
            and len(self._added) + self.tasks + sum([task.writes for task in tasks])
            <= self._limits.step_writes
        )

    def never_takes(self, tasks: Sequence[Prepared]) -> bool:
        """Whether these tasks fit into no step: several, and too much together for one commit. One
        task alone is as large as one that a caller creates."""
        return len(tasks) > 1 and self._is_beyond(
            sum([task.writes for task in tasks]), sum([task.size for task in tasks])
        )

    def takes_dead(self, task: Prepared) -> bool:
        """Whether the task of a dead letter fits beside those of the step. The first does."""
        return not self.tasks or not self._is_beyond(
            self.tasks + task.writes, self.size + task.size
        )

    def _is_beyond(self, writes: int, size: int) -> bool:
        return writes > self._limits.step_writes or size > self._limits.commit_bytes

    def create(
        self, state: BrokerState, tasks: Sequence[Prepared], creator: str, now: float
    ) -> None:
        """Messages become tasks."""
        for task in tasks:
            state.tasks.create(task, creator, now)
            if task.spec is None:
                state.totals.tasks_known += 1
            else:
                state.totals.tasks += 1
            self.size += task.size
            self.tasks += task.writes

    def add(self, queue: MessageQueue, copy: Copy, now: float, *, is_new: bool = True) -> None:
        """A message goes into a queue, or waits there until it is due. `is_new`: it was not there
        before."""
        if is_new:
            queue.count_published()
        self._add(queue, *placed(queue, copy, now), copy)

    def flush(self, out: BrokerEffects) -> None:
        """Have it written."""
        out.additions += [AddMessages(*place, added) for place, added in self._added.items()]
        self._added = {}

    def _add(
        self, queue: MessageQueue, sub_log: SubLogName, expiry: float, due: float, copy: Copy
    ) -> None:
        lane = queue.lane(sub_log)
        flags = copy.flags & ~FIELD_FLAGS
        if copy.parsed.is_ordered:
            flags |= HAS_ORDERING_KEY
        packed = pack(
            lane.log.reserve(1), copy.instant, copy.payload, expiry=expiry, due=due, flags=flags
        )
        lane.in_flight += 1
        self._added.setdefault((queue.row.uid, sub_log), []).append(packed)
        self.size += len(packed.data)
