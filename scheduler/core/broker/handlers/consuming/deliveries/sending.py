"""What it takes to give a consumer messages: they are its own, they time out, they go on record; or
they are acknowledged before they go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import inf

from scheduler.core.broker import effects as fx
from scheduler.core.broker.consuming.bounds import MESSAGE_BYTES, RECORD_AFTER, STEP_MESSAGES
from scheduler.core.broker.consuming.keys import ordering_key
from scheduler.core.broker.consuming.served import Fresh, Served
from scheduler.core.broker.consuming.sessions import Consumer, Unsettled
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import returning
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState, Space
from scheduler.core.broker.storage.bodies import LARGE_BYTES

# Of timers: deliveries of a queue go on record; a consumer's oldest delivery times out.
RECORD = "deliveries on record"
TIMEOUT = "consumer timeout"
# A new leader does not wait longer for the sessions of a queue.
REATTACH = "reattach"


def watch(
    state: BrokerState, served: Served, consumer: Consumer, deliveries: list[int], now: float
) -> None:
    """A consumer has these from now on: they time out, and go on record if they are not settled
    soon."""
    uid = consumer.uid
    served.fresh.append(Fresh(now, consumer, deliveries))
    if len(served.fresh) == 1:
        state.timers.sooner((RECORD, uid), now + RECORD_AFTER)
    if consumer.timeout != inf and len(consumer.unsettled) == len(deliveries):
        # It had none before.
        state.timers.sooner((TIMEOUT, timer_of(consumer)), now + consumer.timeout)


def sent(
    state: BrokerState,
    served: Served,
    consumer: Consumer,
    deliveries: Sequence[fx.Delivery],
    now: float,
) -> list[tuple[int, int]]:
    """Deliveries are sent to a consumer.

    Returns:
        Those that came back in vain before, and the number that is to go on record at once.
    """
    watch(state, served, consumer, [delivery[0] for delivery in deliveries], now)
    return [(number, failed + 1) for number, _, failed, _, _ in deliveries if failed]


def put(
    queue: MessageQueue,
    consumer: Consumer,
    deliveries: Sequence[fx.Delivery],
    keys: Mapping[int, bytes],
    now: float,
) -> None:
    """Deliveries are the consumer's, unless it acknowledges them automatically. After a large one
    its session gets no other before it is taken."""
    for delivery in deliveries:
        if len(delivery.payload) >= LARGE_BYTES:
            consumer.session.sending = True
    count, size, again = len(deliveries), 0, 0
    if consumer.spec.automatic_ack:
        queue.count_delivered(count, sum([delivery.redelivered for delivery in deliveries]))
        return
    unsettled = consumer.unsettled
    # Messages of one size that were not delivered in vain look the same: most are.
    made: dict[int, Unsettled] = {}
    for number, redelivered, failed, _, payload in deliveries:
        length = len(payload)
        size += length
        if failed or keys:
            key = keys.get(number, b"")
            unsettled[number] = Unsettled(now, length, failed, key, failed > 0)
        else:
            one = made.get(length)
            if one is None:
                one = made[length] = Unsettled(now, length, 0)
            unsettled[number] = one
        if redelivered:
            again += 1
    queue.count_delivered(count, again)
    consumer.size += size + count * MESSAGE_BYTES
    consumer.session.unsettled += count
    consumer.tally.add(count)


def timer_of(consumer: Consumer) -> str:
    """Whose timer it is: see `times`."""
    return f"{consumer.spec.consumer} {consumer.uid} {consumer.session.id}"


def forget_timers(state: BrokerState, uid: QueueUid) -> None:
    """A queue is gone. Timers of its consumers find nobody."""
    state.timers.put((RECORD, uid), inf)
    state.timers.put((REATTACH, uid), inf)


def acknowledge(
    state: BrokerState,
    queue: MessageQueue,
    deliveries: Sequence[fx.Delivery],
    keys: Mapping[int, bytes],
    now: float,
    out: BrokerEffects,
) -> None:
    """Acknowledge before delivery: it follows when that is durable (at most once)."""
    space = state.space is not Space.NONE
    out.writes += queue.settle([delivery[0] for delivery in deliveries], now, space=space)
    queue.count_acknowledged(len(deliveries))
    for delivery, key in keys.items():
        returning.free(state, queue, delivery, key)


def read_keys(state: BrokerState, queue: MessageQueue, served: Served, out: BrokerEffects) -> bool:
    """Read the ordering keys of what clients have from a leader before; whether all are known."""
    if served.awaited:
        return False
    for delivery, consumer in list(islice(served.unread.items(), STEP_MESSAGES)):
        if delivery not in consumer.unsettled:
            # Its session ended. It holds its key until it is ready again.
            return False
        message = queue.message_of(delivery)
        if message is None:
            missing = queue.missing(delivery)
            if missing is not None:
                state.load(queue, missing, out)
                return False
        elif (key := ordering_key(message.payload)) and served.keys.hold(key, delivery):
            unsettled = consumer.unsettled[delivery]
            consumer.unsettled[delivery] = unsettled._replace(key=key)
        del served.unread[delivery]
    if served.unread:
        state.touched[queue.row.uid] = None
        return False
    return True
