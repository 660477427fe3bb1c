"""What a message queue or stream holds: its lanes, its counts, its bodies; and how messages go.

Lanes are by priority, and one is for what is not due yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Final, NamedTuple

from scheduler.core.broker.effects import ChangeSubLog
from scheduler.core.broker.queues.deaths import Reason, Splits
from scheduler.core.broker.queues.ids import split_id
from scheduler.core.broker.queues.lane import Lane
from scheduler.core.broker.queues.totals import Totals
from scheduler.core.broker.queues.window import Window
from scheduler.core.broker.rows import MessageQueueRow, NamedOffset, QueueType
from scheduler.core.broker.storage.bodies import Bodies, BodyRef
from scheduler.core.broker.storage.format import Message, Summary
from scheduler.core.broker.storage.places import DELAYED, PRIORITIES, SubLogName, of_priority
from scheduler.core.broker.storage.records import Change, DeleteChunks

_PRIORITIES: Final = {of_priority(n): n for n in range(PRIORITIES)}


class Missing(NamedTuple):
    """What is not in memory, and who needs it waits for.

    Attributes:
        sub_log, first: a chunk.
        body: it is there, and this body of one of its messages is not, or may not be sent yet.
        sent: the body is for a client's stream.
    """

    sub_log: SubLogName
    first: int
    body: BodyRef | None = None
    sent: bool = False


class Purged(NamedTuple):
    """How many messages went, what is to be written, and where to go on; -1: that was all."""

    messages: int
    changes: list[ChangeSubLog]
    following: int


class Contents:
    """What one message queue or stream holds.

    Attributes:
        row: what is on record of it.
        lanes: by priority; made when they are first used. `delayed`: what is not due yet.
        offsets: of a stream, by name.
        consumers: how many it has; set by who keeps them.
        splits: its dead letters whose copies are made in several steps.
        last_used: when somebody last used it, as `expires` counts; since the term began.
        published, delivered, acknowledged, dead_lettered, dropped, redelivered: messages since the
            term began; `totals`: those of all queues.
    """

    def __init__(
        self,
        row: MessageQueueRow,
        window: Window,
        totals: Totals | None = None,
        bodies: Bodies | None = None,
    ) -> None:
        self.row = row
        self.totals = totals or Totals()
        self._bodies = bodies or Bodies()
        self.lanes: dict[int, Lane] = {}
        self.delayed = Lane()
        self.offsets: dict[str, NamedOffset] = {}
        self.consumers = 0
        self.last_used = 0.0
        self.published = self.delivered = self.acknowledged = 0
        self.dead_lettered = self.dropped = self.redelivered = 0
        # Sub-logs that are being merged, and where to look for more.
        self.merging: dict[SubLogName, None] = {}
        self.merged_until: dict[SubLogName, int] = {}
        # The rest of what is to be dropped follows.
        self.is_overflowing = False
        self.splits = Splits()
        self._window = window

    # -- counts ----------------------------------------------------------------------------------

    def count_published(self) -> None:
        """A message came that was not there before."""
        self.published += 1
        self.totals.published += 1

    def count_delivered(self, count: int, again: int = 0) -> None:
        """Messages go to who takes them; `again`: those that may have been delivered before."""
        self.delivered += count
        self.totals.delivered += count
        self.redelivered += again
        self.totals.redelivered += again

    def count_acknowledged(self, count: int) -> None:
        """Messages are done."""
        self.acknowledged += count
        self.totals.acknowledged += count

    def count_dead(self, count: int, reason: Reason) -> None:
        """Messages are gone: dead lettered if the queue has an exchange for that."""
        if self.row.spec.dead_letter_exchange is not None:
            self.dead_lettered += count
            self.totals.dead_lettered[reason] += count
        else:
            self.dropped += count
            self.totals.dropped[reason] += count

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
    def is_crowded(self) -> bool:
        """So many small chunks wait to be merged that publishing is to wait."""
        return any(lane.log.crowded for lane in self.lanes.values()) or self.delayed.log.crowded

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

    @property
    def oldest(self) -> float:
        """When the message was published that is ready and comes first, of all priorities the
        oldest; 0 for none. Of one whose body is not in memory, the latest of its chunk."""
        found = inf
        for priority, lane in self.lanes.items():
            place = next(lane.ready_sequences(), None) if lane.ready else None
            if place is not None:
                first, sequence = place
                message = self.message(of_priority(priority), first, sequence)
                chunk = lane.log.chunks.get(first)
                if message is not None:
                    found = min(found, message.instant)
                elif chunk is not None:
                    found = min(found, chunk.latest)
        return 0.0 if found == inf else found

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
        self.merging.clear()
        self.merged_until.clear()
        self.is_overflowing = False
        # Their bodies are without a reference, as all are when a term begins.
        self.splits = Splits()
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

    def remove(
        self, sub_log: SubLogName, sequences: Iterable[int], now: float, *, space: bool = True
    ) -> list[ChangeSubLog]:
        """Messages of a sub-log are done, out or not: what is to be written."""
        lane = self.lane(sub_log)
        ordered = sorted(set(sequences))
        lane.all_gone(ordered)
        spans: list[tuple[int, int]] = []
        if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):
            spans.append((ordered[0], ordered[-1]))
        else:
            start = last = -1
            for sequence in ordered:
                if sequence > last + 1 or last < 0:
                    if last >= 0:
                        spans.append((start, last))
                    start = sequence
                last = sequence
            if last >= 0:
                spans.append((start, last))
        change = lane.log.acknowledge(spans, now, space=space)
        return self._written(sub_log, change)

    def purge(self, priority: int, start: int, tail: int, most: int, now: float) -> Purged:
        """Messages of a priority that are ready, from a sequence on and before `tail`, are done, of
        at most so many chunks."""
        lane = self.lanes[priority]
        chunks = lane.log.chunks
        begin = end = chunks.behind(start)
        while end < len(chunks) and chunks.firsts[end] < tail and end - begin < most:
            end += 1
        if end == begin:
            return Purged(0, [], -1)
        last = min(tail, chunks.at(end - 1).last + 1) - 1
        following = last + 1 if end < len(chunks) and chunks.firsts[end] < tail else -1
        spans = []
        for sequence in sorted(sequence for sequence in lane.out if start <= sequence <= last):
            spans.append((start, sequence - 1))
            start = sequence + 1
        spans.append((start, last))
        change = lane.log.acknowledge([span for span in spans if span[0] <= span[1]], now)
        lane.sweep()
        return Purged(change.changed, self._written(of_priority(priority), change), following)

    def sweep(self) -> None:
        """Forget what is gone of what came back: after many went that were ready."""
        for lane in self.lanes.values():
            lane.sweep()

    def _written(self, sub_log: SubLogName, change: Change) -> list[ChangeSubLog]:
        if self.splits:
            self.splits.end_gone(sub_log, self.lane(sub_log).log)
        if not change.writes:
            return []
        for write in change.writes:
            if type(write) is DeleteChunks:
                self._window.drop(self.row.uid, sub_log, write.first, write.last)
                self._bodies.release(write.bodies)
        return [ChangeSubLog(self.row.uid, sub_log, change.writes)]

    def release_bodies(self) -> None:
        """It goes with all its chunks."""
        self.splits.end_all()
        for _, lane in self.sub_logs():
            self._bodies.release(b"".join(lane.log.chunks.bodies))

    def whole(self, message: Message) -> bytes | None:
        """A message with its body; None: the body is to be loaded."""
        if message.body is None:
            return message.payload
        return self._window.bodies.whole(message.payload, message.body)

    def is_bad(self, ref: BodyRef) -> bool:
        """Whether nobody can read a body that is stored apart: its message is passed over."""
        return self._window.bodies.is_bad(ref)

    def readable(self, messages: Mapping[int, Message], sequence: int) -> Message | None:
        """A message of a chunk; None for one that a later version wrote, or whose body nobody can
        read."""
        message = messages.get(sequence)
        if message is None or message.body is None or not self.is_bad(message.body):
            return message
        return None

    def may_send(self, ref: BodyRef) -> bool:
        """Whether a body that is stored apart is in memory, and may go to a client now."""
        bodies = self._window.bodies
        return bodies.has(ref) and bodies.may_send(ref)

    def sends(self, ref: BodyRef) -> None:
        """A body that is stored apart goes to a client."""
        self._window.bodies.sends(ref)

    def trim(self, before: float, most_bytes: int, now: float) -> list[ChangeSubLog]:
        """Drop the chunks of a stream that were published before an instant, and what is beyond a
        number of bytes: what is to be written."""
        return self._written(of_priority(0), self.of_priority(0).log.trim(before, most_bytes, now))

    def chunk(self, sub_log: SubLogName, first: int) -> Mapping[int, Message] | None:
        """The messages of a chunk by sequence, those that are done, too; None: to be loaded. Empty
        if a later version wrote them."""
        return self._window.get(self.row.uid, sub_log, first)

    def message(self, sub_log: SubLogName, first: int, sequence: int) -> Message | None:
        """A message of the chunk with this first sequence; None: the chunk is to be loaded."""
        messages = self._window.get(self.row.uid, sub_log, first)
        return None if messages is None else messages.get(sequence)

    def missing(self, delivery: int) -> Missing | None:
        """The chunk of a message that is to be loaded; None: it is in memory, or gone."""
        lane, sequence = self._lane_of(delivery)
        first = -1 if lane is None else lane.log.find(sequence)
        sub_log = of_priority(split_id(delivery)[0]) if first >= 0 else DELAYED
        if first < 0 or self.chunk(sub_log, first) is not None:
            return None
        return Missing(sub_log, first)

    def message_of(self, delivery: int) -> Message | None:
        """A message that is alive, if it is in memory."""
        priority, sequence = split_id(delivery)
        lane = self.lanes.get(priority)
        if lane is None:
            return None
        first = lane.log.find(sequence)
        return self.message(of_priority(priority), first, sequence) if first >= 0 else None

    def _lane_of(self, delivery: int) -> tuple[Lane | None, int]:
        priority, sequence = split_id(delivery)
        return self.lanes.get(priority), sequence
