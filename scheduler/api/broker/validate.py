"""Bounds of the requests about messages; see `scheduler.api.validate`.

Names may hold any character: AMQP clients choose them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quorate.runtime.errors import exhausted, invalid
from quorate.v1.message_pb2 import HeaderValue
from scheduler.api.validate import at_most
from scheduler.core.broker.queues.envelope import table_of
from scheduler.core.broker.routing.fields import Table
from scheduler.core.broker.rows import SessionId
from scheduler.core.broker.state import DEFAULT_VIRTUAL_HOST

# A short string of AMQP: a byte holds its length.
SHORT: Final = 255
RESERVED: Final = "amq."
MOST_SESSION: Final = 128
# Of arguments, and of headers: entries with those of inner tables, levels, bytes.
MOST_ARGUMENTS: Final = 64
MOST_HEADERS: Final = 1_024
MOST_LEVELS: Final = 8
MOST_TABLE_BYTES: Final = 64 << 10
# `HeaderValue.bits`; 0 means 64.
_BITS: Final = (0, 8, 16, 32, 64, -8, -16, -32, -64)
_MOST_SCALE: Final = 255


def virtual_host(name: str) -> str:
    """The name of a virtual host; empty means "/"."""
    short("virtual_host", name)
    return name or DEFAULT_VIRTUAL_HOST


def name(field: str, value: str) -> str:
    """A name that must be there."""
    if not value:
        raise invalid(field, f"is required; a name has 1 to {SHORT} bytes", limit=SHORT)
    return short(field, value)


def short(field: str, value: str) -> str:
    """At most 255 bytes."""
    # Most are so short that nobody has to count bytes.
    if len(value) > SHORT // 4:
        size = len(value.encode())
        if size > SHORT:
            raise invalid(field, f"has {size} bytes; use at most {SHORT}", limit=SHORT, value=size)
    return value


def session(value: str) -> SessionId:
    """The session of a caller; empty for none."""
    at_most("session", len(value), MOST_SESSION, "characters")
    return SessionId(value)


def count(field: str, value: int, usual: int, most: int) -> int:
    """How many messages; 0 means the usual number."""
    if not 0 <= value <= most:
        limit = 0 if value < 0 else most
        raise invalid(
            field, f"is {value}; use 1 to {most}, or 0 for {usual}", limit=limit, value=value
        )
    return value or usual


def arguments(field: str, entries: Mapping[str, HeaderValue]) -> Table:
    """The arguments of a declaration or a binding, sorted by name."""
    check_table(field, entries, MOST_ARGUMENTS)
    return table_of(entries)


def check_table(field: str, entries: Mapping[str, HeaderValue], most: int) -> None:
    """Refuse a table with more than `most` entries, too many levels or bytes, or values that AMQP
    does not have."""
    if entries:
        _Table(field, most).walk(field, entries, 1)


class _Table:
    def __init__(self, field: str, most: int) -> None:
        self._field = field
        self._most = most
        self._entries = 0
        self._bytes = 0

    def walk(self, field: str, entries: Mapping[str, HeaderValue], level: int) -> None:
        self._count(len(entries), level)
        for entry, value in entries.items():
            where = f"{field}.{entry[:SHORT]}"
            if not entry:
                raise invalid(field, "has an entry without a name")
            short(where, entry)
            self._weigh(len(entry.encode()) + value.ByteSize())
            self._value(where, value, level)

    def _value(self, field: str, value: HeaderValue, level: int) -> None:
        kind = value.WhichOneof("value")
        if kind == "table":
            self.walk(field, value.table.entries, level + 1)
        elif kind == "list":
            self._count(len(value.list.values), level + 1)
            for item in value.list.values:
                self._value(field, item, level + 1)
        elif kind == "integer":
            integer(field, value.integer, value.bits)
        elif kind == "decimal" and value.decimal.scale > _MOST_SCALE:
            raise invalid(
                field,
                f"has a scale of {value.decimal.scale}; use at most {_MOST_SCALE}",
                limit=_MOST_SCALE,
                value=value.decimal.scale,
            )
        elif kind == "timestamp" and value.timestamp.seconds < 0:
            raise invalid(field, "is before 1970; AMQP has no such time", limit=0)

    def _count(self, entries: int, level: int) -> None:
        if level > MOST_LEVELS:
            raise invalid(
                self._field, f"nests more than {MOST_LEVELS} levels deep", limit=MOST_LEVELS
            )
        self._entries += entries
        at_most(self._field, self._entries, self._most, "entries")

    def _weigh(self, size: int) -> None:
        # Inner tables count once for each level: at most eight times.
        self._bytes += size
        at_most(self._field, self._bytes, MOST_TABLE_BYTES, "bytes")


def integer(field: str, value: int, bits: int) -> None:
    """An integer of AMQP: within its width."""
    if bits not in _BITS:
        raise invalid(
            field, f"has {bits} bits; use 8, 16, 32 or 64, negative for unsigned", value=bits
        )
    width = abs(bits) or 64
    least, most = (0, (1 << width) - 1) if bits < 0 else (-(1 << width - 1), (1 << width - 1) - 1)
    if not least <= value <= most:
        limit = least if value < least else most
        raise invalid(
            field, f"is {value}; {width} bits hold {least} to {most}", limit=limit, value=value
        )


def room(reason: str, what: str, present: int, most: int) -> None:
    """Refuse another one of what there are as many of as there may be."""
    if present >= most:
        raise exhausted(
            reason, f"there are {present} {what}, the most is {most}; delete some", limit=most
        )
