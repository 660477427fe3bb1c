"""What a session that came back says it has, compared with what the leader knows, in parts.

| the client has | the leader | then |
|---|---|---|
| a consumer | has it | it goes on, with the prefetch that it says now |
| a consumer | does not | it subscribes; one that cannot ends with a notice |
| not | a consumer | it is unsubscribed |
| a delivery | has it as this consumer's | it stays |
| a delivery | has it as ready | it is the consumer's again: the leader before this one sent it |
| a delivery | does not: another has it, or it is gone | nothing; see `settling` |
| a delivery of a stream | has too many unsettled ones of streams | it is settled |
| not | a delivery | it is ready again: it was lost on its way |

The queues that wait for the session wait until all of it is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.errors import QuorateError, unavailable
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import SessionAnswer
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import STEP_SETTLED
from scheduler.core.broker.consuming.replies import REPLY_TO
from scheduler.core.broker.consuming.sessions import (
    Consumer,
    Listed,
    Presence,
    Session,
    Unsettled,
)
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import instants
from scheduler.core.broker.handlers.consuming import consumers, records, replying, returning
from scheduler.core.broker.handlers.consuming.deliveries import fetching, sending
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import ConsumerNumber, SubscribeSpec
from scheduler.core.broker.state import BrokerState


def begin(
    state: BrokerState, session: Session, event: e.SessionOpened, now: float, out: BrokerEffects
) -> None:
    """Its consumers; what they have follows."""
    ended: list[fx.EndConsumer] = []
    for number in [one for one in session.consumers if one not in _numbers(event)]:
        consumer = session.consumers[number]
        if not consumer.ended:
            consumers.end(state, consumer, now, out)
    for number in [one for one in session.replies if one not in _numbers(event)]:
        replying.unsubscribe(state, session, number)
    for spec in event.consumers:
        if spec.queue == REPLY_TO:
            _reply_to(state, session, spec, ended)
            continue
        known = session.consumers.get(spec.consumer)
        if known is not None and known.spec.queue == spec.queue:
            known.prefetch = spec.prefetch
            continue
        try:
            _make_room(state, session, spec, now, out)
            consumer = consumers.subscribe(state, session, spec, now, out)
        except QuorateError as error:
            ended.append(fx.EndConsumer(session.id, spec.consumer, error.reason, error.message))
        else:
            out.after.append(fx.StepOnceCommitted(ce.SubscriptionRecorded(consumer)))
    if session.token is not None:
        # Of a stream before this one.
        taken_over = unavailable("SESSION_TAKEN_OVER", "another stream has opened the session")
        out.after.append(fx.Reply(session.token, taken_over))
    session.ended, session.token = ended, event.token
    session.become(Presence.AWAITED)
    _list(state, session, event)


def _reply_to(
    state: BrokerState, session: Session, spec: SubscribeSpec, ended: list[fx.EndConsumer]
) -> None:
    if spec.consumer in session.replies:
        return
    try:
        replying.subscribe(state, session, spec)
    except QuorateError as error:
        ended.append(fx.EndConsumer(session.id, spec.consumer, error.reason, error.message))


def go_on(
    state: BrokerState,
    limits: BrokerLimits,
    session: Session,
    now: float,
    out: BrokerEffects,
) -> None:
    """Compare the next part; answer the client after the last one."""
    left = STEP_SETTLED
    while session.inventory:
        if left <= 0:
            out.then.append(ce.InventoryContinued(session))
            return
        listed = session.inventory[0]
        queue = state.queues.get(listed.consumer.uid)
        if queue is None:
            session.inventory.popleft()
        elif listed.place < len(listed.deliveries):
            some = listed.deliveries[listed.place : listed.place + left]
            listed.place += len(some)
            left -= len(some)
            _confirm(state, queue, listed, some, now)
        else:
            lost = [one for one in listed.consumer.unsettled if one not in listed.confirmed]
            some = returning.part(queue, lost, limits.step_writes // 2)
            left = 0 if some else left
            back = returning.lose(
                state, limits, queue, listed.consumer, some, now, out, counts=False
            )
            returning.put_back(state, queue, back)
            if len(some) == len(lost):
                session.inventory.popleft()
                if listed.consumer.ended and not listed.consumer.unsettled:
                    returning.forget(state, listed.consumer)
            else:
                left = 0
    if session.token is None:
        return
    session.become(Presence.PRESENT)
    heard_of(state, session, doubt=False)
    out.after.append(fx.Reply(session.token, SessionAnswer(session.id, session.resumed)))
    out.after += session.ended
    session.token, session.ended = None, []
    consumers.look_again(state, session)


def on_inventory_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: ce.InventoryContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    if event.session.token is not None:
        go_on(state, limits, event.session, now, out)


def heard_of(state: BrokerState, session: Session, *, doubt: bool) -> None:
    """Nothing more is to be heard of a session: its queues do not wait for it.

    Args:
        doubt: nobody knows what it has: it may be delivered again.
    """
    for uid in session.awaited:
        served, queue = state.consuming.served.get(uid), state.queues.get(uid)
        if served is None or session.id not in served.awaited:
            continue
        del served.awaited[session.id]
        if queue is not None and doubt:
            queue.doubt()
        if not served.awaited:
            served.choose_active()
            state.touched[uid] = None
            state.consuming.forget_idle(uid)
            if queue is not None:
                instants.watch(state, queue)
    session.awaited = ()


def _list(state: BrokerState, session: Session, event: e.SessionOpened) -> None:
    said: dict[Consumer, list[int]] = {consumer: [] for consumer in session.all_consumers()}
    for name, number, deliveries in event.unsettled:
        consumer = _consumer(state, session, name, number)
        if consumer is not None:
            said.setdefault(consumer, []).extend(deliveries)
    session.inventory.clear()
    session.inventory.extend(Listed(consumer, ids) for consumer, ids in said.items())


def _consumer(
    state: BrokerState, session: Session, name: str, number: ConsumerNumber
) -> Consumer | None:
    if number:
        known = session.consumers.get(number)
        return known if known is not None and known.spec.queue == name else None
    queue = state.find_queue(session.row.virtual_host, name)
    if queue is None or queue.is_stream or queue.row.owner not in ("", session.id):
        return None
    return fetching.fetching(state, state.consuming.serve(queue.row), session, queue)


def _confirm(
    state: BrokerState, queue: MessageQueue, listed: Listed, some: Sequence[int], now: float
) -> None:
    consumer, served = listed.consumer, state.consuming.serve(queue.row)
    adopted: list[int] = []
    for delivery in some:
        if delivery in consumer.unsettled:
            listed.confirmed[delivery] = None
        elif served.tally.total.room if queue.is_stream else queue.adopt(delivery):
            # The record may say one more than came back in vain: this one, while it is out.
            failed = queue.failed(delivery)
            consumer.put(delivery, Unsettled(now, 0, failed, b"", failed > 0))
            listed.confirmed[delivery] = None
            if not queue.is_stream:
                served.unread[delivery] = consumer
                adopted.append(delivery)
    if adopted:
        sending.watch(state, served, consumer, adopted, now)


def _make_room(
    state: BrokerState, session: Session, spec: SubscribeSpec, now: float, out: BrokerEffects
) -> None:
    """Who consumed before the change of leaders, alone, goes before who came after it."""
    queue = state.find_queue(session.row.virtual_host, spec.queue)
    served = None if queue is None else state.consuming.served.get(queue.row.uid)
    if served is None or session.id not in served.awaited or served.tally.unsettled:
        return
    others = list(served.consumers) if spec.exclusive else [served.exclusive]
    for other in others:
        if other is None or other.session is session:
            continue
        error = records.in_exclusive_use(spec.queue)
        number = other.spec.consumer
        out.now.append(fx.EndConsumer(other.session.id, number, error.reason, error.message))
        consumers.end(state, other, now, out)


def _numbers(event: e.SessionOpened) -> dict[ConsumerNumber, None]:
    return {spec.consumer: None for spec in event.consumers}
