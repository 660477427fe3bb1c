"""Publishing: routed, weighed, stored; answered when all of it is durable.

    publications -> routes -> copies -> one commit if they fit, else part after part

A part holds whole publications, in their order; one that goes to more queues than a step takes is
split by queue. A publication that a queue refuses is in none.

Numbers of a producer that are settled are confirmed again without effect: each part writes how far
it is, so that a producer that repeats what was not confirmed, to the next leader, finds each of
its messages once. Twice are at most those that were split by queue, and those behind one that was
refused in the same event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from quorate.runtime.errors import QuorateError, exhausted, not_found
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer, PublishResult, ResultKind
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.dead_letters import to_dead_letter_exchange
from scheduler.core.broker.handlers.placing import Copy, Placing
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.envelope import Parsed, parse
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import Overflow, ProducerRow, QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import MESSAGE_BYTES

# Of timers: producers that are to be forgotten.
PRODUCERS = "producers"
_FORGET_EVERY = 60.0
_FORGOTTEN_AT_ONCE = 256


@dataclass(slots=True)
class Plan:
    """What publications come to.

    Attributes:
        copies: of each publication that goes into queues, in their order: its number, and which
            queues get what.
        coming: messages by queue.
        settled: the greatest number of the producer that is settled with all of them.
    """

    results: list[PublishResult] = field(default_factory=list)
    copies: deque[tuple[int, list[tuple[QueueUid, Copy]]]] = field(default_factory=deque)
    coming: dict[QueueUid, int] = field(default_factory=dict)
    size: int = 0
    settled: int = 0

    def add(self, number: int, copies: list[tuple[QueueUid, Copy]]) -> None:
        self.copies.append((number, copies))
        for uid, copy in copies:
            self.coming[uid] = self.coming.get(uid, 0) + 1
            self.size += len(copy.payload) + MESSAGE_BYTES


class PublishContinued(NamedTuple):
    """More parts of a publish. `settled`: the number that is on record."""

    plan: Plan
    producer: str
    settled: int
    token: e.Token


class PublishResumed(NamedTuple):
    """A publish that waited for one before it, of the same producer."""

    event: e.MessagesPublished


def on_messages_published(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.MessagesPublished,
    now: float,
    out: BrokerEffects,
) -> None:
    waiting = state.publishing.get(event.producer) if event.producer else None
    if waiting is None:
        _publish(state, limits, event, now, out)
    else:
        # Its number may not be on record before all parts of the one before are.
        waiting.append(event)


def on_publish_resumed(
    state: BrokerState, limits: BrokerLimits, event: PublishResumed, now: float, out: BrokerEffects
) -> None:
    try:
        _publish(state, limits, event.event, now, out)
    except QuorateError as error:
        out.after.append(fx.Reply(event.event.token, error))
        _resume(state, event.event.producer, out)


def _publish(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.MessagesPublished,
    now: float,
    out: BrokerEffects,
) -> None:
    state.router.host(event.virtual_host)
    known = state.producers.get(event.producer) if event.producer else None
    settled = known.number if known is not None else 0
    plan = plan_publications(
        state, limits, event.virtual_host, event.publications, now, settled=settled
    )
    continued = PublishContinued(plan, event.producer, settled, event.token)
    on_publish_continued(state, limits, continued, now, out)


def on_publish_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: PublishContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    plan, placing = event.plan, Placing(limits)
    placed = _place(state, plan, placing, now)
    placing.flush(out)
    settled = min(placed, plan.settled) if plan.copies else plan.settled
    if event.producer and settled > event.settled:
        _remember(state, limits, ProducerRow(event.producer, settled, now), now, out)
        event = event._replace(settled=settled)
    if plan.copies:
        if event.producer:
            state.publishing.setdefault(event.producer, deque())
        out.then.append(event)
    else:
        out.after.append(fx.Reply(event.token, PublishAnswer(tuple(plan.results))))
        _resume(state, event.producer, out)


def _resume(state: BrokerState, producer: str, out: BrokerEffects) -> None:
    """All of a publish is stepped: the next one of its producer goes on, if any waits."""
    waiting = state.publishing.get(producer)
    if waiting:
        out.then.append(PublishResumed(waiting.popleft()))
    elif waiting is not None:
        del state.publishing[producer]


def publish_whole(
    state: BrokerState,
    limits: BrokerLimits,
    virtual_host: str,
    publications: Sequence[e.Publication],
    now: float,
    out: BrokerEffects,
) -> PublishAnswer:
    """Publish in this very commit: of `Transacted`. Raises what is wrong, and changes nothing then.

    RESOURCE_EXHAUSTED: it does not fit into one commit, or a queue is full.
    """
    state.router.host(virtual_host)
    plan = plan_publications(state, limits, virtual_host, publications, now)
    for result in plan.results:
        if result.kind is ResultKind.REJECTED:
            raise result.error
    if plan.size > limits.step_bytes or len(plan.coming) > limits.step_writes // 2:
        raise exhausted(
            "TRANSACTION_TOO_LARGE",
            f"the messages take {plan.size} bytes in {len(plan.coming)} message queues; one commit "
            f"takes {limits.step_bytes} bytes and {limits.step_writes // 2} queues",
            limit=limits.step_bytes,
        )
    placing = Placing(limits)
    _place(state, plan, placing, now, whole=True)
    placing.flush(out)
    return PublishAnswer(tuple(plan.results))


def plan_publications(
    state: BrokerState,
    limits: BrokerLimits,
    virtual_host: str,
    publications: Sequence[e.Publication],
    now: float,
    *,
    settled: int = 0,
) -> Plan:
    """Where publications go. Changes nothing but counts. `settled`: of their producer."""
    plan = Plan(settled=settled)
    # Many of one event say the same, but for their bodies.
    known: dict[tuple[str, bytes, bytes], tuple[Parsed, list[MessageQueue]]] = {}
    refused = False
    for position, one in enumerate(publications):
        if one.number and one.number <= settled:
            continue
        copies: list[tuple[QueueUid, Copy]] = []
        try:
            way = one.exchange, one.routing_key, one.properties
            if way not in known:
                parsed = parse(one.routing_key, one.properties)
                route = state.router.route(virtual_host, one.exchange, parsed.message)
                known[way] = parsed, [state.queue(virtual_host, name) for name in route.queues]
            parsed, queues = known[way]
            _check_room(limits, plan, queues)
        except _Full as full:
            refused = True
            plan.results.append(PublishResult(position, ResultKind.REJECTED, full.error))
            if full.queue.row.spec.overflow is Overflow.REJECT_PUBLISH_DEAD_LETTER:
                copies = [
                    (target.row.uid, copy)
                    for target, copy in to_dead_letter_exchange(
                        state, full.queue, one.payload, Reason.MAXLEN, now, now
                    )
                ]
        except QuorateError as error:
            refused = True
            plan.results.append(PublishResult(position, ResultKind.REJECTED, error))
        else:
            if one.mandatory and not queues:
                none = not_found("route", one.routing_key.decode(errors="backslashreplace"))
                plan.results.append(PublishResult(position, ResultKind.RETURNED, none))
            copies = [(queue.row.uid, Copy(one.payload, parsed, now)) for queue in queues]
        if not refused:
            plan.settled = max(plan.settled, one.number)
        if copies:
            plan.add(one.number, copies)
    return plan


class _Full(Exception):
    def __init__(self, queue: MessageQueue, error: QuorateError) -> None:
        super().__init__()
        self.queue = queue
        self.error = error


def _check_room(limits: BrokerLimits, plan: Plan, queues: Sequence[MessageQueue]) -> None:
    for queue in queues:
        name, spec = queue.row.name, queue.row.spec
        coming = queue.in_flight + plan.coming.get(queue.row.uid, 0)
        if coming >= limits.in_flight or queue.is_crowded:
            raise exhausted(
                "MESSAGE_QUEUE_BUSY",
                f"message queue {name!r} has {coming} messages that are not committed, or too many "
                "small chunks; publish again later",
                message_queue=name,
                limit=limits.in_flight,
            )
        if queue.is_stream or spec.overflow is Overflow.DROP_HEAD:
            continue
        length = queue.ready + coming
        size = queue.ready_bytes
        if (spec.max_length and length >= spec.max_length) or (
            spec.max_length_bytes and size >= spec.max_length_bytes
        ):
            raise _Full(
                queue,
                exhausted(
                    "MESSAGE_QUEUE_FULL",
                    f"message queue {name!r} has {length} messages of {size} bytes; its limits are "
                    f"{spec.max_length or 'no'} messages, {spec.max_length_bytes or 'no'} bytes",
                    message_queue=name,
                    limit=spec.max_length or spec.max_length_bytes,
                ),
            )


def _place(
    state: BrokerState, plan: Plan, placing: Placing, now: float, *, whole: bool = False
) -> int:
    """Put copies into their queues until the step is full; the rest stays in the plan.

    Returns:
        The greatest number of the publications that are placed.
    """
    number = 0
    while plan.copies:
        following, copies = plan.copies[0]
        if not (whole or placing.has_room(copies[0][1].payload, len(copies))):
            break
        for place, (uid, copy) in enumerate(copies):
            if not (whole or placing.has_room(copy.payload)):
                plan.copies[0] = following, copies[place:]
                return number
            queue = state.queues.get(uid)
            # It may be deleted between two parts: as if the message had come earlier.
            if queue is not None:
                placing.add(queue, copy, now)
        plan.copies.popleft()
        number = max(number, following)
    return number


def _remember(
    state: BrokerState, limits: BrokerLimits, row: ProducerRow, now: float, out: BrokerEffects
) -> None:
    """How far a producer is goes on record. Those that published least lately make room."""
    state.producers.pop(row.key, None)
    state.producers[row.key] = row
    out.writes.append(fx.PutProducer(row))
    if len(state.producers) > limits.producers:
        _forget(state, next(iter(state.producers)), out)
    state.timers.sooner((PRODUCERS, ""), now + _FORGET_EVERY)


def producers_due(
    state: BrokerState, limits: BrokerLimits, _name: str, now: float, out: BrokerEffects
) -> None:
    """Producers that did not publish for long are forgotten, some at a time."""
    for _ in range(_FORGOTTEN_AT_ONCE):
        oldest = next(iter(state.producers.values()), None)
        if oldest is None:
            return
        if oldest.instant > now - limits.producer_keep:
            break
        _forget(state, oldest.key, out)
    else:
        state.timers.put((PRODUCERS, ""), now)
        return
    state.timers.put((PRODUCERS, ""), now + _FORGET_EVERY)


def _forget(state: BrokerState, key: str, out: BrokerEffects) -> None:
    del state.producers[key]
    out.writes.append(fx.DropProducer(key))
