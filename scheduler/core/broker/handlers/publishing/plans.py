"""Where publications go: routed and weighed, before anything is placed.

A publication that a queue refuses is in none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from quorate.runtime.errors import QuorateError, exhausted, not_found
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishResult, ResultKind
from scheduler.core.broker.consuming.sessions import Session
from scheduler.core.broker.effects import Deliver, Delivery
from scheduler.core.broker.handlers.consuming.replying import receiver
from scheduler.core.broker.handlers.dead_letters import to_dead_letter_exchange
from scheduler.core.broker.handlers.placing import Copy, Placing
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.envelope import Parsed, parse
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import ConsumerNumber, MessageQueueSpec, Overflow, QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import MESSAGE_BYTES


@dataclass(slots=True)
class Plan:
    """What publications come to.

    Attributes:
        copies: of each publication that goes into queues, in their order: its number, and which
            queues get what.
        coming: messages by queue.
        replies: what goes straight to sessions, once all of it is durable.
        settled: the greatest number of the producer that is settled with all of them.
    """

    results: list[PublishResult] = field(default_factory=list)
    copies: deque[tuple[int, list[tuple[QueueUid, Copy]]]] = field(default_factory=deque)
    coming: dict[QueueUid, int] = field(default_factory=dict)
    replies: list[Deliver] = field(default_factory=list)
    size: int = 0
    settled: int = 0

    def add(self, number: int, copies: list[tuple[QueueUid, Copy]]) -> None:
        self.copies.append((number, copies))
        for uid, copy in copies:
            self.coming[uid] = self.coming.get(uid, 0) + 1
            self.size += len(copy.payload) + MESSAGE_BYTES


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
    known: dict[tuple[str, bytes, bytes], _Way] = {}
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
                known[way] = _Way(
                    parsed,
                    [state.queue(virtual_host, name) for name in route.queues],
                    receiver(state, virtual_host, one.exchange, one.routing_key),
                )
            parsed, queues, asked = known[way]
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
            if asked is not None:
                session, consumer = asked
                reply = Delivery(state.consuming.order(), False, 0, now, one.payload)
                plan.replies.append(Deliver(session.id, consumer, (reply,)))
            elif one.mandatory and not queues:
                none = not_found("route", one.routing_key.decode(errors="backslashreplace"))
                plan.results.append(PublishResult(position, ResultKind.RETURNED, none))
            copies = [(queue.row.uid, Copy(one.payload, parsed, now)) for queue in queues]
        if not refused:
            plan.settled = max(plan.settled, one.number)
        if copies:
            plan.add(one.number, copies)
    return plan


class _Way(NamedTuple):
    """Where publications of an exchange, key and properties go; `asked`: who gets it directly."""

    parsed: Parsed
    queues: list[MessageQueue]
    asked: tuple[Session, ConsumerNumber] | None


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
        if (
            spec.no_backlog
            or (spec.max_length and length >= spec.max_length)
            or (spec.max_length_bytes and size >= spec.max_length_bytes)
        ):
            raise _Full(
                queue,
                exhausted(
                    "MESSAGE_QUEUE_FULL",
                    f"message queue {name!r} has {length} messages of {size} bytes; its limits are "
                    f"{spec.max_length or _none(spec)} messages, "
                    f"{spec.max_length_bytes or _none(spec)} bytes",
                    message_queue=name,
                    limit=spec.max_length or spec.max_length_bytes,
                ),
            )


def _none(spec: MessageQueueSpec) -> str:
    return "0" if spec.no_backlog else "no"


def place(
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
