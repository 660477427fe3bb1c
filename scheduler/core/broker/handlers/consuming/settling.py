"""Settlements: acknowledged, back in the queue, dead lettered, or touched.

    ACK       gone, once that is durable
    NACK      ready again in its place; with a delay: in the delayed sub-log, in the same commit
    REQUEUE   as NACK, and counts as a delivery in vain; beyond the limit dead lettered at once
    REJECT    to the dead letter exchange; gone
    TOUCH     not settled; its timeout begins anew

Of a stream, all of them give room for more, and nothing else.

A delivery that the consumer does not have is refused, and the others of the same request are
settled. For a session that came back, what it repeats is no error: an acknowledgement of a message
that is gone already does nothing, and one of a message that nobody has counts.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from quorate.runtime.errors import QuorateError, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import STEP_SETTLED
from scheduler.core.broker.consuming.sessions import Consumer, Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.events import Outcome
from scheduler.core.broker.handlers.consuming import delaying, returning
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.ids import split_id
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.state import BrokerState, Space

UNKNOWN = "UNKNOWN_DELIVERY"


def on_settled(
    state: BrokerState, limits: BrokerLimits, event: e.Settled, now: float, out: BrokerEffects
) -> None:
    session = state.consuming.sessions.get(event.session)
    if session is None:
        text = f"session {event.session!r} does not exist"
        refused = fx.SettleRefused(
            event.session, event.number, "SESSION_NOT_FOUND", text, event.ids
        )
        out.now.append(refused)
        return
    consumer = consumer_of(state, session, event)
    queue = None if consumer is None else state.queues.get(consumer.uid)
    if consumer is not None and queue is not None:
        if not _is_small(queue, event.ids, limits.step_writes // 2):
            some = returning.part(queue, event.ids, limits.step_writes // 2)
            if len(some) < len(event.ids):
                rest = ce.SettleContinued(event._replace(ids=event.ids[len(some) :]))
                session.settles.begin(event.number)
                out.then.append(rest)
                event = event._replace(ids=some)
        settle(state, limits, queue, consumer, event, now, out)
    elif not (session.resumed or event.consumer in session.deleted):
        _refuse(event, event.ids, out)
    done = session.settles.end(event.number)
    if done is not None:
        out.after.append(fx.SettleDone(event.session, done))


def on_settle_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: ce.SettleContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    session = state.consuming.sessions.get(event.settled.session)
    if session is not None:
        session.settles.go_on(event.settled.number)
        on_settled(state, limits, event.settled, now, out)


def consumer_of(state: BrokerState, session: Session, event: e.Settled) -> Consumer | None:
    """Whose deliveries are settled."""
    if event.consumer:
        return session.consumers.get(event.consumer)
    uid = state.names.get((session.row.virtual_host, event.queue))
    return None if uid is None else session.fetching.get(uid)


def settle(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    consumer: Consumer,
    event: e.Settled,
    now: float,
    out: BrokerEffects,
) -> None:
    """Settle deliveries of one consumer, as many as one step does."""
    outcome, unsettled, session = event.outcome, consumer.unsettled, consumer.session
    # Each once: a repeated id in one request is not known any more.
    known = [one for one in dict.fromkeys(event.ids) if one in unsettled]
    repeated: Sequence[int] = ()
    if len(known) < len(event.ids):
        unknown = _others(event.ids, unsettled)
        final = outcome in (Outcome.ACK, Outcome.REJECT)
        if not session.resumed:
            _refuse(event, unknown, out)
        elif final and not queue.is_stream:
            repeated = [delivery for delivery in unknown if queue.is_ready(delivery)]
            _refuse(event, [delivery for delivery in unknown if queue.is_out(delivery)], out)
    if outcome is Outcome.TOUCH:
        for delivery in known:
            unsettled[delivery] = unsettled.pop(delivery)._replace(time=now)
        return
    comes_back = outcome in (Outcome.NACK, Outcome.REQUEUE)
    if queue.is_stream or (comes_back and not event.delay):
        counts = outcome is Outcome.REQUEUE
        back = returning.lose(state, limits, queue, consumer, known, now, out, counts=counts)
        returning.put_back(state, queue, back)
    elif comes_back:
        delaying.delay(state, limits, queue, consumer, event._replace(ids=known), now, out)
    else:
        remove(state, queue, consumer, known)
        gone = [*known, *repeated]
        if outcome is Outcome.ACK:
            queue.count_acknowledged(len(gone))
            out.writes += queue.settle(gone, now, space=state.space is not Space.NONE)
        elif gone:
            _reject(queue, session, event, gone, out)
    returning.after_settling(state, queue)
    returning.room_again(state, consumer, len(known))


def remove(
    state: BrokerState, queue: MessageQueue, consumer: Consumer, deliveries: Sequence[int]
) -> None:
    """A consumer has these no more, and nobody else gets them."""
    for delivery, key in consumer.pop_all(deliveries):
        returning.free(state, queue, delivery, key)
    served = state.consuming.served.get(queue.row.uid)
    if served is not None and served.unread:
        for delivery in deliveries:
            served.unread.pop(delivery, None)


def unknown_delivery(event: e.Settled, delivery: int, field: str) -> QuorateError:
    """The consumer does not have it. `field`: where it stands in the request."""
    text = f"{field}: {_text(event, delivery)}"
    error = precondition(UNKNOWN, text, delivery=delivery, field=field)
    error.field = field
    return error


def _others(ids: Sequence[int], unsettled: Container[int]) -> list[int]:
    """Those that are not unsettled, and those that are repeated."""
    found: list[int] = []
    first: dict[int, None] = {}
    for one in ids:
        if one not in unsettled or one in first:
            found.append(one)
        first[one] = None
    return found


def _reject(
    queue: MessageQueue,
    session: Session,
    event: e.Settled,
    gone: Sequence[int],
    out: BrokerEffects,
) -> None:
    """The messages are out until the commit that has their copies; the request is done then."""
    session.settles.begin(event.number)
    done = fx.StepOnceCommitted(ce.SettleContinued(event._replace(ids=())))
    # A repeated one is out from here on, too.
    for delivery in gone:
        queue.adopt(delivery)
    out.then.append(DeadLetterAsked(queue.row.uid, tuple(gone), Reason.REJECTED, (done,)))


def _is_small(queue: MessageQueue, ids: Sequence[int], most_chunks: int) -> bool:
    """Whether one step settles them all, as far as can be said without looking at each."""
    if len(ids) <= most_chunks:
        return True
    low, first = split_id(min(ids))
    high, last = split_id(max(ids))
    lane = queue.lanes.get(low)
    if low != high or lane is None or len(ids) > STEP_SETTLED:
        return False
    chunks = lane.log.chunks
    return chunks.behind(last) - chunks.behind(first) < most_chunks


def _refuse(event: e.Settled, wrong: Sequence[int], out: BrokerEffects) -> None:
    if wrong:
        text = _text(event, wrong[0])
        out.now.append(fx.SettleRefused(event.session, event.number, UNKNOWN, text, wrong))


def _text(event: e.Settled, delivery: int) -> str:
    who = f"consumer {event.consumer}" if event.consumer else f"a fetch of {event.queue!r}"
    return (
        f"{who} does not have delivery {delivery}: it was never delivered to it, "
        "is settled already, or came back"
    )
