"""Which consumer of a queue gets which message, in bounded steps.

Who has room gets messages, in the order of `Turns`; a message goes to one consumer at a time. It is
sent at once, without a write: unless the consumer acknowledges automatically, or the message came
back in vain before, which goes on record with each delivery.
"""

from __future__ import annotations

from collections import deque

from scheduler.core.broker import effects as fx
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import STEP_BYTES, STEP_MESSAGES
from scheduler.core.broker.consuming.served import Served
from scheduler.core.broker.consuming.sessions import Consumer
from scheduler.core.broker.consuming.taking import Batch, take
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import returning
from scheduler.core.broker.handlers.consuming.deliveries import fetching, reading, sending
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.state import BrokerState


def serve(
    state: BrokerState, limits: BrokerLimits, queue: MessageQueue, now: float, out: BrokerEffects
) -> int:
    """Deliver what a queue has to who has room, in a bounded step: how many messages."""
    served = state.consuming.served.get(queue.row.uid)
    if served is None or served.waits(now):
        return 0
    before = queue.delivered
    if queue.is_stream:
        reading.serve(state, queue, served, now, out)
    else:
        _serve(state, limits, queue, served, now, out)
    return queue.delivered - before


def _serve(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    served: Served,
    now: float,
    out: BrokerEffects,
) -> None:
    for delivery in served.keys.missed(queue.is_ready):
        queue.bring_back(delivery)
    if served.fetches and not fetching.serve(state, limits, queue, served, now, out):
        return
    messages, size, chunks = STEP_MESSAGES, STEP_BYTES, limits.step_writes // 4
    while not served.handover and (level := served.turns.first()) is not None:
        if messages <= 0 or size <= 0 or chunks <= 0:
            state.touched[queue.row.uid] = None
            return
        total = served.tally.total
        if not total.room:
            total.starved[queue.row.uid] = None
            return
        room = served.turns.rooms(level, min(messages, total.room))
        batch = take(queue, served.orders, room, size, chunks, now)
        if batch.deliveries:
            deal(state, queue, served, level, batch, now, out)
        messages -= len(batch.deliveries)
        size, chunks = batch.bytes_left, batch.chunks_left
        if batch.missing is not None:
            state.load(queue, batch.missing, out)
            return
        if batch.blocked and served.orders is None and sending.read_keys(state, queue, served, out):
            continue
        if not batch.full:
            return


def deal(
    state: BrokerState,
    queue: MessageQueue,
    served: Served,
    level: deque[Consumer],
    batch: Batch,
    now: float,
    out: BrokerEffects,
) -> None:
    """Each message to the next consumer of a level that has room."""
    dealt: dict[Consumer, list[fx.Delivery]] = {}
    left: list[fx.Delivery] = []
    keys = batch.keys
    if len(level) == 1:
        dealt[level[0]] = batch.deliveries
        sending.put(queue, level[0], batch.deliveries, keys, now)
    else:
        for delivery in batch.deliveries:
            consumer = _next(level)
            if consumer is None:
                left.append(delivery)
                continue
            dealt.setdefault(consumer, []).append(delivery)
            sending.put(queue, consumer, (delivery,), keys, now)
    again: list[tuple[int, int]] = []
    for consumer, deliveries in dealt.items():
        deliver = fx.Deliver(consumer.session.id, consumer.spec.consumer, deliveries)
        if consumer.spec.automatic_ack:
            consumer.committing = True
            served.committing[consumer] = None
            own = {d.id: keys[d.id] for d in deliveries if d.id in keys} if keys else {}
            sending.acknowledge(state, queue, deliveries, own, now, out)
            out.after += (deliver, fx.StepOnceCommitted(ce.AutomaticAcksCommitted(consumer)))
        else:
            out.now.append(deliver)
            again += sending.sent(state, served, consumer, deliveries, now)
    if again:
        out.writes += queue.came_back(again, now)
    if left:
        # Consumers of one session share its limit, which was counted for each of them.
        back = [(delivery.id, keys.get(delivery.id, b"")) for delivery in left]
        queue.put_back([delivery for delivery, _ in back], delivered=False)
        for number, key in back:
            returning.free(state, queue, number, key)


def on_automatic_acks_committed(
    state: BrokerState,
    _limits: BrokerLimits,
    event: ce.AutomaticAcksCommitted,
    _now: float,
    _out: BrokerEffects,
) -> None:
    consumer = event.consumer
    consumer.committing = False
    if (served := state.consuming.served.get(consumer.uid)) is not None:
        served.committing.pop(consumer, None)
    returning.room_again(state, consumer, 1)
    state.touched[consumer.uid] = None


def _next(level: deque[Consumer]) -> Consumer | None:
    """Whose turn it is, among those that have room; it is the last one afterwards."""
    while level:
        consumer = level[0]
        if consumer.room():
            level.rotate(-1)
            return consumer
        level.popleft().queued = False
    return None
