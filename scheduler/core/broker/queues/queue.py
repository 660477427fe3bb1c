"""One message queue or stream, as its leader uses it.

What consumers need:

    next_ready     messages in order of priority, then sequence; they are out then
    settle         they are acknowledged: what is written
    put_back       they are ready again, in their places
    came_back      the number of their deliveries in vain goes on record: what is written
    adopt          after a change of leaders: a client still has them
    read           of a stream: messages from an offset

`next_ready` and `read` stop at a message whose body is not in memory: `missing` says which chunk is
to be loaded. The caller asks for it with `BrokerState.load` and is called again when it is there.

A message that has expired is never given out. It stays in the counts until its expiry is committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from scheduler.core.broker.effects import ChangeSubLog, Delivery
from scheduler.core.broker.queues.contents import Contents, Missing
from scheduler.core.broker.queues.ids import make_id, split_id
from scheduler.core.broker.queues.lane import Lane
from scheduler.core.broker.rows import PositionKind, StreamPosition
from scheduler.core.broker.storage.format import Message
from scheduler.core.broker.storage.places import of_priority

# `next_ready` passes over so many at most: their expiry is under way.
MOST_PASSED: Final = 1_000


class Taken(NamedTuple):
    """What `next_ready` and `read` found.

    Attributes:
        missing: the chunk that is needed to go on; None: there is no more, or `count` is reached.
        expired: messages that have expired, or that a later version wrote, were passed over.
        skipped: of a stream: messages before the first one that were gone.
        following: of a stream: the offset to go on at.
    """

    deliveries: list[Delivery]
    missing: Missing | None = None
    expired: bool = False
    skipped: int = 0
    following: int = 0


class MessageQueue(Contents):
    """One message queue or stream."""

    # -- consuming -------------------------------------------------------------------------------

    def next_ready(self, count: int, now: float, most_bytes: int = 1 << 62) -> Taken:
        """Take up to `count` messages, of together about `most_bytes`: in order of priority, then
        of sequence. They are out then, and the caller settles each or puts it back.

        Not of a stream.
        """
        found: list[Delivery] = []
        passed, size = 0, 0
        for priority in sorted(self.lanes, reverse=True):
            lane, sub_log = self.lanes[priority], of_priority(priority)
            if len(found) >= count or size >= most_bytes:
                break
            taken, skipped, missing = [], [], None
            for first, sequence in lane.ready_sequences() if lane.ready else ():
                messages = self._window.get(self.row.uid, sub_log, first)
                if messages is None:
                    missing = Missing(sub_log, first)
                    break
                message = self.readable(messages, sequence)
                if message is None or message.expiry <= now:
                    skipped.append(sequence)
                    passed += 1
                    if passed >= MOST_PASSED:
                        break
                    continue
                payload = self.whole(message)
                if payload is None:
                    missing = Missing(sub_log, first, message.body)
                    break
                found.append(self._delivery(priority, lane, message, payload))
                taken.append(sequence)
                size += len(payload)
                if len(found) >= count or size >= most_bytes:
                    break
            for sequence in skipped:
                lane.skip(sequence)
            for sequence in taken:
                lane.take(sequence)
            if missing is not None or passed >= MOST_PASSED:
                return Taken(found, missing, passed > 0)
        return Taken(found, None, passed > 0)

    def adopt(self, delivery: int) -> bool:
        """A client has this message from a leader before this one; False: it is gone, or out."""
        lane, sequence = self._lane_of(delivery)
        return lane is not None and lane.adopt(sequence)

    def is_out(self, delivery: int) -> bool:
        """Whether a message is out."""
        lane, sequence = self._lane_of(delivery)
        return lane is not None and sequence in lane.out

    def is_ready(self, delivery: int) -> bool:
        """Whether a message is alive and not out."""
        lane, sequence = self._lane_of(delivery)
        return lane is not None and lane.log.find(sequence) >= 0 and sequence not in lane.out

    def bring_back(self, delivery: int) -> None:
        """A message that was set aside is looked at again, if it is there still."""
        lane, sequence = self._lane_of(delivery)
        if lane is not None:
            lane.bring_back(sequence)

    def failed(self, delivery: int) -> int:
        """Deliveries in vain of a message, as far as they are on record."""
        lane, sequence = self._lane_of(delivery)
        return 0 if lane is None else lane.log.deliveries(sequence)

    def put_back(self, deliveries: Iterable[int], *, delivered: bool = True) -> int:
        """Messages that are out are ready again, in their places; how many there were.

        Args:
            delivered: clients may have had them.
        """
        count = 0
        for delivery in deliveries:
            lane, sequence = self._lane_of(delivery)
            if lane is not None and lane.put_back(sequence, delivered=delivered):
                count += 1
                lane.look_again(sequence)
        return count

    def settle(
        self, deliveries: Iterable[int], now: float, *, space: bool = True
    ) -> list[ChangeSubLog]:
        """Messages are done: what is to be written, once for each sub-log.

        Those that are gone already are left out. `space`: see `SubLog.acknowledge`. Call it once a
        step for a queue.
        """
        ordered = sorted(deliveries)
        if ordered and split_id(ordered[0])[0] == split_id(ordered[-1])[0]:
            priority, first = split_id(ordered[0])
            low = ordered[0] - first
            sequences = {priority: [one - low for one in ordered] if low else ordered}
        else:
            sequences = {}
            for delivery in ordered:
                priority, sequence = split_id(delivery)
                sequences.setdefault(priority, []).append(sequence)
        changes = []
        for priority, some in sequences.items():
            if priority in self.lanes:
                changes += self.remove(of_priority(priority), some, now, space=space)
        return changes

    def came_back(self, counts: Iterable[tuple[int, int]], now: float) -> list[ChangeSubLog]:
        """Deliveries in vain of messages (id, count) go on record: what is to be written."""
        by_priority: dict[int, list[tuple[int, int]]] = {}
        for delivery, count in counts:
            priority, sequence = split_id(delivery)
            by_priority.setdefault(priority, []).append((sequence, count))
        changes = []
        for priority, some in by_priority.items():
            if priority in self.lanes:
                change = self.lanes[priority].log.give_back(some, now)
                changes += self._written(of_priority(priority), change)
        return changes

    def peek(
        self, count: int, now: float, most_bytes: int
    ) -> tuple[list[Delivery], Missing | None]:
        """What `next_ready` would find. It stays ready."""
        heads, missing = self.heads(count, now, most_bytes)
        found: list[Delivery] = []
        for priority, first, message in heads:
            payload = self.whole(message)
            if payload is None:
                return found, Missing(of_priority(priority), first, message.body)
            found.append(self._delivery(priority, self.lanes[priority], message, payload))
        return found, missing

    def heads(
        self, count: int, now: float, most_bytes: int
    ) -> tuple[list[tuple[int, int, Message]], Missing | None]:
        """The messages that are ready: (priority, first sequence of the chunk, message), of
        together about `most_bytes` with their bodies, whether these are in memory or not."""
        found: list[tuple[int, int, Message]] = []
        passed, size = 0, 0
        for priority in sorted(self.lanes, reverse=True):
            lane, sub_log = self.lanes[priority], of_priority(priority)
            for first, sequence in lane.ready_sequences() if lane.ready else ():
                if len(found) >= count or size >= most_bytes or passed >= MOST_PASSED:
                    return found, None
                messages = self.chunk(sub_log, first)
                if messages is None:
                    return found, Missing(sub_log, first)
                message = self.readable(messages, sequence)
                if message is None or message.expiry <= now:
                    passed += 1
                    continue
                found.append((priority, first, message))
                size += len(message.payload) + (message.body.size if message.body else 0)
        return found, None

    # -- streams ---------------------------------------------------------------------------------

    @property
    def first_offset(self) -> int:
        """Of a stream: the first message that is kept."""
        return self.of_priority(0).log.cursor

    @property
    def next_offset(self) -> int:
        """Of a stream: behind the last message that is committed."""
        return self.of_priority(0).log.tail

    def locate(self, position: StreamPosition) -> int:
        """The offset that a position of a stream means now. Of a time: the first chunk with a
        message that was published then or later. O(chunks) for a time."""
        chunks = self.of_priority(0).log.chunks
        match position.kind:
            case PositionKind.OFFSET:
                return position.offset
            case PositionKind.FIRST:
                return self.first_offset
            case PositionKind.LAST:
                return chunks.firsts[-1] if len(chunks) else self.next_offset
            case PositionKind.TIME:
                late = (chunk.first for chunk in chunks if chunk.latest >= position.time)
                return next(late, self.next_offset)
            case PositionKind.NEXT:
                return self.next_offset
            case PositionKind.NAMED:
                named = self.offsets.get(position.name)
                return self.first_offset if named is None else named.offset

    def read(
        self, offset: int, count: int, most_bytes: int = 1 << 62, *, sent: bool = False
    ) -> Taken:
        """Up to `count` messages of a stream from an offset on, of together about `most_bytes`.
        `sent`: they go to a client's stream.

        What is gone before the first one is in `skipped`: the reader was overtaken.
        """
        lane, sub_log = self.of_priority(0), of_priority(0)
        begin = max(offset, lane.log.cursor)
        skipped, following, size = begin - offset if begin < lane.log.tail else 0, begin, 0
        found: list[Delivery] = []
        for first, sequence in lane.alive_from(begin):
            if len(found) >= count or size >= most_bytes:
                break
            messages = self._window.get(self.row.uid, sub_log, first)
            if messages is None:
                return Taken(found, Missing(sub_log, first), False, skipped, following)
            message = self.readable(messages, sequence)
            if message is None:
                skipped += 1
                continue
            body = message.body
            payload = self.whole(message)
            if payload is None or (body is not None and sent and not self.may_send(body)):
                missing = Missing(sub_log, first, body, sent)
                return Taken(found, missing, False, skipped, following)
            if body is not None and sent:
                self.sends(body)
            found.append(Delivery(sequence, False, 0, message.instant, payload))
            size += len(payload)
            following = sequence + 1
        return Taken(found, None, False, skipped, following)

    def _delivery(self, priority: int, lane: Lane, message: Message, payload: bytes) -> Delivery:
        sequence = message.sequence
        return Delivery(
            make_id(priority, sequence),
            lane.was_delivered(sequence),
            lane.log.deliveries(sequence),
            message.instant,
            payload,
        )


__all__ = ["MessageQueue", "Missing", "Taken"]
