"""Nack or requeue with a delay: the message moves to the delayed sub-log in the commit that takes
it from its place, and is ready again when it is due.

It has another id then and gives up its place, and with it the order of its ordering key. That it
was delivered, and how often in vain, goes with it in its flags.
"""

from __future__ import annotations

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import MOST_DELAY
from scheduler.core.broker.consuming.sessions import Consumer
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import returning
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.flags import with_failed
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import Packed, pack
from scheduler.core.broker.storage.places import DELAYED


def delay(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    consumer: Consumer,
    event: e.Settled,
    now: float,
    out: BrokerEffects,
) -> None:
    """Move deliveries of one consumer, all of them its own, as many as one step copies; the others
    follow."""
    due = now + min(event.delay, MOST_DELAY)
    counts = event.outcome is e.Outcome.REQUEUE
    limit = queue.row.spec.delivery_limit if counts else 0
    lane = queue.delayed
    packed: list[Packed] = []
    moved: list[int] = []
    plain: list[int] = []
    size = 0
    missing, place = None, 0
    for delivery in event.ids:
        failed = consumer.unsettled[delivery].failed + counts
        if limit and failed > limit:
            # It comes back no more: it is dead lettered.
            plain.append(delivery)
            place += 1
            continue
        message = queue.message_of(delivery)
        missing = queue.missing(delivery) if message is None else None
        if missing is not None or size >= limits.step_bytes:
            break
        place += 1
        if message is None:
            # Bytes that this version cannot read: it comes back without a delay.
            plain.append(delivery)
            continue
        flags = with_failed(message.flags, failed)
        payload, expiry = message.payload, message.expiry
        sequence = lane.log.reserve(1)
        body = message.body
        if body is not None:
            state.bodies.refer(body)
        packed.append(
            pack(
                sequence,
                message.instant,
                payload,
                expiry=expiry,
                due=due,
                flags=flags,
                body=body,
            )
        )
        moved.append(delivery)
        size += len(payload)
    if packed:
        for delivery in moved:
            unsettled = consumer.pop(delivery)
            assert unsettled is not None
            returning.free(state, queue, delivery, unsettled.key)
        lane.in_flight += len(packed)
        out.additions.append(fx.AddMessages(queue.row.uid, DELAYED, packed))
        out.writes += queue.settle(moved, now)
    rest = event.ids[place:]
    if rest:
        follows = ce.SettleContinued(event._replace(ids=rest))
        if missing is None:
            out.then.append(follows)
        elif not state.load(queue, missing, out, follows):
            # Too many wait for this chunk already.
            plain += rest
            rest = ()
    if rest:
        consumer.session.settles.begin(event.number)
    if plain:
        back = returning.lose(state, limits, queue, consumer, plain, now, out, counts=counts)
        returning.put_back(state, queue, back)
