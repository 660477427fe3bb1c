"""Fields of protobuf, encoded by hand.

The core keeps specs as opaque bytes. Concatenated messages of protobuf are merged by whoever reads
them, so what the cluster says of a task is appended to its spec.
"""

from __future__ import annotations

from typing import Final

_VARINT: Final = 0
_BYTES: Final = 2


def data(field: int, value: bytes) -> bytes:
    """Bytes, a text, or a message."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def number(field: int, value: int, *, always: bool = False) -> bytes:
    """An integer or an enum. 0 is left out, unless it is to take the place of another value:
    `always`."""
    return varint(field << 3 | _VARINT) + varint(value) if value or always else b""


def varint(value: int) -> bytes:
    """Negative ones are those of 64 bits: an instant before 1970."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
