"""What clients may not declare of message queues. Each error names the field and the limit."""

from __future__ import annotations

from math import inf, isnan
from typing import Final

from quorate.runtime.errors import QuorateError, invalid, precondition
from scheduler.core.broker.routing import checks as routing_checks
from scheduler.core.broker.routing.fields import Table, comparable
from scheduler.core.broker.rows import MessageQueueRow, MessageQueueSpec, QueueType, SessionId
from scheduler.core.broker.storage.places import PRIORITIES

# 365 days, as `deliver_after`.
MOST_SECONDS: Final = 365 * 86_400.0
# 100 years, of `message_ttl`: queues through which Celery delays messages have up to 2^27 s.
MOST_TTL: Final = 100 * MOST_SECONDS
MOST_ARGUMENTS: Final = 64

# What a repeated declaration has to say again. Arguments are compared apart.
_COMPARED: Final = tuple(
    name for name in MessageQueueSpec.__dataclass_fields__ if name != "arguments"
)
_OF_QUEUES: Final = (
    ("exclusive", False), ("auto_delete", False), ("message_ttl", inf), ("expires", inf),
    ("max_length", 0), ("dead_letter_exchange", None), ("dead_letter_routing_key", None),
    ("max_priority", 0), ("single_active_consumer", False), ("no_backlog", False),
)  # fmt: skip


def spec(row: MessageQueueSpec) -> None:
    """A declaration. Raises INVALID_ARGUMENT."""
    for field in ("message_ttl", "expires", "max_age", "consumer_timeout"):
        if (span := getattr(row, field)) != inf:
            seconds("spec", field, span)
    for field in ("max_length", "max_length_bytes", "delivery_limit"):
        number = getattr(row, field)
        if not 0 <= number < 1 << 63:
            raise invalid(f"spec.{field}", f"is {number}; use a number from 0 to 2^63 - 1")
    if row.no_backlog and (row.max_length or row.max_length_bytes):
        raise invalid(
            "spec.no_backlog", "is a limit of 0; leave max_length and max_length_bytes out"
        )
    if not 0 <= row.max_priority < PRIORITIES:
        raise invalid(
            "spec.max_priority",
            f"is {row.max_priority}; use 0 (no priorities) to {PRIORITIES - 1}",
            limit=PRIORITIES - 1,
        )
    if row.dead_letter_routing_key is not None:
        routing_checks.key("spec.dead_letter_routing_key", row.dead_letter_routing_key.encode())
        if row.dead_letter_exchange is None:
            raise invalid("spec.dead_letter_routing_key", "needs a dead_letter_exchange; set one")
    if row.type is QueueType.STREAM:
        for field, usual in _OF_QUEUES:
            if getattr(row, field) != usual:
                raise invalid(f"spec.{field}", "is of no use in a stream; leave it out")
    elif row.max_age != inf:
        raise invalid("spec.max_age", "is for streams; use message_ttl")
    if len(row.arguments) > MOST_ARGUMENTS:
        raise invalid(
            "spec.arguments",
            f"has {len(row.arguments)} entries; use at most {MOST_ARGUMENTS}",
            limit=MOST_ARGUMENTS,
        )
    routing_checks.arguments(row.arguments)


def seconds(where: str, field: str, value: float) -> None:
    """A time that is set, of a declaration or a policy (`where`). Raises INVALID_ARGUMENT."""
    is_ttl = field == "message_ttl"
    least_ok = value >= 0 if is_ttl else value > 0
    most = MOST_TTL if is_ttl else MOST_SECONDS
    if isnan(value) or not least_ok or value > most:
        raise invalid(
            f"{where}.{field}",
            f"is {value} s; use a time above 0 and up to {most:.0f} s ({most / 86_400:.0f} days)",
            limit=int(most),
        )


def same(row: MessageQueueRow, declared: MessageQueueSpec) -> None:
    """A repeated declaration. FAILED_PRECONDITION names the field in which it differs.

    https://www.rabbitmq.com/docs/queues#property-equivalence
    """
    for field in _COMPARED:
        now, then = getattr(row.declared, field), getattr(declared, field)
        if now != then:
            raise _differs(row, field, now, then)
    before, after = _comparable(row.declared.arguments), _comparable(declared.arguments)
    for argument in sorted({**before, **after}):
        if before.get(argument) != after.get(argument):
            field = f"arguments.{argument}"
            raise _differs(row, field, before.get(argument), after.get(argument))


def owner(row: MessageQueueRow, session: SessionId) -> None:
    """An exclusive queue is used by the session that declared it alone.

    https://www.rabbitmq.com/docs/queues#exclusive-queues
    """
    if row.owner and row.owner != session:
        raise precondition(
            "MESSAGE_QUEUE_LOCKED",
            f"message queue {row.name!r} is exclusive to another session",
            message_queue=row.name,
        )


def _differs(row: MessageQueueRow, field: str, now: object, then: object) -> QuorateError:
    return precondition(
        "MESSAGE_QUEUE_DIFFERS",
        f"message queue {row.name!r} exists with {field} {_shown(now)}, not {_shown(then)}; "
        f"declare it with {_shown(now)}, or delete it first",
        field=field,
        message_queue=row.name,
        current=_shown(now),
        declared=_shown(then),
    )


def _comparable(table: Table) -> dict[str, object]:
    return {name: comparable(value) for name, value in table}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == inf:
        return "none"
    if isinstance(value, tuple):
        return repr(value[1])
    return str(value)
