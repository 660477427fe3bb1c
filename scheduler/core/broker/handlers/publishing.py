"""Publishing: routed, weighed, stored; answered when all of it is durable.

    publications -> routes -> copies by queue -> one commit if they fit, else part after part

A publication that a queue refuses is in none. Numbers of a producer that are settled are confirmed
again without effect; its record is written in the commit of the last part.
"""

from __future__ import annotations

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
from scheduler.core.broker.queues.envelope import parse
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
    """What publications come to. `copies`: of each queue, in the order of the publications."""

    results: list[PublishResult] = field(default_factory=list)
    copies: dict[QueueUid, list[Copy]] = field(default_factory=dict)
    size: int = 0

    def add(self, uid: QueueUid, copy: Copy) -> None:
        self.copies.setdefault(uid, []).append(copy)
        self.size += len(copy.payload) + MESSAGE_BYTES


class PublishContinued(NamedTuple):
    """More parts of a publish."""

    plan: Plan
    producer: ProducerRow | None
    token: e.Token


def on_messages_published(
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
    producer = None
    if event.producer:
        number = max([settled, *(one.number for one in event.publications)])
        producer = ProducerRow(event.producer, number, now) if number > settled else None
    on_publish_continued(state, limits, PublishContinued(plan, producer, event.token), now, out)


def on_publish_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: PublishContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    placing = Placing(limits)
    if not _place(state, event.plan, placing, now):
        placing.flush(out)
        out.then.append(event)
        return
    placing.flush(out)
    if event.producer is not None:
        _remember(state, limits, event.producer, now, out)
    out.after.append(fx.Reply(event.token, PublishAnswer(tuple(event.plan.results))))


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
    if plan.size > limits.step_bytes or len(plan.copies) > limits.step_writes // 2:
        raise exhausted(
            "TRANSACTION_TOO_LARGE",
            f"the messages take {plan.size} bytes in {len(plan.copies)} message queues; one commit "
            f"takes {limits.step_bytes} bytes and {limits.step_writes // 2} queues",
            limit=limits.step_bytes,
        )
    placing = Placing(limits)
    done = _place(state, plan, placing, now, whole=True)
    assert done, "it was weighed"
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
    plan = Plan()
    for position, one in enumerate(publications):
        if one.number and one.number <= settled:
            continue
        try:
            parsed = parse(one.routing_key, one.properties)
            route = state.router.route(
                virtual_host, one.exchange, parsed.message, mandatory=one.mandatory
            )
            queues = [state.queue(virtual_host, name) for name in route.queues]
            _check_room(limits, plan, queues)
        except _Full as full:
            plan.results.append(PublishResult(position, ResultKind.REJECTED, full.error))
            if full.queue.row.spec.overflow is Overflow.REJECT_PUBLISH_DEAD_LETTER:
                found = to_dead_letter_exchange(
                    state, full.queue, one.payload, Reason.MAXLEN, now, now
                )
                for target, copy in found:
                    plan.add(target.row.uid, copy)
            continue
        except QuorateError as error:
            plan.results.append(PublishResult(position, ResultKind.REJECTED, error))
            continue
        if route.returned:
            none = not_found("route", one.routing_key.decode(errors="backslashreplace"))
            plan.results.append(PublishResult(position, ResultKind.RETURNED, none))
        copy = Copy(one.payload, parsed, now)
        for queue in queues:
            plan.add(queue.row.uid, copy)
    return plan


class _Full(Exception):
    def __init__(self, queue: MessageQueue, error: QuorateError) -> None:
        super().__init__()
        self.queue = queue
        self.error = error


def _check_room(limits: BrokerLimits, plan: Plan, queues: Sequence[MessageQueue]) -> None:
    for queue in queues:
        name, spec = queue.row.name, queue.row.spec
        coming = queue.in_flight + len(plan.copies.get(queue.row.uid, ()))
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
) -> bool:
    """Put copies into their queues until the step is full; False: more are left in the plan."""
    while plan.copies:
        uid = next(iter(plan.copies))
        copies = plan.copies[uid]
        queue = state.queues.get(uid)
        for place, copy in enumerate(copies):
            # It was deleted between two parts: as if the message had come earlier.
            if queue is None:
                break
            if not whole and not placing.has_room(copy.payload):
                plan.copies[uid] = copies[place:]
                return False
            placing.add(queue, copy, now)
        del plan.copies[uid]
    return True


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
