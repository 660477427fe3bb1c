"""The bytes of a chunk: what one commit publishes to one sub-log, or what a merge left of several.

    chunk   = header, [offsets], [bodies], messages
    message = size, head size, flags, sequence, publish instant, [expiry], [due], [body], [...],
              payload

Little-endian. `payload` is what the producer serialized, body and properties: never looked into.
A body that is stored apart (see `bodies`) is not in the payload: the message refers to it, and so
does the header of its chunk, once for each such message.

Rules for later versions, and how this one treats what they write:

* The header is the same in all versions, but may grow at its end (it says its size). Whoever holds
  a chunk of a later `format` knows which sequences are in it, keeps it, lets it be acknowledged and
  deletes it, but cannot read or merge its messages (`NewerChunk`).
* Within format 1 a message may get further fields, in front of the payload (it says where that
  begins), and further flags: they are skipped when read, and kept when chunks are merged, since
  messages are copied whole.

Bytes that break these rules raise `BadChunk`; nothing else is ever raised.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf, isfinite
from typing import Final, NamedTuple

from scheduler.core.broker.storage.bodies import REF, REF_BYTES, BodyRef, pack_refs, unpack_refs

FORMAT: Final = 1
# One chunk holds at most so much; a message that is larger is a chunk of its own.
MOST_BYTES: Final = 256 << 10
MOST_MESSAGES: Final = 1_024
# Sequences are below: each of the records that name them has a bound.
MOST_SEQUENCE: Final = 1 << 48
# The messages of a merged chunk are at most so far apart.
MOST_SPAN: Final = 1 << 32

# Flags of a message. The lower eight say which fields it has; the others are its own.
EXPIRES: Final = 1
IS_DUE: Final = 2
HAS_BODY: Final = 4
FIELD_FLAGS: Final = 0xFF

# format, flags, size of the header with offsets, messages, bytes of the messages, first sequence,
# last sequence, earliest expiry (infinity: none), greatest publish instant.
_HEADER: Final = struct.Struct("<BBxxIIIQQdd")
_SPARSE: Final = 1
_REFERS: Final = 2
# size of what follows, size of the fields, flags, sequence, publish instant.
_MESSAGE: Final = struct.Struct("<IHHQd")
_INSTANT: Final = struct.Struct("<d")
_COUNT: Final = struct.Struct("<I")
_SIZE_BYTES: Final = 4
_FIELD_BYTES: Final = _MESSAGE.size - _SIZE_BYTES

HEADER_BYTES: Final = _HEADER.size
# Beside its payload, at most, without a reference to a body.
MESSAGE_BYTES: Final = _MESSAGE.size + 2 * _INSTANT.size


class BadChunk(Exception):
    """The bytes are not those of a chunk."""


class NewerChunk(BadChunk):
    """The messages are in a format that a later version wrote."""


class Packed(NamedTuple):
    """One message as it lies in a chunk.

    Attributes:
        expiry: when something is to happen to it: it expires, or is due, whichever is first.
            Seconds since the epoch; infinity for never.
        data: its bytes, copied whole from chunk to chunk.
        body: what it refers to.
    """

    sequence: int
    instant: float
    expiry: float
    data: bytes
    body: BodyRef | None = None

    @property
    def size(self) -> int:
        """Bytes in a chunk."""
        return len(self.data) if self.body is None else len(self.data) + REF_BYTES

    @property
    def weight(self) -> int:
        """Bytes with its body, wherever that is stored: what bounds a chunk."""
        return len(self.data) if self.body is None else self.size + self.body.size


class Message(NamedTuple):
    """One message as it is delivered. Instants are seconds since the epoch.

    Attributes:
        expiry: infinity for none.
        due: when it may be delivered; 0 for at once.
        flags: those of its own, and those of fields that this version does not know.
        payload: without the body, if that is stored apart.
        body: it is stored apart.
    """

    sequence: int
    instant: float
    expiry: float
    due: float
    flags: int
    payload: bytes
    body: BodyRef | None = None


class Summary(NamedTuple):
    """What the index holds of a chunk.

    Attributes:
        size: of the whole chunk, and of the bodies that its messages refer to, bytes.
        expiry: the earliest instant at which one of its messages expires or is due; infinity for
            none.
        latest: the greatest publish instant.
        offsets: sequences less the first one, ascending, if numbers are missing between the first
            and the last; else empty.
        newer: its messages are in a later format.
        bodies: what its messages refer to, packed: see `bodies.unpack_refs`.
    """

    first: int
    last: int
    messages: int
    size: int
    expiry: float
    latest: float
    offsets: Sequence[int] = ()
    newer: bool = False
    bodies: bytes = b""


def pack(
    sequence: int,
    instant: float,
    payload: bytes,
    *,
    expiry: float = inf,
    due: float = 0.0,
    flags: int = 0,
    body: BodyRef | None = None,
) -> Packed:
    """One message, packed. `flags`: its own ones only; `body`: what `payload` has not."""
    assert 0 <= sequence < MOST_SEQUENCE, sequence
    assert not flags & FIELD_FLAGS, flags
    fields = b""
    if expiry != inf:
        flags |= EXPIRES
        fields = _INSTANT.pack(expiry)
    if due:
        flags |= IS_DUE
        fields += _INSTANT.pack(due)
    if body is not None:
        flags |= HAS_BODY
        fields += REF.pack(*body)
    head = _FIELD_BYTES + len(fields)
    data = _MESSAGE.pack(head + len(payload), head, flags, sequence, instant) + fields + payload
    return Packed(sequence, instant, min(expiry, due) if due else expiry, data, body)


class Builder:
    """A chunk in the making: messages of ascending sequences, whole ones."""

    __slots__ = ("_bodies", "_data", "_size", "expiry", "first", "last", "latest", "weight")

    def __init__(self, message: Packed) -> None:
        self._data = [message.data]
        self._bodies: list[BodyRef] = [] if message.body is None else [message.body]
        self.first = self.last = message.sequence
        self.expiry, self.latest = message.expiry, message.instant
        self._size = len(message.data)
        self.weight = message.weight
        """Bytes of the messages, with their bodies."""

    @property
    def count(self) -> int:
        return len(self._data)

    def holds(self, count: int, weight: int, last: int) -> bool:
        """Whether `count` more messages of this weight fit; `last` is the last one's sequence."""
        return (
            len(self._data) + count <= MOST_MESSAGES
            # For the offsets too, in case numbers are missing.
            and self.weight + weight + 4 * (len(self._data) + count) + HEADER_BYTES <= MOST_BYTES
            and last - self.first < MOST_SPAN
        )

    def add(self, message: Packed) -> None:
        """Take one more message, which fits."""
        assert message.sequence > self.last
        self._data.append(message.data)
        self.last = message.sequence
        self.expiry = min(self.expiry, message.expiry)
        self.latest = max(self.latest, message.instant)
        self._size += len(message.data)
        self.weight += message.weight
        if message.body is not None:
            self._bodies.append(message.body)

    def build(self) -> tuple[Summary, bytes]:
        """The chunk and its summary."""
        offsets: Sequence[int] = ()
        packed = b""
        count = len(self._data)
        if self.last - self.first + 1 != count:
            sequences = [_MESSAGE.unpack_from(data)[3] for data in self._data]
            offsets = array("I", [sequence - self.first for sequence in sequences])
            packed = struct.pack(f"<{count}I", *offsets)
        flags = _SPARSE if packed else 0
        bodies = pack_refs(self._bodies)
        if bodies:
            flags |= _REFERS
            packed += _COUNT.pack(len(self._bodies)) + bodies
        header = _HEADER.pack(
            FORMAT,
            flags,
            HEADER_BYTES + len(packed),
            count,
            self._size,
            self.first,
            self.last,
            self.expiry,
            self.latest,
        )
        value = b"".join([header, packed, *self._data])
        size = len(value) + sum([body.size for body in self._bodies])
        summary = Summary(
            self.first, self.last, count, size, self.expiry, self.latest, offsets, False, bodies
        )
        return summary, value


def chunked(messages: Sequence[Packed]) -> list[Builder]:
    """Messages of ascending sequences, in as few chunks as they fit into. Not empty."""
    builders = [Builder(messages[0])]
    for message in messages[1:]:
        if builders[-1].holds(1, message.weight, message.sequence):
            builders[-1].add(message)
        else:
            builders.append(Builder(message))
    return builders


def summarize(value: bytes) -> Summary:
    """What the header says, of chunks of any format. Raises BadChunk."""
    return _header(value)[0]


def unpack(value: bytes) -> list[Message]:
    """The messages, ascending. Raises BadChunk, NewerChunk."""
    result = []
    for start, size, head, flags, sequence, instant, expiry in _walk(value):
        due = _due(value, start, flags, sequence) if flags & IS_DUE else 0.0
        begin = start + _SIZE_BYTES
        payload = bytes(value[begin + head : begin + size])
        own = flags & ~(EXPIRES | IS_DUE | HAS_BODY)
        body = _body(value, start, flags) if flags & HAS_BODY else None
        result.append(Message(sequence, instant, expiry, due, own, payload, body))
    return result


def split(value: bytes) -> list[Packed]:
    """The messages whole, to be copied. Raises BadChunk, NewerChunk."""
    result = []
    for start, size, _, flags, sequence, instant, expiry in _walk(value):
        if flags & IS_DUE:
            expiry = min(expiry, _due(value, start, flags, sequence))
        data = bytes(value[start : start + _SIZE_BYTES + size])
        body = _body(value, start, flags) if flags & HAS_BODY else None
        result.append(Packed(sequence, instant, expiry, data, body))
    return result


def _due(value: bytes, start: int, flags: int, sequence: int) -> float:
    place = start + _MESSAGE.size + (_INSTANT.size if flags & EXPIRES else 0)
    due: float = _INSTANT.unpack_from(value, place)[0]
    if not isfinite(due):
        raise BadChunk(f"message {sequence} is due at {due}")
    return due


def _body(value: bytes, start: int, flags: int) -> BodyRef:
    place = start + _MESSAGE.size + _INSTANT.size * (flags & (EXPIRES | IS_DUE)).bit_count()
    return BodyRef(*REF.unpack_from(value, place))


def _header(value: bytes) -> tuple[Summary, int]:
    """The summary, and where the messages begin."""
    if len(value) < HEADER_BYTES:
        raise BadChunk(f"a chunk of {len(value)} bytes")
    number, flags, begin, count, size, first, last, expiry, latest = _HEADER.unpack_from(value)
    if number < FORMAT:
        raise BadChunk(f"a chunk of format {number}")
    offsets: Sequence[int] = ()
    least = HEADER_BYTES
    if flags & _SPARSE:
        least += 4 * count
    if not 1 <= count <= MOST_MESSAGES or not least <= begin or begin + size != len(value):
        raise BadChunk(f"a chunk of {count} messages, {begin} + {size} of {len(value)} bytes")
    if not first <= last < MOST_SEQUENCE:
        raise BadChunk(f"a chunk of the sequences {first} to {last}")
    if expiry != expiry or expiry == -inf or not isfinite(latest):
        raise BadChunk(f"a chunk that expires at {expiry}, published at {latest}")
    if flags & _SPARSE:
        offsets = array("I", struct.unpack_from(f"<{count}I", value, HEADER_BYTES))
        ascending = all(before < after for before, after in pairwise(offsets))
        if not ascending or offsets[0] != 0 or offsets[-1] != last - first:
            raise BadChunk(f"the offsets of chunk {first} are not ascending from 0 to its last one")
    elif last - first + 1 != count:
        raise BadChunk(f"{count} messages with the sequences {first} to {last}")
    newer = number > FORMAT
    bodies = _bodies(value, least, begin, first) if flags & _REFERS else b""
    size = len(value) + sum([body.size for body in unpack_refs(bodies)])
    return Summary(first, last, count, size, expiry, latest, offsets, newer, bodies), begin


def _bodies(value: bytes, place: int, end: int, first: int) -> bytes:
    """The references in a header, which ends at `end`."""
    begin = place + _COUNT.size
    count = _COUNT.unpack_from(value, place)[0] if begin <= end else MOST_MESSAGES + 1
    if count > MOST_MESSAGES or begin + count * REF_BYTES > end:
        raise BadChunk(f"chunk {first} refers to {count} bodies")
    return bytes(value[begin : begin + count * REF_BYTES])


def _walk(value: bytes) -> Iterator[tuple[int, int, int, int, int, float, float]]:
    """For each message: start, size and head size (as they stand there), flags, sequence, publish
    instant, expiry."""
    summary, place = _header(value)
    if summary.newer:
        raise NewerChunk(f"chunk {summary.first} is in format {value[0]}; this version reads 1")
    end, first, offsets = len(value), summary.first, summary.offsets
    for number in range(summary.messages):
        if place + _MESSAGE.size > end:
            raise BadChunk(f"message {number} of chunk {first} is cut off")
        size, head, flags, sequence, instant = _MESSAGE.unpack_from(value, place)
        least = _FIELD_BYTES
        if flags & EXPIRES:
            least += _INSTANT.size
        if flags & IS_DUE:
            least += _INSTANT.size
        if flags & HAS_BODY:
            least += REF_BYTES
        if not least <= head <= size or place + _SIZE_BYTES + size > end:
            raise BadChunk(f"message {number} of chunk {first} has {head} of {size} bytes")
        if sequence != first + (offsets[number] if offsets else number):
            raise BadChunk(f"message {number} of chunk {first} has the sequence {sequence}")
        expiry = inf
        if flags & EXPIRES:
            (expiry,) = _INSTANT.unpack_from(value, place + _MESSAGE.size)
        if not isfinite(instant) or expiry != expiry or expiry == -inf:
            raise BadChunk(f"message {sequence} is of {instant} and expires at {expiry}")
        yield place, size, head, flags, sequence, instant, expiry
        place += _SIZE_BYTES + size
    if place != end:
        raise BadChunk(f"chunk {first} has {end - place} bytes behind its last message")
