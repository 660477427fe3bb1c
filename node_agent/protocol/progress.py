"""Where a worker puts its call's progress, and how the agent reads it: a part of the marks.

    version, key, fraction (NaN for none), length | text, UTF-8

The worker writes as often as its code likes, and that costs nobody anything: the agent reads a few
times a second. The version is odd while the worker writes. User code may write there what it wants:
what is not whole, not of the attempt that runs, or out of bounds is not believed.
"""

from __future__ import annotations

import math
import mmap
import os
import struct

from node_agent.protocol.pieces import MARKS_BYTES
from quorate.runtime.attempts.progress import MAX_TEXT_BYTES, clean_fraction, clean_text

_HEAD = struct.Struct("<QQdI")
_VERSION = struct.Struct("<Q")
_MOST_VERSIONS = 1 << 64


def write(memory: mmap.mmap, key: int, fraction: float | None, text: str) -> None:
    """Put the progress of the call `key` in its place."""
    (version,) = _VERSION.unpack_from(memory, MARKS_BYTES)
    version = (version | 1) % _MOST_VERSIONS
    _VERSION.pack_into(memory, MARKS_BYTES, version)
    data = text.encode(errors="replace")[:MAX_TEXT_BYTES]
    begin = MARKS_BYTES + _HEAD.size
    memory[begin : begin + len(data)] = data
    number = math.nan if fraction is None else fraction
    _HEAD.pack_into(memory, MARKS_BYTES, version, key, number, len(data))
    _VERSION.pack_into(memory, MARKS_BYTES, (version + 1) % _MOST_VERSIONS)


def read(descriptor: int, key: int, seen: int) -> tuple[int, float | None, str] | None:
    """Version, fraction and text of the call `key`.

    None where there is nothing newer than the version `seen`, or nothing that can be believed now.
    """
    data = os.pread(descriptor, _HEAD.size + MAX_TEXT_BYTES, MARKS_BYTES)
    version, found, fraction, length = _HEAD.unpack_from(data)
    if version == seen or version % 2 or found != key or length > MAX_TEXT_BYTES:
        return None
    again = os.pread(descriptor, _VERSION.size, MARKS_BYTES)
    if _VERSION.unpack(again)[0] != version:
        return None
    text = data[_HEAD.size : _HEAD.size + length].decode(errors="replace")
    return version, clean_fraction(fraction), clean_text(text)
