"""Publishing: routed, weighed, stored; answered when all of it is durable.

    publications -> routes -> copies -> one commit if they fit, else part after part

A part holds whole publications, in their order; one that goes to more queues than a step takes is
split by queue. A publication that a queue refuses is in none.

Numbers of a producer that are settled have the same answer again, without effect: each part writes
how far it is, and what was refused, so that a producer that repeats what was not confirmed, to the
next leader, finds each of its messages once. Twice are at most those that were split by queue.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.placing import Placing
from scheduler.core.broker.handlers.publishing import producers, rejections, turns
from scheduler.core.broker.handlers.publishing.plans import Plan, place, plan_publications
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ProducerRow
from scheduler.core.broker.state import BrokerState


class PublishContinued(NamedTuple):
    """More parts of a publish. `settled`: the number that is on record; `turn`: see `turns`."""

    plan: Plan
    producer: str
    turn: str
    settled: int
    token: e.Token
    digest: bytes = b""


class PublishResumed(NamedTuple):
    """A publish that waited for one before it."""

    event: e.MessagesPublished


def on_messages_published(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.MessagesPublished,
    now: float,
    out: BrokerEffects,
) -> None:
    if not turns.waits(state, event.turn, PublishResumed(event)):
        _publish(state, limits, event, now, out)


def on_publish_resumed(
    state: BrokerState, limits: BrokerLimits, event: PublishResumed, now: float, out: BrokerEffects
) -> None:
    try:
        _publish(state, limits, event.event, now, out)
    except QuorateError as error:
        out.after.append(fx.Reply(event.event.token, error))
        turns.go_on(state, event.event.turn, out)


def _publish(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.MessagesPublished,
    now: float,
    out: BrokerEffects,
) -> None:
    state.router.host(event.virtual_host)
    known = state.producers.get(event.producer) if event.producer else None
    if event.digest:
        producers.check_same(known, event.digest)
    settled = 0 if known is None else known.number
    plan = plan_publications(
        state,
        limits,
        event.virtual_host,
        event.publications,
        now,
        producer=known,
        creator=event.caller,
    )
    continued = PublishContinued(
        plan, event.producer, event.turn, settled, event.token, event.digest
    )
    on_publish_continued(state, limits, continued, now, out)


def on_publish_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: PublishContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    plan, placing = event.plan, Placing(limits, state.bodies)
    placed = place(state, plan, placing, now)
    placing.flush(out)
    settled = min(placed, plan.settled) if plan.copies else plan.settled
    if event.producer and settled > event.settled:
        row = _row(state.producers.get(event.producer), event, settled, now)
        producers.remember(state, limits, row, now, out)
        event = event._replace(settled=settled)
    if plan.copies:
        turns.hold(state, event.turn)
        out.then.append(event)
    else:
        out.after += plan.replies
        results = tuple(sorted(plan.results, key=lambda one: one.position))
        out.after.append(fx.Reply(event.token, PublishAnswer(results)))
        turns.go_on(state, event.turn, out)


def _row(
    known: ProducerRow | None, event: PublishContinued, settled: int, now: float
) -> ProducerRow:
    """How far the producer is. What is refused of the parts that follow is on record before they
    are: it says nothing until they are settled."""
    numbers = event.plan.numbers
    if known is None:
        known = rejections.unknown(event.producer, numbers, now)
    runs = rejections.noted(known, numbers, event.plan.refused)
    return ProducerRow(event.producer, settled, now, event.digest, runs, known.forgotten)
