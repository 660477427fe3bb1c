"""Transactions: messages are published and deliveries acknowledged in one commit, or none of it.

So a program that consumes, transforms and produces has each message's effect once. A transaction
that is repeated after it was committed finds that its deliveries are settled, and is refused.
"""

from __future__ import annotations

from quorate.runtime.errors import exhausted, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming.bounds import STEP_SETTLED
from scheduler.core.broker.consuming.sessions import Consumer, Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import records, returning, settling
from scheduler.core.broker.handlers.publishing import publish_whole
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.state import BrokerState


def on_transacted(
    state: BrokerState, limits: BrokerLimits, event: e.Transacted, now: float, out: BrokerEffects
) -> None:
    settled: list[tuple[MessageQueue, Consumer, e.Settled]] = []
    if event.settles:
        session = records.session_of(state, event.session)
        if session.row.virtual_host != event.virtual_host:
            raise precondition(
                "SESSION_DIFFERS",
                f"session {event.session!r} is of virtual host {session.row.virtual_host!r}, "
                f"not of {event.virtual_host!r}",
                field="virtual_host",
            )
        settled = _checked(state, limits, session, event)
    # It raises, or changes nothing but what it adds.
    answer = publish_whole(state, limits, event.virtual_host, event.publications, now, out)
    for queue, consumer, settle in settled:
        settling.settle(state, limits, queue, consumer, settle, now, out)
    out.after.append(fx.Reply(event.token, answer))


def _checked(
    state: BrokerState, limits: BrokerLimits, session: Session, event: e.Transacted
) -> list[tuple[MessageQueue, Consumer, e.Settled]]:
    """Each acknowledgement with its consumer. Raises FAILED_PRECONDITION, RESOURCE_EXHAUSTED."""
    found: list[tuple[MessageQueue, Consumer, e.Settled]] = []
    seen: dict[tuple[str, int], None] = {}
    count = chunks = 0
    most_chunks = limits.step_writes // 2
    for settle in event.settles:
        if settle.outcome is not e.Outcome.ACK:
            raise precondition(
                "BAD_OUTCOME",
                f"a transaction acknowledges; {settle.outcome.value} deliveries outside of it",
                field="settles.outcome",
            )
        consumer = settling.consumer_of(state, session, settle)
        queue = None if consumer is None else state.queues.get(consumer.uid)
        for delivery in settle.ids:
            known = consumer is not None and delivery in consumer.unsettled
            if consumer is None or not known or (consumer.uid, delivery) in seen:
                raise settling.unknown_delivery(settle, delivery)
            seen[consumer.uid, delivery] = None
        if consumer is None or queue is None:
            continue
        count += len(settle.ids)
        chunks += returning.chunks_of(queue, settle.ids)
        if count > STEP_SETTLED or chunks > most_chunks:
            raise exhausted(
                "TRANSACTION_TOO_LARGE",
                f"one commit acknowledges at most {STEP_SETTLED} deliveries of {most_chunks} "
                "commits; acknowledge in smaller transactions",
                limit=STEP_SETTLED,
            )
        found.append((queue, consumer, settle))
    return found
