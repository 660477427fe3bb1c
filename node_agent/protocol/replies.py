"""What workers say to the agent, in a form that is safe to read.

User code runs in the worker and can write to its socket, perhaps as a user with fewer rights than
the agent. So nothing here is unpickled, unmarshalled or opened: a reply is numbers and lengths,
then that many bytes. One longer than a packet comes in pieces. Whatever does not fit raises
`Malformed`, for which the agent ends the worker.

```
packet = 0 | reply           the whole reply
         1 | bytes           a piece of one; more follow
         2 | bytes           its last piece
reply  = kind and flags, key, started, seconds, 5 lengths, 5 texts
```

Kind BEGAN comes before the answer of an attempt that is asked for it: `started` is then monotonic.
Kind PIECE is an answer of part of a chunk (see `pieces`): its first text is the payload.
Kind YIELDED says that the attempt's code waits for another task, and RESUMED that it goes on:
`started` is then the number of the wait. The agent answers YIELDED with a verdict (see `packets`).
Kind WANTED asks for results: `started` is the number of the request, `seconds` the position of the
first one. The agent answers with a page (see `packets`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from node_agent.protocol.answers import (
    MAX_BASE_NAMES,
    MAX_BASES,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_PICKLE,
    MAX_RESULT,
    MAX_TRACEBACK,
)
from node_agent.protocol.packets import MAX_PACKET
from node_agent.protocol.pieces import MAX_PAYLOAD
from quorate.blobs.names import MAX_TEXT, blob_of

READY, BEGAN, YIELDED, RESUMED, PIECE, WANTED, SNOOZE = 0, 4, 5, 6, 7, 10, 11
# The attempt's outputs are where the worker's present ones were; the next one has the next ones.
USED = 0x10
# The worker ends after this answer.
LAST = 0x20
_KIND = 0x0F
_HEAD = struct.Struct("<BBQddIIIII")
# Seconds and a reason.
MAX_SNOOZE = 32 + MAX_MESSAGE
_ERROR_BOUNDS = (MAX_NAME, MAX_MESSAGE, MAX_TRACEBACK, MAX_PICKLE, MAX_BASES)
_HEAD_BYTES = _HEAD.size
_unpack = _HEAD.unpack_from
MAX_REPLY = _HEAD_BYTES + max(MAX_RESULT, sum(_ERROR_BOUNDS), MAX_PAYLOAD)
# Instants and durations beyond this (in the year 5138) would overflow later.
_MAX_SECONDS = 1e11
_WHOLE, _PIECE, _LAST = 0, 1, 2
_SIGNS: dict[int, tuple[Any, ...]] = {
    READY: ("ready",),
    BEGAN: ("began",),
    YIELDED: ("yielded",),
    RESUMED: ("resumed",),
    WANTED: ("wanted",),
}
_KINDS = {
    "json": 1,
    "pickle": 2,
    "error": 3,
    "piece": PIECE,
    "json-blob": 8,
    "pickle-blob": 9,
    "snooze": SNOOZE,
}
_KINDS |= {sign[0]: kind for kind, sign in _SIGNS.items()}
_PIECE_BYTES = MAX_PACKET - 1


class Malformed(Exception):
    """A correct worker does not send this."""


# A worker's answer to the attempt of a key: key, started, seconds, answer as `answers` has it, and
# flags. A plain tuple, as one is read for each attempt: a named one takes 0.2 us more to make.
Reply = tuple[int, float, float, tuple[Any, ...], int]


def packets_of(
    key: int, started: float, seconds: float, answer: tuple[Any, ...], flags: int = 0
) -> Sequence[bytes]:
    """The packets of a reply, in order."""
    if len(answer) == 2:  # a result: the common case
        kind, text = answer
        first = text.encode(errors="replace") if type(text) is str else text
        size = len(first)
        flags |= _KINDS[kind]
        data = _HEAD.pack(_WHOLE, flags, key, started, seconds, size, 0, 0, 0, 0) + first
    else:
        kind, *texts = answer
        parts = [text.encode(errors="replace") if type(text) is str else text for text in texts]
        parts += [b""] * (5 - len(parts))
        lengths = map(len, parts)
        head = _HEAD.pack(_WHOLE, _KINDS[kind] | flags, key, started, seconds, *lengths)
        data = b"".join((head, *parts))
    if len(data) <= MAX_PACKET:
        return (data,)
    return [
        bytes((_PIECE if begin + _PIECE_BYTES < len(data) else _LAST,))
        + data[begin : begin + _PIECE_BYTES]
        for begin in range(1, len(data), _PIECE_BYTES)
    ]


class Reader:
    """Puts one worker's replies together."""

    def __init__(self) -> None:
        # Pieces so far, at most MAX_REPLY bytes.
        self._pieces = bytearray()

    def forget(self) -> None:
        """The worker is gone: what it did not finish will not come."""
        self._pieces.clear()

    def read(self, packet: bytes) -> Reply | None:
        """The reply that a packet completes, or None. Raises Malformed."""
        mark = packet[0] if packet else -1
        if mark == _WHOLE and not self._pieces:
            return _parse(packet)
        if mark not in (_PIECE, _LAST):
            raise Malformed(f"a packet that begins with {packet[:1]!r}")
        if not self._pieces:
            self._pieces.append(_WHOLE)
        self._pieces += packet[1:]
        if len(self._pieces) > MAX_REPLY:
            raise Malformed(f"a reply of more than {MAX_REPLY} bytes")
        if mark == _PIECE:
            return None
        data = bytes(self._pieces)
        self._pieces.clear()
        return _parse(data)


def _parse(data: bytes) -> Reply:
    try:
        _, mark, key, started, seconds, first, second, third, fourth, fifth = _unpack(data)
    except struct.error:
        raise Malformed(f"{len(data)} bytes are no reply") from None
    kind, flags = mark & _KIND, mark & ~_KIND
    if flags & ~(USED | LAST):
        raise Malformed(f"flags {flags:#x}")
    begin = _HEAD_BYTES
    if len(data) != begin + first + second + third + fourth + fifth:
        raise Malformed("lengths that do not add up")
    if not (0.0 <= started < _MAX_SECONDS and 0.0 <= seconds < _MAX_SECONDS):
        raise Malformed(f"began at {started}, took {seconds}")
    if (kind == READY) is not (key == 0):
        raise Malformed(f"kind {kind} for key {key}")
    if kind == 1 or kind == 2:
        if first > MAX_RESULT:
            raise Malformed(f"a result of {first} bytes")
        text = data[begin : begin + first]
        answer: tuple[Any, ...] = ("json", _text(text)) if kind == 1 else ("pickle", text)
    elif kind == 3:
        texts = []
        lengths = (first, second, third, fourth, fifth)
        for length, bound in zip(lengths, _ERROR_BOUNDS, strict=True):
            if length > bound:
                raise Malformed(f"an error with {length} bytes for {bound}")
            texts.append(data[begin : begin + length])
            begin += length
        name, message, traceback, pickled, bases = texts
        if bases.count(b"\n") >= MAX_BASE_NAMES:
            raise Malformed(f"more than {MAX_BASE_NAMES} base classes")
        answer = ("error", _text(name), _text(message), _text(traceback), pickled, _text(bases))
    elif kind == 8 or kind == 9:
        text = data[begin:]
        if first > MAX_TEXT or first != len(text):
            raise Malformed(f"a name of {first} bytes for a large result")
        try:
            answer = ("json-blob" if kind == 8 else "pickle-blob", blob_of(_text(text)).text)
        except ValueError as error:
            raise Malformed(str(error)) from None
    elif kind == SNOOZE:
        if first > MAX_SNOOZE or first != len(data) - begin:
            raise Malformed(f"a snooze of {first} bytes")
        answer = ("snooze", _text(data[begin:]))
    elif kind == PIECE:
        if first > MAX_PAYLOAD or first != len(data) - begin:
            raise Malformed(f"an answer of {first} bytes for a piece")
        # One part, as a sign has: who reads answers of single calls does not take it for one.
        answer = (data[begin:],)
    elif kind in _SIGNS:
        answer = _SIGNS[kind]
    else:
        raise Malformed(f"kind {kind}")
    return key, started, seconds, answer, flags


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed(str(error)) from None
