"""Requests of a Consume stream as events, or an error that names the field."""

from __future__ import annotations

import secrets
from math import isfinite
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker import validate
from scheduler.api.validate import at_most, between
from scheduler.core.broker import events as e
from scheduler.core.broker.queues.checks import MOST_SECONDS
from scheduler.core.broker.rows import (
    FROM_NOW_ON,
    ConsumerNumber,
    PositionKind,
    SessionId,
    StreamPosition,
    SubscribeSpec,
)

# Deliveries that one consumer may have unsettled: that many ids are in one request at most.
MOST_PREFETCH: Final = 65_535
_MOST_CONSUMER: Final = (1 << 32) - 1
_OUTCOMES: Final = {
    pb.OUTCOME_ACK: e.Outcome.ACK,
    pb.OUTCOME_NACK: e.Outcome.NACK,
    pb.OUTCOME_REQUEUE: e.Outcome.REQUEUE,
    pb.OUTCOME_REJECT: e.Outcome.REJECT,
    pb.OUTCOME_TOUCH: e.Outcome.TOUCH,
}


def session_id(asked: str) -> SessionId:
    """The id of a session: as asked, or a new one that nobody can guess."""
    return validate.session(asked) or SessionId(secrets.token_urlsafe(24))


def subscribe(asked: pb.Subscribe, field: str = "subscribe") -> SubscribeSpec:
    """A consumer as its client asks for it."""
    between(f"{field}.consumer", asked.consumer, 1, _MOST_CONSUMER)
    between(f"{field}.prefetch", asked.prefetch, 0, MOST_PREFETCH)
    between(f"{field}.priority", asked.priority, -128, 127)
    return SubscribeSpec(
        consumer=ConsumerNumber(asked.consumer),
        queue=validate.name(f"{field}.queue", asked.queue),
        name=validate.short(f"{field}.name", asked.name),
        prefetch=asked.prefetch,
        automatic_ack=asked.automatic_ack,
        exclusive=asked.exclusive,
        priority=asked.priority,
        position=_position(f"{field}.position", asked.position),
        arguments=validate.arguments(f"{field}.arguments", asked.arguments),
        active=asked.active,
    )


def _position(field: str, asked: pb.StreamPosition) -> StreamPosition:
    match asked.WhichOneof("from"):
        case "offset":
            return StreamPosition(PositionKind.OFFSET, offset=asked.offset)
        case "time":
            return StreamPosition(PositionKind.TIME, time=_seconds(asked.time))
        case "first":
            return StreamPosition(PositionKind.FIRST)
        case "last":
            return StreamPosition(PositionKind.LAST)
        case "named":
            name = validate.name(f"{field}.named", asked.named)
            return StreamPosition(PositionKind.NAMED, name=name)
        case _:
            return FROM_NOW_ON


def _seconds(value: Timestamp) -> float:
    return float(value.seconds) + value.nanos / 1e9


def opened(
    asked: pb.OpenSession, session: SessionId, caller: str, token: e.Token
) -> e.SessionOpened:
    """A session that begins or goes on."""
    return e.SessionOpened(
        session,
        caller,
        validate.virtual_host(asked.virtual_host),
        [subscribe(one, f"open.consumers[{place}]") for place, one in enumerate(asked.consumers)],
        [
            (
                validate.name(f"open.unsettled[{place}].queue", one.queue),
                ConsumerNumber(one.consumer),
                list(one.ids),
            )
            for place, one in enumerate(asked.unsettled)
        ],
        token,
    )


def settle(asked: pb.Settle, session: SessionId, field: str = "settle") -> e.Settled:
    """Settlements of deliveries of one queue."""
    at_most(f"{field}.ids", len(asked.ids), MOST_PREFETCH, "ids")
    if asked.outcome not in _OUTCOMES:
        raise invalid(
            f"{field}.outcome",
            f"{asked.outcome} is not a known value" if asked.outcome else "is required",
        )
    if not asked.consumer:
        validate.name(f"{field}.queue", asked.queue)
    delay = asked.delay_millis / 1_000
    between(f"{field}.delay_millis", asked.delay_millis, 0, int(MOST_SECONDS) * 1_000)
    assert isfinite(delay)
    return e.Settled(
        session,
        asked.number,
        ConsumerNumber(asked.consumer),
        asked.queue,
        list(asked.ids),
        _OUTCOMES[asked.outcome],
        delay,
    )


def credit(asked: pb.Credit, session: SessionId) -> e.CreditChanged:
    """How many deliveries may be unsettled from now on."""
    between("credit.prefetch", asked.prefetch, 0, MOST_PREFETCH)
    return e.CreditChanged(session, ConsumerNumber(asked.consumer), asked.prefetch)


def fetch(asked: pb.Fetch, session: SessionId) -> e.Fetched:
    """One message of a queue."""
    queue = validate.name("fetch.queue", asked.queue)
    return e.Fetched(session, asked.number, queue, asked.automatic_ack)
