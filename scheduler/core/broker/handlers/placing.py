"""Messages on their way into queues: weighed, packed, and joined to the chunks of a commit.

A `Placing` is made for a step, and becomes `AddMessages` at its end: `flush`.
"""

from __future__ import annotations

from typing import NamedTuple

from scheduler.core.broker.effects import AddMessages, BrokerEffects
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.envelope import Parsed
from scheduler.core.broker.queues.flags import HAS_ORDERING_KEY
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.format import FIELD_FLAGS, MESSAGE_BYTES, Packed, pack
from scheduler.core.broker.storage.places import DELAYED, SubLogName, of_priority


class Copy(NamedTuple):
    """One message for one queue. `instant`: when it was published; `flags`: see `queues.flags`."""

    payload: bytes
    parsed: Parsed
    instant: float
    flags: int = 0


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
        size: bytes so far; `places`: sub-logs.
    """

    def __init__(self, limits: BrokerLimits) -> None:
        self._limits = limits
        self._added: dict[tuple[QueueUid, SubLogName], list[Packed]] = {}
        self.size = 0

    @property
    def places(self) -> int:
        return len(self._added)

    def has_room(self, payload: bytes, copies: int = 1) -> bool:
        """Whether one more message fits into the step. The first one always does."""
        return not self._added or (
            self.size + copies * (len(payload) + MESSAGE_BYTES) <= self._limits.step_bytes
            and len(self._added) + copies <= self._limits.step_writes
        )

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
