"""AMQP tables, such as the arguments of a declaration, as records.

The order of the fields and the types of the values stay, so that a repeated declaration is compared
with what was declared. What a later version has written and this one does not know (a type) is read
as a void.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quorate.internal.v1 import messages_pb2 as r
from scheduler.core.broker.routing.fields import FieldType, Table, Value

_TYPES: Final = {kind.value: kind for kind in FieldType}
_INTEGERS: Final = frozenset("bBsuIilt")
_NUMBERS: Final = frozenset("fd")
_BYTES: Final = frozenset("Sx")


def put_table(fields: list[r.FieldRecord] | Iterable[r.FieldRecord], table: Table) -> None:
    """Append the fields of a table to a repeated field of a record."""
    add = fields.add  # type: ignore[union-attr]
    for name, value in table:
        _put(add(name=name), value)


def table_of(fields: Iterable[r.FieldRecord]) -> Table:
    """Undoes `put_table`."""
    return tuple([(field.name, _value(field)) for field in fields])


def _put(field: r.FieldRecord, value: Value) -> None:
    letter, scalar = value.type.value, value.scalar
    field.type = letter
    if letter in _INTEGERS:
        field.integer = int(scalar)  # type: ignore[arg-type]
    elif letter in _NUMBERS:
        field.number = scalar  # type: ignore[assignment]
    elif letter in _BYTES:
        field.data = scalar  # type: ignore[assignment]
    elif letter == "T":
        field.natural = scalar  # type: ignore[assignment]
    elif letter == "D":
        field.natural, field.integer = scalar  # type: ignore[misc]
    elif letter == "A":
        for item in value.items:
            _put(field.fields.add(), item)
    elif letter == "F":
        put_table(field.fields, value.entries)


def _value(field: r.FieldRecord) -> Value:
    kind = _TYPES.get(field.type, FieldType.VOID)
    letter = kind.value
    if kind is FieldType.BOOL:
        return Value(kind, bool(field.integer))
    if letter in _INTEGERS:
        return Value(kind, field.integer)
    if letter in _NUMBERS:
        return Value(kind, field.number)
    if letter in _BYTES:
        return Value(kind, field.data)
    if kind is FieldType.TIMESTAMP:
        return Value(kind, field.natural)
    if kind is FieldType.DECIMAL:
        return Value(kind, (field.natural, field.integer))
    if kind is FieldType.ARRAY:
        return Value(kind, items=tuple([_value(item) for item in field.fields]))
    if kind is FieldType.TABLE:
        return Value(kind, entries=table_of(field.fields))
    return Value(kind)
