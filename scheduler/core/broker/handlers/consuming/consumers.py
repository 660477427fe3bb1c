"""Consumers: subscribed, unsubscribed, with more or less credit, ended by the leader."""

from __future__ import annotations

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import SubscribedAnswer
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import MOST_PREFETCH
from scheduler.core.broker.consuming.replies import REPLY_TO
from scheduler.core.broker.consuming.sessions import FETCHING, Consumer, Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import message_queues
from scheduler.core.broker.handlers.consuming import records, replying, returning
from scheduler.core.broker.handlers.consuming.deliveries import sending
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import SubscribeSpec
from scheduler.core.broker.state import BrokerState

# Consumers of deleted queues whose settlements are no error, per session.
_MOST_DELETED = 1_024


def on_subscribed(
    state: BrokerState, _limits: BrokerLimits, event: e.Subscribed, now: float, out: BrokerEffects
) -> None:
    session = records.session_of(state, event.session)
    if event.spec.queue == REPLY_TO:
        address = replying.subscribe(state, session, event.spec)
        out.after.append(fx.Reply(event.token, SubscribedAnswer(0, address)))
        return
    consumer = subscribe(state, session, event.spec, now, out)
    ready = state.queues[consumer.uid].ready
    offset = consumer.offset if state.queues[consumer.uid].is_stream else None
    out.after.append(fx.Reply(event.token, SubscribedAnswer(ready, offset=offset)))
    out.after.append(fx.StepOnceCommitted(ce.SubscriptionRecorded(consumer)))


def subscribe(
    state: BrokerState, session: Session, spec: SubscribeSpec, now: float, out: BrokerEffects
) -> Consumer:
    """A session consumes from a queue. It gets nothing before that is on record.

    Raises QuorateError: nothing has changed then.
    """
    consuming = state.consuming
    records.check_spec(session, spec, consuming.consumers)
    queue = message_queues.used_by(state, session.row.virtual_host, spec.queue, session.id)
    records.check_queue(queue, consuming.served.get(queue.row.uid), spec)
    records.name_queue(state, session, queue, out)
    served = consuming.serve(queue.row)
    consumer = records.new_consumer(state, session, queue, served, spec)
    if queue.is_stream:
        consumer.offset, consumer.since = queue.locate(spec.position), spec.position.time
    session.consumers[spec.consumer] = consumer
    consuming.consumers += 1
    served.add(consumer)
    queue.consumers = len(served.consumers)
    message_queues.used(state, queue, now)
    return consumer


def on_subscription_recorded(
    state: BrokerState,
    _limits: BrokerLimits,
    event: ce.SubscriptionRecorded,
    _now: float,
    _out: BrokerEffects,
) -> None:
    consumer = event.consumer
    consumer.ready = True
    consumer.session.recorded[consumer.uid] = None
    returning.room_again(state, consumer, 0)
    state.touched[consumer.uid] = None


def on_unsubscribed(
    state: BrokerState, _limits: BrokerLimits, event: e.Unsubscribed, now: float, out: BrokerEffects
) -> None:
    """What it has not settled stays its own: https://www.rabbitmq.com/docs/consumers#unsubscribing"""
    session = state.consuming.sessions.get(event.session)
    if session is None or replying.unsubscribe(state, session, event.consumer):
        return
    consumer = session.consumers.get(event.consumer)
    if consumer is not None and not consumer.ended:
        end(state, consumer, now, out)


def end(state: BrokerState, consumer: Consumer, now: float, out: BrokerEffects) -> None:
    """A consumer gets nothing any more. Its queue goes if it was the last one of an auto-delete
    queue."""
    served, queue = state.consuming.served[consumer.uid], state.queues[consumer.uid]
    served.remove(consumer)
    consumer.session.full.pop(consumer, None)
    queue.consumers = len(served.consumers)
    if not consumer.unsettled:
        returning.forget(state, consumer)
    message_queues.consumer_left(state, queue, now, out)
    state.touched[consumer.uid] = None


def on_credit_changed(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.CreditChanged,
    _now: float,
    _out: BrokerEffects,
) -> None:
    """A lower limit takes nothing back: nothing more is delivered until enough is settled."""
    session = state.consuming.sessions.get(event.session)
    if session is None:
        return
    prefetch = min(max(event.prefetch, 0), MOST_PREFETCH)
    if event.consumer == FETCHING:
        session.prefetch = prefetch
        look_again(state, session)
        return
    consumer = session.consumers.get(event.consumer)
    if consumer is not None:
        consumer.prefetch = prefetch
        returning.room_again(state, consumer, 0)
        state.touched[consumer.uid] = None


def on_session_paused(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.SessionPaused,
    _now: float,
    _out: BrokerEffects,
) -> None:
    session = state.consuming.sessions.get(event.session)
    if session is not None:
        session.paused = event.paused
        if not event.paused:
            look_again(state, session)


def on_outgoing_taken(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.OutgoingTaken,
    _now: float,
    out: BrokerEffects,
) -> None:
    session = state.consuming.sessions.get(event.session)
    if session is not None:
        session.sending = False
        look_again(state, session)
    state.send_held_back(out)


def look_again(state: BrokerState, session: Session) -> None:
    """Consumers of a session may get messages again."""
    session.full.clear()
    for consumer in session.consumers.values():
        served = state.consuming.served.get(consumer.uid)
        if served is not None and not consumer.ended:
            served.may_have_room(consumer)
            state.touched[consumer.uid] = None


def queue_gone(state: BrokerState, queue: MessageQueue, _now: float, out: BrokerEffects) -> None:
    """A queue was deleted: its consumers end, with a notice once that is durable
    (https://www.rabbitmq.com/docs/consumer-cancel); what they have is gone."""
    row = queue.row
    state.consuming.disown(row)
    served = state.consuming.served.pop(row.uid, None)
    if served is None:
        return
    for consumer in list(served.members):
        session = consumer.session
        number = consumer.spec.consumer
        if not consumer.ended:
            text = f"message queue {row.name!r} was deleted"
            out.after.append(fx.EndConsumer(session.id, number, "MESSAGE_QUEUE_DELETED", text))
        consumer.ended = True
        consumer.clear()
        state.consuming.forget(consumer)
        if number != FETCHING:
            session.deleted[number] = None
            if len(session.deleted) > _MOST_DELETED:
                del session.deleted[next(iter(session.deleted))]
    for fetch in served.fetches:
        error = records.deleted(row.name)
        out.after.append(fx.SendFetched(fetch.session, fetch.number, None, 0, error))
    sending.forget_timers(state, row.uid)
    returning.feed(state, served.tally.total)
