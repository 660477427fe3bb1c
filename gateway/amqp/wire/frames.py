"""Frames of AMQP 0-9-1 (section 4.2.3), and the hot three methods by hand: basic.publish and
basic.ack in, basic.deliver and basic.ack out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.amqp.wire import buffers
from gateway.amqp.wire.buffers import Malformed, Reader
from gateway.amqp.wire.methods import encode
from gateway.amqp.wire.replies import AmqpError, Reply

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
_TYPES: Final = (METHOD, HEADER, BODY, HEARTBEAT)
_END: Final = 0xCE
_END_BYTE: Final = b"\xce"
_HEAD: Final = struct.Struct(">BHI")
# Bytes of a frame beside its payload.
BESIDE: Final = 8
LEAST_FRAME: Final = 4_096
BASIC_PUBLISH: Final = b"\x00\x3c\x00\x28"
BASIC_ACK: Final = b"\x00\x3c\x00\x50"
_BASIC: Final = 60
_ACK: Final = struct.Struct(">QB")
_CONTENT: Final = struct.Struct(">HHQ")
HEARTBEAT_FRAME: Final = _HEAD.pack(HEARTBEAT, 0, 0) + _END_BYTE


class Frame(NamedTuple):
    """One frame."""

    type: int
    channel: int
    payload: bytes


class FrameReader:
    """Cuts what arrives into frames. It keeps less than one frame.

    Args:
        most: bytes of a frame, with what stands beside its payload.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises AmqpError 501."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        place, size = 0, len(data)
        try:
            while size - place >= _HEAD.size:
                type_, channel, length = _HEAD.unpack_from(data, place)
                if type_ not in _TYPES:
                    raise AmqpError(Reply.FRAME_ERROR, f"frame type {type_} is unknown")
                if length + BESIDE > self.most:
                    raise AmqpError(
                        Reply.FRAME_ERROR,
                        f"type {type_}, {length} octets: frame too large, "
                        f"at most {self.most} octets were agreed",
                    )
                end = place + _HEAD.size + length
                if end >= size:
                    return
                if data[end] != _END:
                    raise AmqpError(
                        Reply.FRAME_ERROR, f"frame end is {data[end]:#04x}, not {_END:#04x}"
                    )
                frame = Frame(type_, channel, data[place + _HEAD.size : end])
                place = end + 1
                yield frame
        finally:
            self._rest = data[place:]


def frame(type_: int, channel: int, payload: bytes) -> bytes:
    """One frame as bytes."""
    return _HEAD.pack(type_, channel, len(payload)) + payload + _END_BYTE


def method(channel: int, name: str, **arguments: object) -> bytes:
    """A method frame."""
    return frame(METHOD, channel, encode(name, **arguments))


# -- in


class Publish(NamedTuple):
    """basic.publish."""

    exchange: str
    routing_key: str
    mandatory: bool
    immediate: bool


def read_publish(payload: bytes) -> Publish:
    """Raises Malformed."""
    try:
        length = payload[6]
        end = 7 + length
        key_end = end + 1 + payload[end]
        bits = payload[key_end]
        exchange = payload[7:end].decode()
        key = payload[end + 1 : key_end].decode()
    except (IndexError, UnicodeDecodeError):
        raise Malformed("the arguments of basic.publish are malformed") from None
    if len(payload) != key_end + 1:
        raise Malformed("basic.publish has bytes too many")
    return Publish(exchange, key, bool(bits & 1), bool(bits & 2))


def read_ack(payload: bytes) -> tuple[int, bool]:
    """The delivery tag of basic.ack, and whether it is `multiple`. Raises Malformed."""
    try:
        tag, bits = _ACK.unpack_from(payload, 4)
    except struct.error:
        raise Malformed("the arguments of basic.ack are malformed") from None
    if len(payload) != 4 + _ACK.size:
        raise Malformed("basic.ack has bytes too many")
    return tag, bool(bits & 1)


def read_content(payload: bytes) -> tuple[int, bytes]:
    """The size of the body that a content header announces, and the properties behind it.

    Raises Malformed.
    """
    reader = Reader(payload)
    class_id, weight, size = reader.short(), reader.short(), reader.longlong()
    if class_id != _BASIC:
        raise Malformed(f"a content header of class {class_id}; content is of class {_BASIC}")
    if weight:
        raise Malformed(f"a content header has weight {weight}; it is 0")
    return size, payload[reader.place :]


# -- out


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """basic.ack: a confirm."""
    return frame(METHOD, channel, BASIC_ACK + _ACK.pack(tag, multiple))


class Consumer:
    """Writes the deliveries of one consumer.

    Args:
        frame_max: agreed with the client.
    """

    __slots__ = ("_begin", "_channel", "_frame_max")

    def __init__(self, channel: int, consumer_tag: str, frame_max: int) -> None:
        self._channel = channel
        self._frame_max = frame_max
        self._begin = b"\x00\x3c\x00\x3c" + buffers.shortstr(consumer_tag)

    def deliver(
        self,
        tag: int,
        *,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        properties: bytes,
        body: bytes,
    ) -> bytes:
        """basic.deliver with its content. `properties`: of the content header."""
        payload = b"%b%b%b%b%b" % (
            self._begin,
            buffers.longlong(tag),
            b"\x01" if redelivered else b"\x00",
            buffers.shortstr(exchange),
            buffers.shortstr(routing_key),
        )
        return frame(METHOD, self._channel, payload) + content(
            self._channel, properties, body, self._frame_max
        )


def content(channel: int, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """Content header and body, in as many frames as it takes."""
    parts = [frame(HEADER, channel, _CONTENT.pack(_BASIC, 0, len(body)) + properties)]
    step = frame_max - BESIDE
    parts += [
        frame(BODY, channel, body[place : place + step]) for place in range(0, len(body), step)
    ]
    return b"".join(parts)
