"""What time does to deliveries.

* A consumer that does not settle a delivery in time ends, and loses all of them
  (https://www.rabbitmq.com/docs/quorum-queues#consumer-timeout). `TOUCH` begins the time anew.
* A delivery that is not settled after `RECORD_AFTER` goes on record as one in vain, so that a
  message that takes consumers and leaders with it is known. When it is nacked, that is put right.
"""

from __future__ import annotations

from scheduler.core.broker import effects as fx
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import RECORD_AFTER, RECORD_EVERY, RECORD_MESSAGES
from scheduler.core.broker.consuming.served import Fresh
from scheduler.core.broker.consuming.sessions import FETCHING, Consumer
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import consumers, returning
from scheduler.core.broker.handlers.consuming.deliveries.sending import RECORD, TIMEOUT, timer_of
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ConsumerNumber, QueueUid, SessionId
from scheduler.core.broker.state import BrokerState, Space


def record_due(
    state: BrokerState, limits: BrokerLimits, whose: str, now: float, out: BrokerEffects
) -> None:
    """Deliveries of a queue are old enough to go on record: a batch of them."""
    uid = QueueUid(whose)
    served, queue = state.consuming.served.get(uid), state.queues.get(uid)
    if served is None or queue is None:
        return
    fresh = served.fresh
    old: dict[int, Consumer] = {}
    while fresh and fresh[0].time + RECORD_AFTER <= now and len(old) < RECORD_MESSAGES:
        time, consumer, deliveries = fresh.popleft()
        room = RECORD_MESSAGES - len(old)
        if len(deliveries) > room:
            fresh.appendleft(Fresh(time, consumer, deliveries[room:]))
        for delivery in deliveries[:room]:
            known = consumer.unsettled.get(delivery)
            if known is not None and not known.recorded:
                old[delivery] = consumer
    some = returning.part(queue, old, limits.step_writes // 2)
    for delivery in list(old)[len(some) :]:
        fresh.appendleft(Fresh(now - RECORD_AFTER, old[delivery], [delivery]))
    counts = []
    # Without space nothing can be written: they are not counted then.
    for delivery in some if state.space is not Space.NONE else ():
        unsettled = old[delivery].unsettled
        known = unsettled[delivery]
        unsettled[delivery] = known._replace(recorded=True)
        counts.append((delivery, known.failed + 1))
    if counts:
        out.writes += queue.came_back(counts, now)
    if fresh:
        due = max(fresh[0].time + RECORD_AFTER, now + RECORD_EVERY)
        state.timers.sooner((RECORD, uid), now if len(some) < len(old) else due)
    else:
        state.consuming.forget_idle(uid)


def timeout_due(
    state: BrokerState, _limits: BrokerLimits, whose: str, now: float, out: BrokerEffects
) -> None:
    """A consumer may have a delivery for too long."""
    consumer = _found(state, whose)
    if consumer is None or not consumer.unsettled:
        return
    oldest, unsettled = next(iter(consumer.unsettled.items()))
    due = unsettled.time + consumer.timeout
    if due > now:
        state.timers.sooner((TIMEOUT, timer_of(consumer)), due)
        return
    text = f"delivery {oldest} was not settled within {consumer.timeout:g} s"
    number = consumer.spec.consumer
    out.now.append(fx.EndConsumer(consumer.session.id, number, "CONSUMER_TIMEOUT", text))
    if number != FETCHING and not consumer.ended:
        consumers.end(state, consumer, now, out)
    out.then.append(ce.ConsumerReturning(consumer))


def _found(state: BrokerState, whose: str) -> Consumer | None:
    number, uid, id = whose.split(" ", 2)
    session = state.consuming.sessions.get(SessionId(id))
    if session is None:
        return None
    consumer: Consumer | None
    if int(number):
        consumer = session.consumers.get(ConsumerNumber(int(number)))
    else:
        consumer = session.fetching.get(QueueUid(uid))
    return consumer
