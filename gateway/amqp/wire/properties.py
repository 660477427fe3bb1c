"""Properties of a message as AMQP clients and as the cluster write them (class `basic`).

| AMQP | cluster |
|---|---|
| delivery-mode 2 | persistent; a message that is not comes back with delivery-mode 1 |
| expiration, a text of milliseconds | expiration |
| header x-delay, milliseconds | deliver_after; the header stays |
| cluster-id | not kept |
| all others | the field of the same name |

At delivery the header BCC is left out, x-delivery-count and x-stream-offset are added.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.amqp.wire import buffers
from gateway.amqp.wire.buffers import Malformed, Reader
from gateway.amqp.wire.replies import AmqpError, Reply
from gateway.amqp.wire.tables import read_table, seconds, table
from quorate.v1.message_pb2 import MessageProperties

# In the order of their flags, from bit 15 down.
_NAMES: Final = (
    *("content_type", "content_encoding", "headers", "delivery_mode", "priority"),
    *("correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "user_id"),
    *("app_id", "cluster_id"),
)
_FLAGS: Final = {name: 1 << (15 - place) for place, name in enumerate(_NAMES)}
_TEXTS: Final = frozenset(_NAMES) - {
    *("headers", "delivery_mode", "priority", "expiration", "timestamp", "cluster_id"),
}
_MOST_MILLIS: Final = 365 * 86_400_000
# Properties of one program's messages are often alike. Those that are longer are not remembered:
# 512 KiB at most.
_REMEMBERED: Final = 512
_PERSISTENT: Final = 2


def read(data: bytes) -> bytes:
    """Serialized `MessageProperties` of the flags and values of a content header.

    Raises:
        Malformed: they are none.
        AmqpError: 406 for what the cluster does not take.
    """
    return _remembered_read(data) if len(data) <= _REMEMBERED else _read(data)


def names_user(data: bytes) -> bool:
    """Whether the flags of a content header announce a user-id."""
    return bool(data[1:2] and data[1] & _FLAGS["user_id"])


def written(properties: bytes, failed: int = 0, offset: int | None = None) -> bytes:
    """Flags and values of a content header.

    Args:
        properties: serialized `MessageProperties`.
        failed: deliveries in vain.
        offset: of a message of a stream.
    """
    if failed or offset is not None:
        return _written(properties, failed, offset)
    return (
        _remembered_written(properties) if len(properties) <= _REMEMBERED else _written(properties)
    )


def _read(data: bytes) -> bytes:
    reader = Reader(data)
    flags = reader.short()
    if flags & 0b11:
        raise Malformed("property flags are set that class basic does not have")
    found = MessageProperties()
    for name, flag in _FLAGS.items():
        if not flags & flag:
            continue
        if name in _TEXTS:
            setattr(found, name, reader.shortstr())
        else:
            _read_other(reader, name, found)
    reader.end()
    return found.SerializeToString(deterministic=True)


def _read_other(reader: Reader, name: str, found: MessageProperties) -> None:
    match name:
        case "headers":
            read_table(reader, found.headers)
            delay = found.headers.get("x-delay")
            if delay is not None and 0 < delay.integer <= _MOST_MILLIS:
                found.deliver_after.FromMilliseconds(delay.integer)
        case "delivery_mode":
            found.persistent = reader.octet() == _PERSISTENT
        case "priority":
            found.priority = reader.octet()
        case "expiration":
            text = reader.shortstr()
            # As `rabbit_basic:parse_expiration`: digits alone.
            if not (text.isascii() and text.isdigit()) or int(text) > _MOST_MILLIS:
                raise AmqpError(
                    Reply.PRECONDITION_FAILED,
                    f"invalid expiration '{text[:40]}': it is a number of milliseconds, "
                    f"at most {_MOST_MILLIS}",
                )
            found.expiration.FromMilliseconds(int(text))
        case "timestamp":
            found.timestamp.seconds = seconds(reader)
        case "cluster_id":
            reader.shortstr()


def _written(properties: bytes, failed: int = 0, offset: int | None = None) -> bytes:
    found = MessageProperties.FromString(properties)
    headers = found.headers
    if "BCC" in headers:
        # https://www.rabbitmq.com/docs/sender-selected
        del headers["BCC"]
    if failed:
        headers["x-delivery-count"].integer = failed
    if offset is not None:
        headers["x-stream-offset"].integer = offset
    flags, parts = 0, []
    for name, flag in _FLAGS.items():
        if name in _TEXTS:
            text = getattr(found, name)
            value = buffers.shortstr(text) if text else b""
        else:
            value = _other(name, found)
        if value:
            flags |= flag
            parts.append(value)
    return buffers.short(flags) + b"".join(parts)


def _other(name: str, found: MessageProperties) -> bytes:
    match name:
        case "headers" if found.headers:
            return table(found.headers)
        case "delivery_mode":
            return buffers.octet(_PERSISTENT if found.persistent else 1)
        case "priority" if found.priority:
            return buffers.octet(min(found.priority, 255))
        case "expiration" if found.HasField("expiration"):
            return buffers.shortstr(str(found.expiration.ToMilliseconds()))
        case "timestamp" if found.HasField("timestamp"):
            return buffers.longlong(max(found.timestamp.seconds, 0))
        case _:
            return b""


_remembered_read = lru_cache(maxsize=1_024)(_read)
_remembered_written = lru_cache(maxsize=1_024)(_written)
