"""The next messages of a queue, as its consumers get them.

Highest priority first, then in order of sequence: those that came back, then those that nobody had.
Takes time in what it finds: a chunk is looked up once, not each message of it. Expired messages are
passed over; they go with the commit of their expiry. A message whose ordering key is held is set
aside: see `ordering`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scheduler.core.broker.consuming.keys import ordering_key
from scheduler.core.broker.consuming.ordering import OrderingKeys
from scheduler.core.broker.effects import Delivery
from scheduler.core.broker.queues.flags import HAS_ORDERING_KEY, WAS_DELIVERED, failed_of
from scheduler.core.broker.queues.ids import make_id
from scheduler.core.broker.queues.lane import Lane
from scheduler.core.broker.queues.queue import MessageQueue, Missing
from scheduler.core.broker.storage.format import Message, Summary
from scheduler.core.broker.storage.places import SubLogName, of_priority


class Batch:
    """What `take` looks for, and what it found: all of it is out.

    Attributes:
        left: how many more messages; `bytes_left`: of their payloads; `chunks_left`: of chunks that
            they are of, as what becomes of each chunk may be a write.
        deliveries: in order; `keys`: ordering keys of those that have one.
        missing: the chunk that is needed to go on.
        expired: messages were passed over that have expired.
        blocked: a message has an ordering key and may not be delivered yet; those behind it wait.
    """

    __slots__ = (
        "blocked",
        "bytes_left",
        "chunks_left",
        "deliveries",
        "expired",
        "keys",
        "left",
        "missing",
        "now",
        "ordering",
    )

    def __init__(
        self, ordering: OrderingKeys | None, count: int, size: int, chunks: int, now: float
    ) -> None:
        self.ordering = ordering
        self.left, self.bytes_left, self.chunks_left, self.now = count, size, chunks, now
        self.deliveries: list[Delivery] = []
        self.keys: dict[int, bytes] = {}
        self.missing: Missing | None = None
        self.expired = self.blocked = False

    @property
    def full(self) -> bool:
        """It has what it may have."""
        return self.left <= 0 or self.bytes_left <= 0 or self.chunks_left <= 0

    @property
    def over(self) -> bool:
        return self.full or self.blocked or self.missing is not None


def take(
    queue: MessageQueue,
    ordering: OrderingKeys | None,
    count: int,
    size: int,
    chunks: int,
    now: float,
) -> Batch:
    """Take up to `count` messages of a queue, of together about `size` bytes, of so many chunks.

    Args:
        ordering: the keys that are held; None: a message with a key waits, and all behind it.
    """
    batch = Batch(ordering, count, size, chunks, now)
    for priority in sorted(queue.lanes, reverse=True):
        lane = queue.lanes[priority]
        if not lane.ready:
            continue
        if lane.returned:
            _returned(batch, queue, priority, lane)
        if not batch.over:
            _fresh(batch, queue, priority, lane)
        if batch.over:
            break
    return batch


def _returned(batch: Batch, queue: MessageQueue, priority: int, lane: Lane) -> None:
    """Of those that came back: all of them are looked at, if need be."""
    log, sub_log = lane.log, of_priority(priority)
    returned, place = lane.returned, 0
    while place < len(returned) and not batch.full:
        sequence = returned[place]
        first = log.find(sequence)
        if first < 0:
            del returned[place]
            continue
        bodies = queue.chunk(sub_log, first)
        if bodies is None:
            batch.missing = Missing(sub_log, first)
            return
        message = queue.readable(bodies, sequence)
        if message is None or message.expiry <= batch.now:
            batch.expired |= message is not None
            place += 1
        elif message.body is not None and not _may_send(batch, queue, sub_log, first, message):
            return
        elif not message.flags & HAS_ORDERING_KEY or _hold(batch, priority, lane, message):
            _give(batch, queue, priority, lane, message)
        elif batch.blocked:
            return


def _may_send(
    batch: Batch, queue: MessageQueue, sub_log: SubLogName, first: int, message: Message
) -> bool:
    """Whether a body that is stored apart is in memory, and may go out now."""
    ref = message.body
    assert ref is not None
    if not queue.may_send(ref):
        batch.missing = Missing(sub_log, first, ref, sent=True)
        return False
    return True


def _payload(queue: MessageQueue, message: Message) -> bytes:
    """The message as it goes out."""
    if message.body is not None:
        queue.sends(message.body)
    payload = queue.whole(message)
    assert payload is not None
    return payload


def _give(batch: Batch, queue: MessageQueue, priority: int, lane: Lane, message: Message) -> None:
    payload = _payload(queue, message)
    sequence = message.sequence
    failed = max(lane.log.deliveries(sequence), failed_of(message.flags))
    redelivered = _was_delivered(lane, message)
    batch.deliveries.append(
        Delivery(make_id(priority, sequence), redelivered, failed, message.instant, payload)
    )
    lane.take(sequence)
    batch.left -= 1
    batch.chunks_left -= 1
    batch.bytes_left -= len(payload)


def _fresh(batch: Batch, queue: MessageQueue, priority: int, lane: Lane) -> None:
    """Of those that nobody had from this leader."""
    chunks, sub_log = lane.log.chunks, of_priority(priority)
    place = chunks.behind(lane.position)
    while place < len(chunks) and not batch.full:
        chunk = chunks.at(place)
        if lane.log.done(chunk.first).bit_count() < chunk.messages:
            bodies = queue.chunk(sub_log, chunk.first)
            if bodies is None:
                batch.missing = Missing(sub_log, chunk.first)
                return
            batch.chunks_left -= 1
            if not _of_chunk(batch, queue, priority, lane, chunk, place, bodies):
                return
        lane.position = max(lane.position, chunk.last + 1)
        place += 1


def _of_chunk(
    batch: Batch,
    queue: MessageQueue,
    priority: int,
    lane: Lane,
    chunk: Summary,
    place: int,
    bodies: Mapping[int, Message],
) -> bool:
    """Whether all of the chunk was looked at. The hot loop: no calls that it can do without."""
    of_chunk = lane.log.of_chunk(chunk.first)
    done, failed = of_chunk.done, dict(of_chunk.returned)
    begin, offsets, first = make_id(priority, 0), chunk.offsets, chunk.first
    out, doubtful, now, last = lane.out, lane.doubtful, batch.now, -1
    delivered = lane.delivered
    left, bytes_left = batch.left, batch.bytes_left
    add, get, exhausted = batch.deliveries.append, bodies.get, True
    # Half the time of `Delivery(...)`.
    new: Callable[[type[Delivery], tuple[object, ...]], Delivery] = tuple.__new__
    for ordinal in range(
        lane.log.chunks.ordinals(place, lane.position, chunk.last)[0], chunk.messages
    ):
        if left <= 0 or bytes_left <= 0:
            exhausted = False
            break
        sequence = first + (offsets[ordinal] if offsets else ordinal)
        if (done and done >> ordinal & 1) or sequence in out:
            continue
        message = get(sequence)
        if message is None:
            lane.skip(sequence)
            continue
        _, instant, expiry, _, flags, payload, body = message
        if expiry <= now:
            batch.expired = True
            lane.skip(sequence)
            continue
        if body is not None:
            if queue.is_bad(body):
                lane.skip(sequence)
                continue
            if not _may_send(batch, queue, of_priority(priority), first, message):
                exhausted = False
                break
        if flags & HAS_ORDERING_KEY and not _hold(batch, priority, lane, message):
            if batch.blocked:
                exhausted = False
                break
            continue
        redelivered, count = sequence < doubtful, 0
        if flags or failed or delivered:
            redelivered = ordinal in failed or _was_delivered(lane, message)
            delivered.pop(sequence, None)
            count = max(failed.get(ordinal, 0), failed_of(flags))
        if body is not None:
            payload = _payload(queue, message)
        add(new(Delivery, (begin | sequence, redelivered, count, instant, payload)))
        out[sequence] = None
        last = sequence
        left -= 1
        bytes_left -= len(payload)
    lane.position = max(lane.position, last + 1)
    batch.left, batch.bytes_left = left, bytes_left
    return exhausted


def _was_delivered(lane: Lane, message: Message) -> bool:
    return bool(message.flags & WAS_DELIVERED) or lane.was_delivered(message.sequence)


def _hold(batch: Batch, priority: int, lane: Lane, message: Message) -> bool:
    """Whether a message with an ordering key is delivered; otherwise it is set aside or blocks."""
    ordering = batch.ordering
    if ordering is None:
        batch.blocked = True
        return False
    key = ordering_key(message.payload)
    delivery = make_id(priority, message.sequence)
    if not key or ordering.hold(key, delivery):
        if key:
            batch.keys[delivery] = key
        return True
    if ordering.full:
        batch.blocked = True
    else:
        ordering.set_aside(key, delivery)
        lane.set_aside(message.sequence)
    return False
