"""Values of AMQP tables (headers and arguments), and when two of them are equal.

RabbitMQ compares a header with a binding's argument as Erlang terms, without their types
(`rabbit_exchange_type_headers.erl`), after its parser has dropped the width of numbers:

| types (letter on the wire) | compared as |
|---|---|
| `b B s u I i l` | one kind of integer: an `I` of 1 equals an `l` of 1 |
| `f d` | one kind of float, by bits: 0.0 is not -0.0; never equal to an integer |
| `S x` | bytes: a string equals the same byte array |
| `t`, `D`, `T` | a boolean, a decimal (scale and digits), a timestamp: each only as its own kind |
| `A F` | the elements in their order, here WITH their types; an empty array equals an empty table |
| `V` | no value: in a binding it asks only whether the header is there |
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

# How deep arrays and tables may nest: comparing recurses, and a frame of 128 KiB has room for
# 20,000 levels.
MOST_DEPTH: Final = 64


class FieldType(StrEnum):
    """A type of AMQP 0-9-1 field values, by its letter in RabbitMQ's dialect."""

    BOOL = "t"
    INT8 = "b"
    UINT8 = "B"
    INT16 = "s"
    UINT16 = "u"
    INT32 = "I"
    UINT32 = "i"
    INT64 = "l"
    FLOAT = "f"
    DOUBLE = "d"
    DECIMAL = "D"
    STRING = "S"
    BYTES = "x"
    ARRAY = "A"
    TIMESTAMP = "T"
    TABLE = "F"
    VOID = "V"


# A decimal is (scale, digits).
Scalar: TypeAlias = bool | int | float | bytes | tuple[int, int] | None
# In the order of the wire; a name may stand there twice.
Table: TypeAlias = "tuple[tuple[str, Value], ...]"


@dataclass(frozen=True, slots=True)
class Value:
    """One field value. `items` are those of an array, `entries` those of a table."""

    type: FieldType
    scalar: Scalar = None
    items: tuple[Value, ...] = ()
    entries: Table = ()


_KIND: Final = {
    **dict.fromkeys("bBsuIil", "int"),
    **dict.fromkeys("fd", "float"),
    **dict.fromkeys("Sx", "bytes"),
    **dict.fromkeys("AF", "list"),
    **{letter: letter for letter in "tDTV"},
}


def text(value: str) -> Value:
    """A string field."""
    return Value(FieldType.STRING, value.encode())


def lookup(table: Table, name: str) -> Value | None:
    """The first value of that name."""
    for entry, value in table:
        if entry == name:
            return value
    return None


def too_deep(value: Value) -> bool:
    """Whether arrays and tables nest more than `MOST_DEPTH` deep."""
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [
            inner for outer in level for inner in (*outer.items, *(v for _, v in outer.entries))
        ]
        if not level:
            return False
    return True


def comparable(value: Value) -> Hashable | None:
    """What equals that of another value exactly when RabbitMQ finds the two equal.

    None when the value nests too deep: it equals nothing.
    """
    if (value.items or value.entries) and too_deep(value):
        return None
    return _KIND[value.type], _content(value)


def exact(table: Table) -> Hashable:
    """What equals that of another table exactly when names, types and values are the same.

    RabbitMQ tells two bindings apart by it. `table` must not nest too deep.
    """
    return tuple([(name, value.type.value, _content(value)) for name, value in table])


def _content(value: Value) -> Hashable:
    match value.type:
        case FieldType.ARRAY:
            return tuple([(item.type.value, _content(item)) for item in value.items])
        case FieldType.TABLE:
            return exact(value.entries)
        case FieldType.FLOAT | FieldType.DOUBLE:
            return struct.pack(">d", value.scalar)
        case FieldType.BOOL:
            return bool(value.scalar)
        case _:
            return value.scalar
