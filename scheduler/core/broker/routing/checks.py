"""What clients may not declare, bind or publish. Each error names the field and the limit."""

from __future__ import annotations

import re
from typing import Final

from quorate.runtime.errors import QuorateError, exhausted, invalid, precondition
from scheduler.core.broker.routing.fields import MOST_DEPTH, FieldType, Table, lookup, too_deep
from scheduler.core.broker.routing.matchers.consistent_hash import (
    HASH_HEADER,
    HASH_PROPERTY,
    MOST_WEIGHT,
    PROPERTIES,
)
from scheduler.core.broker.routing.matchers.headers import MODES, X_MATCH
from scheduler.core.broker.routing.rows import (
    DEFAULT_EXCHANGE,
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
    Message,
)

# A short string of AMQP: a byte holds its length.
MOST_BYTES: Final = 255
# Routing keys of one message in CC and BCC. Each may cost a walk through a trie.
MOST_KEYS: Final = 256
RESERVED: Final = "amq."
ALTERNATE: Final = "alternate-exchange"

_WEIGHT = re.compile(rb"\+?[0-9]{1,20}")


def name(field: str, value: str) -> None:
    """A name of an exchange, queue or virtual host."""
    try:
        _short(field, value.encode())
    except UnicodeEncodeError:
        raise invalid(field, "is not UTF-8") from None
    if not value:
        raise invalid(field, "is empty; a name has 1 to 255 bytes", limit=MOST_BYTES)


def key(field: str, value: bytes) -> None:
    """A routing key or a binding key."""
    _short(field, value)


def exchange_type(value: str) -> ExchangeType:
    """The type of that name."""
    try:
        return ExchangeType(value)
    except ValueError:
        raise invalid(
            "type", f"{value!r} is no exchange type; use one of {', '.join(ExchangeType)}"
        ) from None


def exchange(row: Exchange, *, new: bool) -> None:
    """A declaration. A name that begins with `amq.` may be declared again, not anew."""
    if row.name == DEFAULT_EXCHANGE:
        raise default_exchange("declare")
    name("name", row.name)
    if new and row.name.startswith(RESERVED):
        raise invalid(
            "name",
            f"{row.name!r}: names that begin with {RESERVED!r} are reserved",
            reason="RESERVED_NAME",
        )
    arguments(row.arguments)
    _text(row.arguments, ALTERNATE)
    if row.type is ExchangeType.CONSISTENT_HASH:
        header = _text(row.arguments, HASH_HEADER)
        used = _text(row.arguments, HASH_PROPERTY)
        if header is not None and used is not None:
            raise invalid("arguments", f"{HASH_HEADER!r} and {HASH_PROPERTY!r} exclude each other")
        if used is not None and used not in PROPERTIES:
            raise invalid(
                f"arguments.{HASH_PROPERTY}",
                f"{used!r} cannot be hashed; use one of {', '.join(PROPERTIES)}",
            )


def same(current: Exchange, declared: Exchange) -> None:
    """A repeated declaration: it must agree with the first in all that decides routes.

    Of the arguments RabbitMQ compares the alternate exchange alone (`rabbit_exchange.erl`).
    """
    for field, now, then in (
        ("type", current.type, declared.type),
        ("durable", current.durable, declared.durable),
        ("auto_delete", current.auto_delete, declared.auto_delete),
        ("internal", current.internal, declared.internal),
        (f"arguments.{ALTERNATE}", alternate(current.arguments), alternate(declared.arguments)),
    ):
        if now != then:
            raise precondition(
                "EXCHANGE_DIFFERS",
                f"exchange {current.name!r} exists with {field} {_shown(now)}, "
                f"not {_shown(then)}; declare it with {_shown(now)}, or delete it first",
                field=field,
                exchange=current.name,
                current=_shown(now),
                declared=_shown(then),
            )


def binding(row: Binding, type_: ExchangeType) -> None:
    """What the type of the source demands of a binding."""
    if type_ is ExchangeType.CONSISTENT_HASH:
        weight = int(row.key) if _WEIGHT.fullmatch(row.key) else 0
        if not 1 <= weight <= MOST_WEIGHT:
            raise invalid(
                "binding_key",
                f"{_shown(row.key)} is no weight; use a whole number from 1 to {MOST_WEIGHT}",
                limit=MOST_WEIGHT,
            )
    if type_ is ExchangeType.HEADERS:
        mode = _text(row.arguments, X_MATCH)
        if mode is not None and mode not in MODES:
            raise invalid(
                f"arguments.{X_MATCH}", f"{mode!r} is unknown; use one of {', '.join(MODES)}"
            )


def ends(source: str, destination: Destination) -> None:
    """What is bound to what: never the default exchange."""
    to_default = destination == Destination(DestinationKind.EXCHANGE, DEFAULT_EXCHANGE)
    if source == DEFAULT_EXCHANGE or to_default:
        raise default_exchange("bind")
    name("source", source)
    name("destination", destination.name)


def arguments(table: Table) -> None:
    """Arguments of an exchange or a binding."""
    for argument, value in table:
        if too_deep(value):
            raise invalid(
                f"arguments.{argument}", f"nests more than {MOST_DEPTH} deep", limit=MOST_DEPTH
            )


def default_exchange(verb: str) -> QuorateError:
    """Nobody may change the default exchange."""
    return precondition(
        "DEFAULT_EXCHANGE", f"nobody can {verb} the default exchange; name another one"
    )


def routing_keys(message: Message) -> tuple[bytes, ...]:
    """The routing key, then those in the headers CC and BCC; each once.

    https://www.rabbitmq.com/docs/sender-selected: both are arrays of strings, and their names are
    case-sensitive. Elements of other types are ignored (`rabbit_basic.erl`).
    """
    key("routing_key", message.routing_key)
    headers = message.headers
    if "CC" not in headers and "BCC" not in headers:
        return (message.routing_key,)
    keys = {message.routing_key: None}
    count = 0
    for header in ("CC", "BCC"):
        value = headers.get(header)
        if value is None:
            continue
        field = f"headers.{header}"
        if value.type is not FieldType.ARRAY:
            raise invalid(field, "is no array; use an array of strings, each a routing key")
        count += len(value.items)
        if count > MOST_KEYS:
            raise exhausted(
                "TOO_MANY_ROUTING_KEYS",
                f"{field}: more than {MOST_KEYS} routing keys in CC and BCC",
                field=field,
                limit=MOST_KEYS,
            )
        for item in value.items:
            if item.type is FieldType.STRING and isinstance(item.scalar, bytes):
                key(field, item.scalar)
                keys[item.scalar] = None
    return tuple(keys)


def alternate(table: Table) -> str | None:
    """The alternate exchange that arguments name."""
    return _text(table, ALTERNATE)


def _short(field: str, value: bytes) -> None:
    if len(value) > MOST_BYTES:
        raise invalid(
            field,
            f"has {len(value)} bytes; use at most {MOST_BYTES}",
            limit=MOST_BYTES,
            value=len(value),
        )


def _text(table: Table, argument: str) -> str | None:
    value = lookup(table, argument)
    if value is None:
        return None
    if value.type is not FieldType.STRING or not isinstance(value.scalar, bytes):
        raise invalid(f"arguments.{argument}", "is no string")
    try:
        return value.scalar.decode()
    except UnicodeDecodeError:
        raise invalid(f"arguments.{argument}", "is not UTF-8") from None


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return repr(value.decode(errors="backslashreplace"))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else repr(str(value))
