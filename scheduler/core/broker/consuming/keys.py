"""The ordering key of a message, read of its bytes: only if its flags say that it has one."""

from __future__ import annotations

from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.v1 import message_pb2 as m


def ordering_key(payload: bytes) -> bytes:
    """The key of a message; empty for none, or if its bytes cannot be read."""
    try:
        properties = wire.MessageEnvelope.FromString(payload).properties
        return m.MessageProperties.FromString(properties).ordering_key.encode()
    except ValueError:
        # Bytes of a later version, or nobody's: it is delivered as any other.
        return b""
