"""What the broker reads of a message, and writes when it dead letters one.

A message is the serialized `quorate.v1.Message`; its body is never copied out of it. Generated
types stand here, inside the core, since properties are protobuf on the wire and in the log: to read
them twice would cost more than all the rest of a publish.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Final, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.runtime.errors import invalid
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from scheduler.core.broker.routing.fields import FieldType, Table, Value
from scheduler.core.broker.routing.rows import Message

# 365 days: of `expiration` and `deliver_after`.
MOST_SECONDS: Final = 365 * 86_400.0
MOST_ORDERING_KEY: Final = 255
# `Message.body`, length-delimited.
_BODY_TAG: Final = bytes((MessageEnvelope.BODY_FIELD_NUMBER << 3 | 2,))
# As `HeaderValue.bits` says.
_INTEGERS: Final = {
    8: FieldType.INT8,
    -8: FieldType.UINT8,
    16: FieldType.INT16,
    -16: FieldType.UINT16,
    32: FieldType.INT32,
    -32: FieldType.UINT32,
}


class Parsed(NamedTuple):
    """What decides where a message goes and when.

    Attributes:
        message: what routing reads.
        priority: as the producer says; the queue has the last word.
        expiration, deliver_after: seconds since it was published; infinity and 0: none.
        is_ordered: it has an ordering key.
    """

    message: Message
    priority: int = 0
    expiration: float = inf
    deliver_after: float = 0.0
    is_ordered: bool = False


class Headers(Mapping[str, Value]):
    """Headers that are converted when they are read."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[str, HeaderValue]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> Value:
        # A map of messages makes an entry of whatever is read.
        if name not in self._headers:
            raise KeyError(name)
        return value_of(self._headers[name])

    def __contains__(self, name: object) -> bool:
        return name in self._headers

    def __iter__(self) -> Iterator[str]:
        # Sorted: the order of a map differs between processes.
        return iter(sorted(self._headers))

    def __len__(self) -> int:
        return len(self._headers)


def parse(routing_key: bytes, properties: bytes) -> Parsed:
    """Read the properties of a message. Raises INVALID_ARGUMENT that names the field."""
    if not properties:
        return Parsed(Message(routing_key))
    try:
        return parsed(routing_key, MessageProperties.FromString(properties))
    except DecodeError:
        raise invalid("properties", "are no MessageProperties") from None


def parsed(routing_key: bytes, properties: MessageProperties) -> Parsed:
    """What properties say. Raises INVALID_ARGUMENT that names the field."""
    message = Message(
        routing_key,
        Headers(properties.headers) if properties.headers else {},
        properties.correlation_id.encode() or None,
        properties.message_id.encode() or None,
        properties.timestamp.seconds if properties.HasField("timestamp") else None,
    )
    expiration, deliver_after = inf, 0.0
    if properties.HasField("expiration"):
        expiration = _seconds("properties.expiration", properties.expiration)
    if properties.HasField("deliver_after"):
        deliver_after = _seconds("properties.deliver_after", properties.deliver_after)
    if properties.ordering_key and len(properties.ordering_key.encode()) > MOST_ORDERING_KEY:
        raise invalid(
            "properties.ordering_key",
            f"has {len(properties.ordering_key.encode())} bytes; use at most {MOST_ORDERING_KEY}",
            limit=MOST_ORDERING_KEY,
        )
    is_ordered = bool(properties.ordering_key)
    return Parsed(message, properties.priority, expiration, deliver_after, is_ordered)


def of_payload(payload: bytes) -> tuple[MessageEnvelope, Parsed]:
    """A message that is in a queue: what was read of it when it was published."""
    envelope = MessageEnvelope.FromString(payload)
    return envelope, parse(envelope.routing_key.encode(), envelope.properties)


def apart(payload: bytes) -> tuple[bytes, bytes]:
    """A message without its body, and the body: `head + body_field(body)` is the message again, as
    protobuf joins fields."""
    envelope = MessageEnvelope.FromString(payload)
    body = envelope.body
    envelope.ClearField("body")
    return envelope.SerializeToString(), body


def body_field(body: bytes) -> bytes:
    """A body as a field of a message. O(its size)."""
    size, left = bytearray(), len(body)
    while left > 0x7F:
        size.append(left & 0x7F | 0x80)
        left >>= 7
    size.append(left)
    return b"".join((_BODY_TAG, size, body))


def value_of(header: HeaderValue) -> Value:
    """A header as routing compares it."""
    kind = header.WhichOneof("value")
    match kind:
        case "boolean":
            return Value(FieldType.BOOL, header.boolean)
        case "integer":
            return Value(_INTEGERS.get(header.bits, FieldType.INT64), header.integer)
        case "number":
            return Value(FieldType.DOUBLE, header.number)
        case "small_number":
            return Value(FieldType.FLOAT, header.small_number)
        case "text":
            return Value(FieldType.STRING, header.text.encode())
        case "binary":
            return Value(FieldType.BYTES, header.binary)
        case "timestamp":
            return Value(FieldType.TIMESTAMP, header.timestamp.seconds)
        case "decimal":
            return Value(FieldType.DECIMAL, (header.decimal.scale, header.decimal.value))
        case "list":
            return Value(FieldType.ARRAY, items=tuple(map(value_of, header.list.values)))
        case "table":
            return Value(FieldType.TABLE, entries=table_of(header.table.entries))
        case _:
            return Value(FieldType.VOID)


def table_of(entries: Mapping[str, HeaderValue]) -> Table:
    """A table, sorted by name. The parser of protobuf bounds how deep it nests."""
    return tuple((name, value_of(entries[name])) for name in sorted(entries))


def _seconds(field: str, duration: Duration) -> float:
    seconds = float(duration.seconds) + duration.nanos / 1e9
    if not 0 <= seconds <= MOST_SECONDS:
        raise invalid(
            field,
            f"is {seconds} s; use 0 to {MOST_SECONDS:.0f} s (365 days)",
            limit=int(MOST_SECONDS),
        )
    return seconds
