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

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from scheduler.core.broker.effects import ChangeSubLog, Delivery
from scheduler.core.broker.queues.ids import make_id, split_id
from scheduler.core.broker.queues.lane import Lane
from scheduler.core.broker.queues.window import Window
from scheduler.core.broker.rows import MessageQueueRow, PositionKind, QueueType, StreamPosition
from scheduler.core.broker.storage.format import Message, Summary
from scheduler.core.broker.storage.places import DELAYED, PRIORITIES, SubLogName, of_priority
from scheduler.core.broker.storage.records import Change, DeleteChunks

# `next_ready` passes over so many at most: their expiry is under way.
MOST_PASSED: Final = 1_000

_PRIORITIES: Final = {of_priority(n): n for n in range(PRIORITIES)}


class Missing(NamedTuple):
    """A chunk whose bodies are not in memory."""

    sub_log: SubLogName
    first: int


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


class MessageQueue:
    """One message queue or stream.

    Attributes:
        row: what is on record of it.
        lanes: by priority; made when they are first used. `delayed`: what is not due yet.
        consumers: how many it has; set by who keeps them.
        last_used: when somebody last used it, as `expires` counts; since the term began.
        published, delivered, acknowledged, dead_lettered, dropped, redelivered: messages since the
            term began.
    """

    def __init__(self, row: MessageQueueRow, window: Window) -> None:
        self.row = row
        self.lanes: dict[int, Lane] = {}
        self.delayed = Lane()
        self.consumers = 0
        self.last_used = 0.0
        self.published = self.delivered = self.acknowledged = 0
        self.dead_lettered = self.dropped = self.redelivered = 0
        # Sub-logs that are being merged; where to look for more.
        self.merging: dict[SubLogName, int] = {}
        self._window = window

    # -- what is there ---------------------------------------------------------------------------

    @property
    def is_stream(self) -> bool:
        return self.row.spec.type is QueueType.STREAM

    @property
    def ready(self) -> int:
        """Messages that wait for a consumer; of a stream all."""
        return sum([lane.ready for lane in self.lanes.values()])

    @property
    def unacknowledged(self) -> int:
        """Messages that are out."""
        return sum([len(lane.out) for lane in self.lanes.values()])

    @property
    def waiting_for_due(self) -> int:
        """Messages that are delayed."""
        return self.delayed.log.alive

    @property
    def in_flight(self) -> int:
        """Messages that are published and not committed."""
        return sum([lane.in_flight for lane in self.lanes.values()]) + self.delayed.in_flight

    @property
    def size(self) -> int:
        """Bytes that its chunks take."""
        return sum([lane.log.chunks.size for lane in self.lanes.values()]) + (
            self.delayed.log.chunks.size
        )

    @property
    def ready_bytes(self) -> int:
        """Bytes that the ready messages take: their share of the chunks."""
        size = 0
        for lane in self.lanes.values():
            chunks = lane.log.chunks
            if chunks.messages:
                size += chunks.size * lane.ready // chunks.messages
        return size

    def sub_logs(self) -> Iterator[tuple[SubLogName, Lane]]:
        """All that there are: priorities, the highest first, then what is delayed."""
        for priority in sorted(self.lanes, reverse=True):
            yield of_priority(priority), self.lanes[priority]
        yield DELAYED, self.delayed

    def lane(self, sub_log: SubLogName) -> Lane:
        """The lane of a sub-log; it is made if there is none."""
        if sub_log == DELAYED:
            return self.delayed
        return self.of_priority(_PRIORITIES[sub_log])

    def of_priority(self, priority: int) -> Lane:
        """The lane of a priority; it is made if there is none."""
        lane = self.lanes.get(priority)
        if lane is None:
            lane = self.lanes[priority] = Lane()
        return lane

    def lead(self, now: float) -> None:
        """A term begins: all that is alive is ready, until somebody says that he has it."""
        for _, lane in self.sub_logs():
            lane.log.settle()
            lane.lead()
        self.last_used = now

    def doubt(self) -> None:
        """Whatever is there now may have been delivered by a leader before this one."""
        for lane in self.lanes.values():
            lane.doubtful = lane.log.tail

    def committed(self, sub_log: SubLogName, chunks: Sequence[tuple[Summary, bytes]]) -> None:
        """Chunks of reserved sequences are committed: their messages are ready, or wait until they
        are due."""
        lane = self.lane(sub_log)
        for summary, value in chunks:
            lane.committed(summary)
            if sub_log != DELAYED:
                self._window.put(self.row.uid, sub_log, summary.first, value, wanted=False)

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
                message = messages.get(sequence)
                if message is None or message.expiry <= now:
                    skipped.append(sequence)
                    passed += 1
                    if passed >= MOST_PASSED:
                        break
                    continue
                found.append(self._delivery(priority, lane, message))
                taken.append(sequence)
                size += len(message.payload)
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
        sequences: dict[int, list[int]] = {}
        for delivery in deliveries:
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

    def remove(
        self, sub_log: SubLogName, sequences: Iterable[int], now: float, *, space: bool = True
    ) -> list[ChangeSubLog]:
        """Messages of a sub-log are done, out or not: what is to be written."""
        lane = self.lane(sub_log)
        spans: list[list[int]] = []
        for sequence in sorted(sequences):
            lane.gone(sequence)
            if spans and spans[-1][1] + 1 >= sequence:
                spans[-1][1] = sequence
            else:
                spans.append([sequence, sequence])
        change = lane.log.acknowledge([(first, last) for first, last in spans], now, space=space)
        return self._written(sub_log, change)

    def _written(self, sub_log: SubLogName, change: Change) -> list[ChangeSubLog]:
        if not change.writes:
            return []
        for write in change.writes:
            if type(write) is DeleteChunks:
                self._window.drop(self.row.uid, sub_log, write.first, write.last)
        return [ChangeSubLog(self.row.uid, sub_log, change.writes)]

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

    def read(self, offset: int, count: int, most_bytes: int = 1 << 62) -> Taken:
        """Up to `count` messages of a stream from an offset on, of together about `most_bytes`.

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
            message = messages.get(sequence)
            if message is None:
                skipped += 1
                continue
            found.append(Delivery(sequence, False, 0, message.instant, message.payload))
            size += len(message.payload)
            following = sequence + 1
        return Taken(found, None, False, skipped, following)

    # -- bodies ----------------------------------------------------------------------------------

    def message(self, sub_log: SubLogName, first: int, sequence: int) -> Message | None:
        """A message of the chunk with this first sequence; None: the chunk is to be loaded."""
        messages = self._window.get(self.row.uid, sub_log, first)
        return None if messages is None else messages.get(sequence)

    def body(self, delivery: int) -> bytes | None:
        """The payload of a message that is alive, if it is in memory."""
        priority, sequence = split_id(delivery)
        lane = self.lanes.get(priority)
        if lane is None:
            return None
        first = lane.log.find(sequence)
        message = self.message(of_priority(priority), first, sequence) if first >= 0 else None
        return None if message is None else message.payload

    def _lane_of(self, delivery: int) -> tuple[Lane | None, int]:
        priority, sequence = split_id(delivery)
        return self.lanes.get(priority), sequence

    def _delivery(self, priority: int, lane: Lane, message: Message) -> Delivery:
        sequence = message.sequence
        return Delivery(
            make_id(priority, sequence),
            lane.was_delivered(sequence),
            lane.log.deliveries(sequence),
            message.instant,
            message.payload,
        )
