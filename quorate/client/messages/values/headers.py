"""Headers and arguments: Python values as the types of AMQP 0-9-1, and back.

| Python | AMQP |
|---|---|
| None | void |
| bool, int, float, str, bytes | boolean, 64-bit integer, double, string, binary |
| `datetime` with a time zone | timestamp, whole seconds |
| `Decimal` | decimal |
| list, tuple; dict | array; table |
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import message_pb2 as pb

# As the cluster has it: levels of tables within tables.
MOST_LEVELS: Final = 8
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_MOST_DECIMAL: Final = (1 << 31) - 1


def table(field: str, values: Mapping[str, Any] | None) -> dict[str, pb.HeaderValue]:
    """Headers or arguments as they are sent.

    Raises QuorateError: INVALID_ARGUMENT naming the entry that AMQP has no type for.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise invalid(field, f"must be a mapping, not {type(values).__name__}")
    return _table(field, values, 1)


def plain(values: Mapping[str, pb.HeaderValue]) -> dict[str, Any]:
    """Headers or arguments as Python values."""
    return {name: _plain(value) for name, value in values.items()}


def _table(field: str, values: Mapping[str, Any], level: int) -> dict[str, pb.HeaderValue]:
    if level > MOST_LEVELS:
        raise invalid(field, f"nests more than {MOST_LEVELS} levels deep", limit=MOST_LEVELS)
    return {
        checked_text(field, name): _value(f"{field}.{name}", value, level)
        for name, value in values.items()
    }


def _value(field: str, value: Any, level: int) -> pb.HeaderValue:
    match value:
        case None:
            return pb.HeaderValue(void=True)
        case bool():
            return pb.HeaderValue(boolean=value)
        case int():
            if not _LEAST <= value <= _MOST:
                raise invalid(field, f"{value} does not fit into 64 bits", value=value)
            return pb.HeaderValue(integer=value)
        case float():
            return pb.HeaderValue(number=value)
        case str():
            return pb.HeaderValue(text=checked_text(field, value))
        case bytes() | bytearray() | memoryview():
            return pb.HeaderValue(binary=bytes(value))
        case dt.datetime():
            return pb.HeaderValue(timestamp={"seconds": seconds_of(field, value)})
        case Decimal():
            return pb.HeaderValue(decimal=_decimal(field, value))
        case Mapping():
            return pb.HeaderValue(table=pb.HeaderTable(entries=_table(field, value, level + 1)))
        case Sequence():
            if level >= MOST_LEVELS:
                raise invalid(
                    field, f"nests more than {MOST_LEVELS} levels deep", limit=MOST_LEVELS
                )
            items = [_value(f"{field}[{place}]", one, level + 1) for place, one in enumerate(value)]
            return pb.HeaderValue(list=pb.HeaderList(values=items))
    raise invalid(field, f"{type(value).__name__} is not a type of AMQP headers")


def seconds_of(field: str, value: dt.datetime) -> int:
    """Whole seconds since 1970."""
    if not isinstance(value, dt.datetime):
        raise invalid(field, f"must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None:
        raise invalid(field, f"{value} has no time zone; use datetime.now(timezone.utc)")
    return int(value.timestamp())


def _decimal(field: str, value: Decimal) -> pb.Decimal:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise invalid(field, f"{value} is no number")
    number = int("".join(map(str, digits)) or "0") * 10 ** max(exponent, 0)
    scale = max(-exponent, 0)
    if number > _MOST_DECIMAL or scale > 255:
        raise invalid(field, f"{value} does not fit: AMQP has 32 bits and a scale up to 255")
    return pb.Decimal(scale=scale, value=-number if sign else number)


def _plain(value: pb.HeaderValue) -> Any:
    match value.WhichOneof("value"):
        case None | "void":
            return None
        case "timestamp":
            return dt.datetime.fromtimestamp(value.timestamp.seconds, dt.UTC)
        case "list":
            return [_plain(one) for one in value.list.values]
        case "table":
            return plain(value.table.entries)
        case "decimal":
            return Decimal(value.decimal.value).scaleb(-value.decimal.scale)
        case kind:
            return getattr(value, kind)
