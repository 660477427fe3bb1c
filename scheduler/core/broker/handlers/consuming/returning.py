"""Deliveries that come back: ready again in their places, or dead lettered.

What counts as a delivery in vain is RabbitMQ's table of 4.3
(https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling):

| what happened | counts |
|---|---|
| reject with requeue (`REQUEUE`), with a delay or without | yes |
| the session closed, or its connection is lost | yes |
| nack (`NACK`), with a delay or without | no |
| consumer timeout | no |
| the session came back and does not have it | no |

A message that came back in vain more often than `delivery_limit` is dead lettered. So it is
delivered once more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import STEP_SETTLED
from scheduler.core.broker.consuming.sessions import Consumer, Total
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import instants
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.ids import split_id
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.state import BrokerState


def part(queue: MessageQueue, deliveries: Iterable[int], most_chunks: int) -> list[int]:
    """The first ones that one step deals with: a bounded number, of so many chunks."""
    found: list[int] = []
    chunks: dict[tuple[int, int], None] = {}
    for delivery in deliveries:
        priority, sequence = split_id(delivery)
        lane = queue.lanes.get(priority)
        if lane is not None and not queue.is_stream:
            chunks[priority, lane.log.find(sequence)] = None
        if len(found) >= STEP_SETTLED or len(chunks) > most_chunks:
            break
        found.append(delivery)
    return found


def chunks_of(queue: MessageQueue, deliveries: Iterable[int]) -> int:
    """How many chunks messages are of."""
    found: dict[tuple[int, int], None] = {}
    for delivery in deliveries:
        priority, sequence = split_id(delivery)
        lane = queue.lanes.get(priority)
        if lane is not None and not queue.is_stream:
            found[priority, lane.log.find(sequence)] = None
    return len(found)


def lose(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    consumer: Consumer,
    deliveries: Sequence[int],
    now: float,
    out: BrokerEffects,
    *,
    counts: bool,
) -> list[tuple[int, bytes]]:
    """A consumer has these no more. What is to be put back; the others are dead lettered."""
    limit = queue.row.spec.delivery_limit
    back: list[tuple[int, bytes]] = []
    dead: list[int] = []
    recorded: list[tuple[int, int]] = []
    for delivery in deliveries:
        unsettled = consumer.pop(delivery)
        if unsettled is None or queue.is_stream:
            continue
        failed = unsettled.failed + counts
        if counts and limit and failed > limit:
            dead.append(delivery)
            free(state, queue, delivery, unsettled.key)
            continue
        back.append((delivery, unsettled.key))
        if counts or unsettled.recorded:
            recorded.append((delivery, failed))
    if recorded:
        out.writes += queue.came_back(recorded, now)
    if dead:
        # They stay out until the commit that has their copies.
        asked = DeadLetterAsked(queue.row.uid, tuple(dead), Reason.DELIVERY_LIMIT)
        out.then.append(asked)
    return back


def put_back(
    state: BrokerState, queue: MessageQueue, deliveries: Sequence[tuple[int, bytes]]
) -> None:
    """What `lose` said is ready again."""
    # First the messages, then what waits behind them for their keys.
    queue.put_back([delivery for delivery, _ in deliveries])
    # They may have expired meanwhile.
    instants.watch(state, queue)
    for delivery, key in deliveries:
        free(state, queue, delivery, key)
    after_settling(state, queue)


def free(state: BrokerState, queue: MessageQueue, delivery: int, key: bytes) -> None:
    """A delivery is not out any more: the next message of its ordering key may follow."""
    served = state.consuming.served.get(queue.row.uid)
    if served is None:
        return
    if served.unread:
        served.unread.pop(delivery, None)
    if key:
        following = served.keys.free(key, delivery)
        if following is not None:
            queue.bring_back(following)


def after_settling(state: BrokerState, queue: MessageQueue) -> None:
    """Deliveries of a queue were settled or came back: others may follow."""
    uid = queue.row.uid
    consuming = state.consuming
    served = consuming.served.get(uid)
    if served is not None and served.handover:
        served.choose_active()
    state.touched[uid] = None
    feed(state, consuming.of_streams if queue.is_stream else consuming.total)


def feed(state: BrokerState, total: Total) -> None:
    """There may be room for more deliveries in all: those that wait for it are looked at."""
    if total.starved and total.room:
        state.touched.update(total.starved)
        total.starved.clear()


def room_again(state: BrokerState, consumer: Consumer, freed: int) -> None:
    """A consumer has fewer deliveries: it, or another one of its session, may get more."""
    consuming, session = state.consuming, consumer.session
    if consumer.ended and not consumer.unsettled:
        forget(state, consumer)
    elif not consumer.ended:
        served = consuming.served.get(consumer.uid)
        if served is not None:
            served.may_have_room(consumer)
    # Those that wait for the session's limit: as many as have use for what is free.
    while session.full and freed > 0:
        other = next(iter(session.full))
        del session.full[other]
        served, queue = consuming.served.get(other.uid), state.queues.get(other.uid)
        if served is not None and queue is not None:
            served.may_have_room(other)
            if queue.ready:
                state.touched[other.uid] = None
                freed -= 1


def forget(state: BrokerState, consumer: Consumer) -> None:
    """A consumer ended and has nothing left."""
    served = state.consuming.served.get(consumer.uid)
    queue = state.queues.get(consumer.uid)
    if served is not None and queue is not None and served.members.keys() == {consumer}:
        # Nobody is left who would release them.
        for delivery in served.keys.all_aside():
            queue.bring_back(delivery)
    state.consuming.forget(consumer)


def on_returned(
    state: BrokerState,
    _limits: BrokerLimits,
    event: ce.Returned,
    _now: float,
    _out: BrokerEffects,
) -> None:
    queue = state.queues.get(event.uid)
    if queue is not None:
        put_back(state, queue, event.deliveries)


def on_consumer_returning(
    state: BrokerState,
    limits: BrokerLimits,
    event: ce.ConsumerReturning,
    now: float,
    out: BrokerEffects,
) -> None:
    """Not counted: nothing has to be durable before the messages are ready."""
    consumer = event.consumer
    queue = state.queues.get(consumer.uid)
    if queue is None:
        return
    some = part(queue, consumer.unsettled, limits.step_writes // 2)
    put_back(state, queue, lose(state, limits, queue, consumer, some, now, out, counts=False))
    if consumer.unsettled:
        out.then.append(event)
    room_again(state, consumer, len(some))
