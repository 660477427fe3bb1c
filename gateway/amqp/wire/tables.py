"""Field tables as header values, with every type that RabbitMQ knows, and back.

| letter | header value | letter | header value |
|---|---|---|---|
| `t` | boolean | `S` | text; binary when it is not UTF-8 |
| `b B` | integer of 8, -8 bits | `x` | binary |
| `s u` (and `U`) | 16, -16 | `A` | list |
| `I i` | 32, -32 | `F` | table |
| `l` (and `L`) | 64 | `T` | timestamp, whole seconds |
| `f`, `d` | small_number, number | `D`, `V` | decimal, void |

https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, MutableMapping
from typing import Final

from gateway.amqp.wire import buffers
from gateway.amqp.wire.buffers import Malformed, Reader
from quorate.v1.message_pb2 import HeaderValue

# How deep tables and lists may nest. The cluster takes 8 levels.
MOST_LEVELS: Final = 16
_MOST_SECONDS: Final = (1 << 63) - 1
_INTEGERS: Final = {
    "b": (struct.Struct(">b"), 8),
    "B": (struct.Struct(">B"), -8),
    "s": (struct.Struct(">h"), 16),
    "U": (struct.Struct(">h"), 16),
    "u": (struct.Struct(">H"), -16),
    "I": (struct.Struct(">i"), 32),
    "i": (struct.Struct(">I"), -32),
    "l": (struct.Struct(">q"), 0),
    "L": (struct.Struct(">q"), 0),
}
_WRITTEN: Final = {
    bits: (letter.encode(), form)
    for letter, (form, bits) in _INTEGERS.items()
    if letter not in "UL"
}
_WIDEST: Final = struct.Struct(">q")
_FLOAT: Final = struct.Struct(">f")
_DOUBLE: Final = struct.Struct(">d")
_DIGITS: Final = struct.Struct(">i")


def read_table(reader: Reader, entries: MutableMapping[str, HeaderValue], level: int = 1) -> None:
    """Put the entries of the table that comes next into a map of header values. Of a name that
    stands there twice, the last value counts."""
    inner = Reader(reader.longstr())
    while inner.place < len(inner.data):
        name = inner.shortstr()
        value = HeaderValue()
        _read_value(inner, value, level)
        # A map of messages has no assignment.
        entries[name].CopyFrom(value)


def _read_value(reader: Reader, value: HeaderValue, level: int) -> None:
    if level > MOST_LEVELS:
        raise Malformed(f"a table nests more than {MOST_LEVELS} levels deep")
    letter = chr(reader.octet())
    if letter == "S":
        data = reader.longstr()
        try:
            value.text = data.decode()
        except UnicodeDecodeError:
            value.binary = data
    elif letter in _INTEGERS:
        form, bits = _INTEGERS[letter]
        value.integer = reader.unpack(form)
        value.bits = bits
    elif letter == "F":
        value.table.SetInParent()
        read_table(reader, value.table.entries, level + 1)
    elif letter == "A":
        value.list.SetInParent()
        inner = Reader(reader.longstr())
        while inner.place < len(inner.data):
            _read_value(inner, value.list.values.add(), level + 1)
    else:
        _read_scalar(reader, letter, value)


def _read_scalar(reader: Reader, letter: str, value: HeaderValue) -> None:
    match letter:
        case "t":
            value.boolean = bool(reader.octet())
        case "x":
            value.binary = reader.longstr()
        case "T":
            value.timestamp.seconds = seconds(reader)
        case "f":
            value.small_number = reader.unpack(_FLOAT)
        case "d":
            value.number = reader.unpack(_DOUBLE)
        case "D":
            value.decimal.scale = reader.octet()
            value.decimal.value = reader.unpack(_DIGITS)
        case "V":
            value.void = True
        case _:
            raise Malformed(f"field type {letter!r} is unknown")


def seconds(reader: Reader) -> int:
    """A timestamp."""
    found = reader.longlong()
    if found > _MOST_SECONDS:
        raise Malformed(f"{found} s is no time")
    return found


def table(entries: Mapping[str, HeaderValue]) -> bytes:
    """A table, sorted by name."""
    parts = [buffers.shortstr(name) + _value(entries[name]) for name in sorted(entries)]
    return buffers.longstr(b"".join(parts))


def _value(value: HeaderValue) -> bytes:
    match value.WhichOneof("value"):
        case "text":
            return b"S" + buffers.longstr(value.text.encode())
        case "integer":
            letter, form = _WRITTEN.get(value.bits, (b"l", _WIDEST))
            try:
                return letter + form.pack(value.integer)
            except struct.error:
                # An unsigned one beyond what AMQP has.
                return b"d" + _DOUBLE.pack(float(value.integer))
        case "boolean":
            return b"t\x01" if value.boolean else b"t\x00"
        case "table":
            return b"F" + table(value.table.entries)
        case "list":
            return b"A" + buffers.longstr(b"".join(map(_value, value.list.values)))
        case "binary":
            return b"x" + buffers.longstr(value.binary)
        case "timestamp":
            return b"T" + buffers.longlong(max(value.timestamp.seconds, 0))
        case "number":
            return b"d" + _DOUBLE.pack(value.number)
        case "small_number":
            return b"f" + _FLOAT.pack(value.small_number)
        case "decimal":
            digits = _DIGITS.pack(value.decimal.value)
            return b"D" + buffers.octet(value.decimal.scale & 0xFF) + digits
        case _:
            return b"V"
