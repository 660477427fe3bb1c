"""Single messages: AMQP's `basic.get`.

The answer to an empty queue comes at once. Otherwise a fetch goes before all consumers, and waits
only for the message's body, and for the sessions of which a new leader has to hear.
"""

from __future__ import annotations

from quorate.runtime.errors import QuorateError, exhausted, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import FETCHES, STEP_BYTES
from scheduler.core.broker.consuming.served import Served, WaitingFetch
from scheduler.core.broker.consuming.sessions import FETCHING, Consumer, Session
from scheduler.core.broker.consuming.taking import take
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import message_queues
from scheduler.core.broker.handlers.consuming import records
from scheduler.core.broker.handlers.consuming.deliveries import sending
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import SubscribeSpec
from scheduler.core.broker.state import BrokerState


def on_fetched(
    state: BrokerState, _limits: BrokerLimits, event: e.Fetched, now: float, out: BrokerEffects
) -> None:
    session = state.consuming.sessions.get(event.session)
    if session is None or not session.present:
        return
    try:
        queue, served = _checked(state, session, event)
        if not event.automatic_ack and queue.row.uid not in session.recorded:
            records.name_queue(state, session, queue, out)
            out.after.append(fx.StepOnceCommitted(ce.FetchRecorded(event, queue.row.uid)))
            return
    except QuorateError as error:
        out.after.append(fx.SendFetched(event.session, event.number, None, 0, error))
        return
    message_queues.used(state, queue, now)
    served.fetches.append(WaitingFetch(event.session, event.number, event.automatic_ack))
    state.touched[queue.row.uid] = None


def on_fetch_recorded(
    state: BrokerState,
    limits: BrokerLimits,
    event: ce.FetchRecorded,
    now: float,
    out: BrokerEffects,
) -> None:
    session = state.consuming.sessions.get(event.fetch.session)
    if session is not None:
        session.recorded[event.uid] = None
        on_fetched(state, limits, event.fetch, now, out)


def serve(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    served: Served,
    now: float,
    out: BrokerEffects,
) -> bool:
    """Answer the fetches of a queue; False: they wait, and consumers behind them."""
    chunks = limits.step_writes // 4
    while served.fetches:
        if chunks <= 0:
            state.touched[queue.row.uid] = None
            return False
        chunks -= 1
        fetch = served.fetches[0]
        session = state.consuming.sessions.get(fetch.session)
        if session is None or not session.present:
            served.fetches.popleft()
            continue
        if not (fetch.automatic_ack or served.tally.total.room):
            served.fetches.popleft()
            error = _too_many(served.tally.total.most)
            out.after.append(fx.SendFetched(session.id, fetch.number, None, queue.ready, error))
            continue
        batch = take(queue, served.orders, 1, STEP_BYTES, 1, now)
        if batch.missing is not None:
            state.load(queue, batch.missing, out)
            return False
        if batch.blocked and served.orders is None:
            if sending.read_keys(state, queue, served, out):
                continue
            return False
        served.fetches.popleft()
        if not batch.deliveries:
            out.after.append(fx.SendFetched(session.id, fetch.number, None, queue.ready))
            continue
        answer = fx.SendFetched(session.id, fetch.number, batch.deliveries[0], queue.ready)
        if fetch.automatic_ack:
            queue.count_delivered(1, batch.deliveries[0].redelivered)
            sending.acknowledge(state, queue, batch.deliveries, batch.keys, now, out)
            out.after.append(answer)
            continue
        consumer = fetching(state, served, session, queue)
        sending.put(queue, consumer, batch.deliveries, batch.keys, now)
        again = sending.sent(state, served, consumer, batch.deliveries, now)
        if again:
            out.writes += queue.came_back(again, now)
        out.now.append(answer)
    state.consuming.forget_idle(queue.row.uid)
    return True


def fetching(state: BrokerState, served: Served, session: Session, queue: MessageQueue) -> Consumer:
    """What a session fetched of a queue and did not settle."""
    uid = queue.row.uid
    consumer = session.fetching.get(uid)
    if consumer is None:
        spec = SubscribeSpec(FETCHING, queue.row.name)
        consumer = records.new_consumer(state, session, queue, served, spec)
        # It gets nothing by itself.
        consumer.ended = True
        session.fetching[uid] = consumer
        served.members[consumer] = None
    return consumer


def _checked(state: BrokerState, session: Session, event: e.Fetched) -> tuple[MessageQueue, Served]:
    queue = message_queues.used_by(state, session.row.virtual_host, event.queue, session.id)
    name = queue.row.name
    if queue.is_stream:
        raise precondition(
            "STREAM_NOT_FETCHED",
            f"{name!r} is a stream; subscribe to it with a position",
            message_queue=name,
        )
    if queue.row.spec.single_active_consumer:
        # As RabbitMQ's quorum queues.
        raise precondition(
            "SINGLE_ACTIVE_CONSUMER",
            f"message queue {name!r} has a single active consumer; subscribe to it",
            message_queue=name,
        )
    served = state.consuming.serve(queue.row)
    if served.exclusive is not None:
        raise records.in_exclusive_use(name)
    if len(served.fetches) >= FETCHES:
        raise exhausted(
            "TOO_MANY_FETCHES",
            f"{FETCHES} fetches of message queue {name!r} wait already; repeat it later",
            limit=FETCHES,
        )
    return queue, served


def _too_many(most: int) -> QuorateError:
    return exhausted(
        "TOO_MANY_UNSETTLED",
        f"consumers have {most} messages that are not settled, which is the most; settle some",
        limit=most,
    )
