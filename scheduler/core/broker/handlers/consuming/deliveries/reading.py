"""Consumers of streams: each reads on from its own offset, as far as it has room.

A reader that was overtaken goes on at the first message that is kept, and gets to know how many are
gone. https://www.rabbitmq.com/docs/streams#consuming
"""

from __future__ import annotations

from scheduler.core.broker import effects as fx
from scheduler.core.broker.consuming.bounds import MESSAGE_BYTES, STEP_BYTES, STEP_MESSAGES
from scheduler.core.broker.consuming.served import Served
from scheduler.core.broker.consuming.sessions import Consumer, Unsettled
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.queues.queue import MessageQueue, Taken
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.bodies import LARGE_BYTES


def serve(
    state: BrokerState, queue: MessageQueue, served: Served, now: float, out: BrokerEffects
) -> None:
    """Deliver to all readers of a stream that have room, in turn, in bounded steps."""
    messages, size, total = STEP_MESSAGES, STEP_BYTES, served.tally.total
    waiting: list[Consumer] = []
    while (level := served.turns.first()) is not None:
        if messages <= 0 or size <= 0:
            state.touched[queue.row.uid] = None
            break
        consumer = level.popleft()
        consumer.queued = False
        room = min(consumer.room(), messages)
        if not consumer.spec.automatic_ack:
            room = min(room, total.room)
        if not room:
            total.starved[queue.row.uid] = None
            waiting.append(consumer)
            continue
        taken = queue.read(consumer.offset, room, size, sent=True)
        messages -= len(taken.deliveries)
        size -= sum([len(delivery.payload) for delivery in taken.deliveries])
        _deliver(queue, consumer, taken, now, out)
        if taken.missing is not None:
            state.load(queue, taken.missing, out)
        if taken.missing is not None or consumer.offset >= queue.next_offset:
            waiting.append(consumer)
        else:
            served.turns.put(consumer)
    for consumer in waiting:
        served.turns.put(consumer)


def _deliver(
    queue: MessageQueue, consumer: Consumer, taken: Taken, now: float, out: BrokerEffects
) -> None:
    consumer.offset = max(consumer.offset, taken.following)
    deliveries = taken.deliveries
    if consumer.since and deliveries:
        # It began at the chunk in which that instant is.
        deliveries = [one for one in deliveries if one.instant >= consumer.since]
        if deliveries:
            consumer.since = 0.0
    if not deliveries and not taken.skipped:
        return
    queue.count_delivered(len(deliveries))
    if any(len(delivery.payload) >= LARGE_BYTES for delivery in deliveries):
        consumer.session.sending = True
    if not consumer.spec.automatic_ack:
        size = 0
        for delivery in deliveries:
            length = len(delivery.payload)
            consumer.unsettled[delivery.id] = Unsettled(now, length, 0)
            size += length + MESSAGE_BYTES
        consumer.size += size
        consumer.session.unsettled += len(deliveries)
        consumer.tally.add(len(deliveries))
    out.now.append(
        fx.Deliver(consumer.session.id, consumer.spec.consumer, deliveries, taken.skipped)
    )
