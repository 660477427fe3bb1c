"""Message queues as they are declared: `MessageQueueSpec`, and the `x-` arguments of AMQP clients.

What an argument says is taken into the spec, so that a queue is the same however it was declared;
the arguments stay beside it, as they were sent. A field and an argument that contradict each other
are refused. An argument that is not in the table below is kept and has no effect.

https://www.rabbitmq.com/docs/queues#optional-arguments
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from quorate.runtime.errors import invalid
from quorate.v1 import message_pb2 as pb
from scheduler.api import validate as shared
from scheduler.api.broker import validate
from scheduler.core.broker.queues.checks import MOST_SECONDS, MOST_TTL
from scheduler.core.broker.routing.fields import FieldType, Table, Value
from scheduler.core.broker.rows import (
    DEFAULT_CONSUMER_TIMEOUT,
    DEFAULT_DELIVERY_LIMIT,
    MessageQueueSpec,
    Overflow,
    QueueType,
)
from scheduler.core.broker.storage.places import PRIORITIES

_INTEGERS: Final = frozenset("bBsuIil")
_MOST: Final = (1 << 63) - 1
# RabbitMQ's priorities; those above ours count as our highest.
_MOST_PRIORITY: Final = 255
_AGE: Final = re.compile(r"([0-9]{1,12})([YMDhms])")
# https://www.rabbitmq.com/docs/streams#retention
_SECONDS: Final = {"Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1}
_TYPES: Final = {
    "classic": QueueType.QUEUE,
    "quorum": QueueType.QUEUE,
    "stream": QueueType.STREAM,
}
OVERFLOWS: Final = {
    pb.OVERFLOW_UNSPECIFIED: Overflow.DROP_HEAD,
    pb.OVERFLOW_DROP_HEAD: Overflow.DROP_HEAD,
    pb.OVERFLOW_REJECT_PUBLISH: Overflow.REJECT_PUBLISH,
    pb.OVERFLOW_REJECT_PUBLISH_DEAD_LETTER: Overflow.REJECT_PUBLISH_DEAD_LETTER,
}


def spec_of(spec: pb.MessageQueueSpec) -> MessageQueueSpec:
    """What a request asks of a message queue.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    table = validate.arguments("spec.arguments", spec.arguments)
    values = _fields(spec)
    for name, value in table:
        if name not in _ARGUMENTS:
            continue
        field, read = _ARGUMENTS[name]
        asked = read(f"spec.arguments.{name}", value)
        if field in values and values[field] != asked:
            raise invalid(
                f"spec.arguments.{name}",
                f"says another thing than spec.{field}; leave one of them out",
                reason="CONTRADICTION",
            )
        values[field] = asked
    # As in RabbitMQ; of a stream it says nothing. https://www.rabbitmq.com/docs/maxlength
    if values.get("type") is not QueueType.STREAM and any(values.get(one) == 0 for one in _LENGTHS):
        for field in _LENGTHS:
            values.pop(field, None)
        values["no_backlog"] = True
    return MessageQueueSpec(
        exclusive=spec.exclusive,
        auto_delete=spec.auto_delete,
        durable=spec.durable,
        arguments=table,
        **values,
    )


def _fields(spec: pb.MessageQueueSpec) -> dict[str, Any]:
    """What the fields say, without those that say nothing."""
    values: dict[str, Any] = {}
    shared.known_enum("spec.type", spec.type, range(3))
    shared.known_enum("spec.overflow", spec.overflow, range(4))
    if spec.type:
        stream = spec.type == pb.MESSAGE_QUEUE_TYPE_STREAM
        values["type"] = QueueType.STREAM if stream else QueueType.QUEUE
    if spec.overflow:
        values["overflow"] = OVERFLOWS[spec.overflow]
    for field in ("message_ttl", "expires", "max_age", "consumer_timeout"):
        if spec.HasField(field):
            values[field] = _seconds(f"spec.{field}", getattr(spec, field), field == "message_ttl")
    for field in ("max_length", "max_length_bytes", "max_priority"):
        if number := getattr(spec, field):
            values[field] = number
    if spec.no_backlog:
        values["no_backlog"] = True
    if spec.single_active_consumer:
        values["single_active_consumer"] = True
    if spec.HasField("delivery_limit"):
        values["delivery_limit"] = spec.delivery_limit
    for field in ("dead_letter_exchange", "dead_letter_routing_key"):
        if spec.HasField(field):
            values[field] = validate.short(f"spec.{field}", getattr(spec, field))
    return values


def _seconds(field: str, value: Duration, zero: bool) -> float:
    # Of the message TTL alone, 0 is a time.
    return shared.duration(field, value, MOST_TTL if zero else MOST_SECONDS, zero=zero)


# -- arguments


def _integer(least: int, most: int) -> Callable[[str, Value], int]:
    def read(field: str, value: Value) -> int:
        if value.type.value not in _INTEGERS or not isinstance(value.scalar, int):
            raise invalid(field, "is no integer")
        if not least <= value.scalar <= most:
            limit = least if value.scalar < least else most
            raise invalid(
                field,
                f"is {value.scalar}; use {least} to {most}",
                limit=limit,
                value=value.scalar,
            )
        return value.scalar

    return read


def _milliseconds(least: int, most: float = MOST_SECONDS) -> Callable[[str, Value], float]:
    read = _integer(least, int(most) * 1_000)
    return lambda field, value: read(field, value) / 1_000


def _text(field: str, value: Value) -> str:
    if value.type is not FieldType.STRING or not isinstance(value.scalar, bytes):
        raise invalid(field, "is no string")
    # Of a `HeaderValue`, which is UTF-8.
    return validate.short(field, value.scalar.decode())


def _boolean(field: str, value: Value) -> bool:
    if value.type is not FieldType.BOOL:
        raise invalid(field, "is no boolean")
    return bool(value.scalar)


def _one_of(known: dict[str, Any]) -> Callable[[str, Value], Any]:
    def read(field: str, value: Value) -> Any:
        text = _text(field, value)
        if text not in known:
            raise invalid(field, f"{text!r} is unknown; use one of {', '.join(known)}")
        return known[text]

    return read


def _priority(field: str, value: Value) -> int:
    """https://www.rabbitmq.com/docs/priority: 1 to 255."""
    return min(_integer(0, _MOST_PRIORITY)(field, value), PRIORITIES - 1)


def _delivery_limit(field: str, value: Value) -> int:
    """https://www.rabbitmq.com/docs/quorum-queues#position-in-case-of-limits: -1 is no limit."""
    limit = _integer(-1, (1 << 32) - 1)(field, value)
    if not limit:
        raise invalid(field, "is 0; use 1 or more, or -1 for no limit", limit=1, value=0)
    return max(limit, 0)


def _age(field: str, value: Value) -> float:
    text = _text(field, value)
    found = _AGE.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= MOST_SECONDS:
        raise invalid(
            field,
            f"{text[:40]!r} is no age; use a number and one of Y, M, D, h, m, s, such as 7D, "
            f"at most {MOST_SECONDS:.0f} s",
            limit=int(MOST_SECONDS),
        )
    return float(seconds)


_LENGTHS: Final = ("max_length", "max_length_bytes")
# By argument: the field that it sets.
_ARGUMENTS: Final[dict[str, tuple[str, Callable[[str, Value], Any]]]] = {
    "x-queue-type": ("type", _one_of(_TYPES)),
    "x-message-ttl": ("message_ttl", _milliseconds(0, MOST_TTL)),
    "x-expires": ("expires", _milliseconds(1)),
    "x-max-length": ("max_length", _integer(0, _MOST)),
    "x-max-length-bytes": ("max_length_bytes", _integer(0, _MOST)),
    "x-overflow": ("overflow", _one_of({str(one): one for one in Overflow})),
    "x-dead-letter-exchange": ("dead_letter_exchange", _text),
    "x-dead-letter-routing-key": ("dead_letter_routing_key", _text),
    "x-max-priority": ("max_priority", _priority),
    "x-delivery-limit": ("delivery_limit", _delivery_limit),
    "x-single-active-consumer": ("single_active_consumer", _boolean),
    "x-max-age": ("max_age", _age),
    "x-consumer-timeout": ("consumer_timeout", _milliseconds(1)),
}


# -- views


def overflow_view(overflow: Overflow) -> pb.Overflow:
    """Its number; not that of UNSPECIFIED, which says nothing."""
    return max(number for number, one in OVERFLOWS.items() if one is overflow)


def spec_view(row: MessageQueueSpec) -> pb.MessageQueueSpec:
    """A spec as callers see it: declared again, it is the same."""
    stream = row.type is QueueType.STREAM
    view = pb.MessageQueueSpec(
        type=pb.MESSAGE_QUEUE_TYPE_STREAM if stream else pb.MESSAGE_QUEUE_TYPE_QUEUE,
        exclusive=row.exclusive,
        auto_delete=row.auto_delete,
        max_length=row.max_length,
        max_length_bytes=row.max_length_bytes,
        max_priority=row.max_priority,
        single_active_consumer=row.single_active_consumer,
        no_backlog=row.no_backlog,
        durable=row.durable,
        arguments=table_view(row.arguments),
    )
    if row.overflow is not Overflow.DROP_HEAD:
        view.overflow = overflow_view(row.overflow)
    for field in ("message_ttl", "expires", "max_age"):
        if (seconds := getattr(row, field)) != inf:
            getattr(view, field).FromNanoseconds(round(seconds * 1e9))
    if row.consumer_timeout != DEFAULT_CONSUMER_TIMEOUT:
        view.consumer_timeout.FromNanoseconds(round(row.consumer_timeout * 1e9))
    if row.dead_letter_exchange is not None:
        view.dead_letter_exchange = row.dead_letter_exchange
    if row.dead_letter_routing_key is not None:
        view.dead_letter_routing_key = row.dead_letter_routing_key
    if not stream or row.delivery_limit != DEFAULT_DELIVERY_LIMIT:
        view.delivery_limit = row.delivery_limit
    return view


_BITS: Final = {"b": 8, "B": -8, "s": 16, "u": -16, "I": 32, "i": -32, "l": 64}


def table_view(table: Table) -> dict[str, pb.HeaderValue]:
    """A table as callers see it; of a name that stands there twice, the last value."""
    return {name: _view(value) for name, value in table}


def _view(value: Value) -> pb.HeaderValue:
    letter, scalar = value.type.value, value.scalar
    view = pb.HeaderValue()
    match value.type:
        case FieldType.BOOL:
            view.boolean = bool(scalar)
        case FieldType.DOUBLE:
            view.number = scalar  # type: ignore[assignment]
        case FieldType.FLOAT:
            view.small_number = scalar  # type: ignore[assignment]
        case FieldType.STRING:
            view.text = scalar.decode(errors="backslashreplace")  # type: ignore[union-attr]
        case FieldType.BYTES:
            view.binary = scalar  # type: ignore[assignment]
        case FieldType.TIMESTAMP:
            view.timestamp.seconds = scalar  # type: ignore[assignment]
        case FieldType.DECIMAL:
            view.decimal.scale, view.decimal.value = scalar  # type: ignore[misc]
        case FieldType.ARRAY:
            view.list.values.extend(map(_view, value.items))
        case FieldType.TABLE:
            view.table.SetInParent()
            for name, inner in table_view(value.entries).items():
                view.table.entries[name].CopyFrom(inner)
        case FieldType.VOID:
            view.void = True
        case _:
            view.integer = scalar  # type: ignore[assignment]
            view.bits = 0 if letter == "l" else _BITS[letter]
    return view
