"""Primitives of AMQP 0-9-1 (section 4.2.5): read with bounds, and written."""

from __future__ import annotations

import struct
from typing import Final


class Malformed(Exception):
    """Bytes that are not what their type says."""


_SHORT: Final = struct.Struct(">H")
_LONG: Final = struct.Struct(">I")
_LONGLONG: Final = struct.Struct(">Q")
MOST_SHORTSTR: Final = 255


class Reader:
    """Reads one payload from its beginning. Raises Malformed beyond its end."""

    __slots__ = ("data", "place")

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data = data
        self.place = place

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self.place + count
        if end > len(self.data):
            raise Malformed(f"{count} bytes are announced, {len(self.data) - self.place} are there")
        found = self.data[self.place : end]
        self.place = end
        return found

    def unpack(self, form: struct.Struct) -> int:
        """The next number of that form."""
        found: int = form.unpack(self.take(form.size))[0]
        return found

    def octet(self) -> int:
        return self.take(1)[0]

    def short(self) -> int:
        return self.unpack(_SHORT)

    def long(self) -> int:
        return self.unpack(_LONG)

    def longlong(self) -> int:
        return self.unpack(_LONGLONG)

    def shortstr(self) -> str:
        """Up to 255 bytes of UTF-8."""
        try:
            return self.take(self.octet()).decode()
        except UnicodeDecodeError:
            raise Malformed("a short string is not UTF-8") from None

    def longstr(self) -> bytes:
        return self.take(self.long())

    def end(self) -> None:
        """Nothing may be left."""
        if self.place != len(self.data):
            raise Malformed(f"{len(self.data) - self.place} bytes too many")


def octet(value: int) -> bytes:
    return bytes((value,))


def short(value: int) -> bytes:
    return _SHORT.pack(value)


def long(value: int) -> bytes:
    return _LONG.pack(value)


def longlong(value: int) -> bytes:
    return _LONGLONG.pack(value)


def shortstr(value: str) -> bytes:
    """Cut at 255 bytes, between characters."""
    data = value.encode(errors="backslashreplace")
    if len(data) > MOST_SHORTSTR:
        data = data[:MOST_SHORTSTR].decode(errors="ignore").encode()
    return bytes((len(data),)) + data


def longstr(value: bytes) -> bytes:
    return _LONG.pack(len(value)) + value
