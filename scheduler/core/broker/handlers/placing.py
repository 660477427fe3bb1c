"""Messages on their way into queues: weighed, packed, and joined to the chunks of a commit.

A `Placing` is made for a step, and becomes `AddMessages` at its end: `flush`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker.effects import AddMessages, BrokerEffects, PutBodyPart
from scheduler.core.broker.intake import Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.envelope import Parsed, apart
from scheduler.core.broker.queues.flags import HAS_ORDERING_KEY
from scheduler.core.broker.queues.lane import Lane
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.bodies import PART_BYTES, Bodies, BodyRef, pack_refs
from scheduler.core.broker.storage.format import FIELD_FLAGS, MESSAGE_BYTES, Packed, pack
from scheduler.core.broker.storage.places import DELAYED, SubLogName, of_priority


class Copy(NamedTuple):
    """One message for one queue.

    Attributes:
        payload: without the body if that is stored apart: `body`.
        instant: when it was published; `flags`: see `queues.flags`.
    """

    payload: bytes
    parsed: Parsed
    instant: float
    flags: int = 0
    body: BodyRef | None = None


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


class _Slot(NamedTuple):
    """Where copies of equal properties and instant go: messages that follow each other are often
    alike. `flags`: what they all have; `added`: those of this step there."""

    queue: MessageQueue
    parsed: Parsed
    instant: float
    now: float
    lane: Lane
    expiry: float
    due: float
    flags: int
    added: list[Packed]

    def takes(self, queue: MessageQueue, copy: Copy, now: float) -> bool:
        """Whether a copy goes there."""
        return (
            self.queue is queue
            and self.parsed is copy.parsed
            and self.instant == copy.instant
            and self.now == now
        )


class Placing:
    """What one step adds to queues.

    Attributes:
        size: bytes so far; `places`: sub-logs; `tasks`: writes of tasks.
    """

    def __init__(self, limits: BrokerLimits, bodies: Bodies) -> None:
        self._limits = limits
        self._bodies = bodies
        self._parts: list[PutBodyPart] = []
        self._added: dict[tuple[QueueUid, SubLogName], list[Packed]] = {}
        # Of the latest copy.
        self._slot: _Slot | None = None
        self.size = self.tasks = 0

    @property
    def places(self) -> int:
        return len(self._added)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is placed so far."""
        return not (self._added or self.tasks or self._parts)

    def fits(self, payload: bytes, copies: int, tasks: Sequence[Prepared] = ()) -> bool:
        """Whether one more message fits into the step, with all of its copies and tasks."""
        return self._has_room(
            copies * (len(payload) + MESSAGE_BYTES) + sum([task.size for task in tasks]),
            copies + sum([task.writes for task in tasks]),
        )

    def has_room(self, payload: bytes) -> bool:
        """Whether one more copy fits into the step. The first one always does."""
        return self.is_empty or self._has_room(len(payload) + MESSAGE_BYTES, 1)

    def takes(self, tasks: Sequence[Prepared]) -> bool:
        """Whether these tasks fit into the step. The first ones always do."""
        return self.is_empty or self.fits(b"", 0, tasks)

    def never_takes(self, tasks: Sequence[Prepared]) -> bool:
        """Whether these tasks fit into no step: several, and too much together for one commit. One
        task alone is as large as one that a caller creates."""
        return len(self.first_taken(tasks)) < len(tasks)

    def first_taken(self, tasks: Sequence[Prepared]) -> Sequence[Prepared]:
        """As many of these tasks as one commit takes, from the first on."""
        writes = size = 0
        for place, task in enumerate(tasks):
            writes, size = writes + task.writes, size + task.size
            if place and (writes > self._limits.step_writes or size > self._limits.commit_bytes):
                return tasks[:place]
        return tasks

    def _has_room(self, size: int, writes: int) -> bool:
        return (
            self.size + size <= self._limits.step_bytes
            and self._writes + writes <= self._limits.step_writes
        )

    @property
    def _writes(self) -> int:
        return len(self._added) + len(self._parts) + self.tasks

    def takes_part(self, body: StoredBody) -> bool:
        """Have the next part of a body written, if it fits into the step."""
        part = body.next_part()
        if not self.is_empty and (
            self.size + len(part.data) > self._limits.step_bytes
            or self._writes >= self._limits.step_writes
        ):
            return False
        self._put_part(body, part)
        return True

    def is_apart(self, payload: bytes, copies: int) -> bool:
        """Whether the body of a message for so many queues is stored apart from it."""
        if not copies:
            return False
        most = self._limits.inline_bytes
        return self.shares(payload, copies) or (len(payload) > most and _body_size(payload) > most)

    def shares(self, payload: bytes, copies: int) -> bool:
        """Whether the copies of a message are so much that its body is stored once."""
        return is_shared(self._limits, payload, copies)

    def store(self, payload: bytes) -> tuple[bytes, StoredBody]:
        """Have the body of a message written apart, all of it with this step; the message without
        it. The caller releases the body when the copies are placed."""
        head, data = apart(payload)
        body = StoredBody(self._bodies, data)
        while not body.is_written:
            self._put_part(body, body.next_part())
        return head, body

    def _put_part(self, body: StoredBody, part: PutBodyPart) -> None:
        self._parts.append(part)
        self.size += len(part.data)
        body.written += 1

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
        slot = self._slot
        if slot is None or not slot.takes(queue, copy, now):
            slot = self._slot = self._slot_of(queue, copy, now)
        if copy.body is not None:
            self._bodies.refer(copy.body)
        packed = pack(
            slot.lane.log.reserve(1),
            copy.instant,
            copy.payload,
            expiry=slot.expiry,
            due=slot.due,
            flags=copy.flags & ~FIELD_FLAGS | slot.flags,
            body=copy.body,
        )
        slot.lane.in_flight += 1
        slot.added.append(packed)
        self.size += packed.size

    def _slot_of(self, queue: MessageQueue, copy: Copy, now: float) -> _Slot:
        sub_log, expiry, due = placed(queue, copy, now)
        return _Slot(
            queue,
            copy.parsed,
            copy.instant,
            now,
            queue.lane(sub_log),
            expiry,
            due,
            HAS_ORDERING_KEY if copy.parsed.is_ordered else 0,
            self._added.setdefault((queue.row.uid, sub_log), []),
        )

    def flush(self, out: BrokerEffects) -> None:
        """Have it written."""
        out.writes += self._parts
        self._parts = []
        out.additions += [AddMessages(*place, added) for place, added in self._added.items()]
        self._added = {}
        self._slot = None


class StoredBody:
    """A body that is being stored apart from its message.

    Attributes:
        ref: how its messages name it; it has a reference of its own until `release`.
        data: all of it. `written`: parts that are on their way to the log.
    """

    def __init__(self, bodies: Bodies, data: bytes) -> None:
        self.ref = bodies.new(len(data))
        self.data = data
        self.written = 0
        self._bodies = bodies
        bodies.writing += len(data)

    @property
    def is_written(self) -> bool:
        return self.written == self.ref.parts

    def next_part(self) -> PutBodyPart:
        """The one that is to be written next."""
        begin = self.written * PART_BYTES
        return PutBodyPart(self.ref.id, self.written, self.data[begin : begin + PART_BYTES])

    def release(self) -> None:
        """All messages that are to refer to it do. Without one it is deleted again."""
        self._bodies.writing -= self.ref.size
        self._bodies.release(pack_refs((self.ref,)))


def _body_size(payload: bytes) -> int:
    return len(MessageEnvelope.FromString(payload).body)


def is_shared(limits: BrokerLimits, payload: bytes, copies: int) -> bool:
    """Whether the copies of one message are so much that its body is stored once."""
    return (
        copies > 1
        and copies * (len(payload) + MESSAGE_BYTES) > limits.step_bytes
        and len(payload) >= limits.least_shared_bytes
    )
