"""How far a connection is, and what both sides say of themselves before it is open."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final

from gateway.amqp.protocol import limits
from gateway.amqp.protocol.events import Login
from gateway.amqp.wire.buffers import Malformed
from gateway.amqp.wire.frames import LEAST_FRAME
from gateway.amqp.wire.methods import Method
from gateway.amqp.wire.replies import AmqpError, Reply
from quorate.v1.message_pb2 import HeaderTable, HeaderValue

PLAIN: Final = "PLAIN"
EXTERNAL: Final = "EXTERNAL"
# https://www.rabbitmq.com/docs/connections#capabilities
_CAPABILITIES: Final = (
    *("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify"),
    *("connection.blocked", "consumer_priorities", "authentication_failure_close"),
    *("per_consumer_qos", "direct_reply_to"),
)


class Phase(Enum):
    """How far a connection is."""

    HEADER = auto()
    START = auto()
    LOGIN = auto()
    TUNE = auto()
    AGREED = auto()
    OPENING = auto()
    OPEN = auto()
    DRAINING = auto()
    CLOSING = auto()
    CLOSED = auto()


# What the client may send on channel 0, by phase.
EXPECTED: Final = {
    Phase.START: ("connection.start-ok",),
    Phase.TUNE: ("connection.tune-ok",),
    Phase.AGREED: ("connection.open",),
    Phase.OPEN: ("connection.update-secret",),
}


def server_properties(version: str) -> dict[str, HeaderValue]:
    """What the gateway says of itself."""
    able = HeaderTable()
    for name in _CAPABILITIES:
        able.entries[name].boolean = True
    texts = {"product": "Quorate", "version": version, "platform": "Python"}
    found = {name: HeaderValue(text=text) for name, text in texts.items()}
    found["capabilities"] = HeaderValue(table=able)
    return found


def login_of(method: Method) -> Login:
    """The credentials of connection.start-ok.

    Raises:
        Malformed: PLAIN's response is none (RFC 4616).
        AmqpError: 403 for another mechanism.
    """
    properties, mechanism = method["client_properties"], method["mechanism"]
    product = properties["product"].text if "product" in properties else ""
    if mechanism == EXTERNAL:
        return Login(mechanism, "", "", product)
    if mechanism != PLAIN:
        raise AmqpError(Reply.ACCESS_REFUSED, f"mechanism {mechanism!r} is not served; use PLAIN")
    # The identity to act as is not looked at, as in RabbitMQ.
    parts = method["response"].split(b"\0")
    try:
        _, user, password = (part.decode() for part in parts)
    except ValueError:
        raise Malformed("the response of PLAIN is no user and password") from None
    return Login(mechanism, user, password, product)


def is_able(properties: Any, capability: str) -> bool:
    """Whether a client says that it knows something."""
    if "capabilities" not in properties:
        return False
    able = properties["capabilities"].table.entries
    return capability in able and able[capability].boolean


def tuned(method: Method) -> tuple[int, int, int]:
    """Channels, bytes of a frame and seconds between heartbeats that the client agrees to. 0 of the
    first two means what was offered.

    Raises AmqpError 530 for more than was offered.
    """
    channels, frame_max = method["channel_max"], method["frame_max"]
    for name, agreed, offered in (
        ("channel_max", channels, limits.CHANNEL_MAX),
        ("frame_max", frame_max, limits.FRAME_MAX),
    ):
        if agreed > offered:
            text = f"negotiated {name} = {agreed} is higher than the maximum allowed value"
            raise AmqpError(Reply.NOT_ALLOWED, f"{text} ({offered})", method.id)
    if frame_max and frame_max < LEAST_FRAME:
        text = f"negotiated frame_max = {frame_max} is lower than the minimum allowed value"
        raise AmqpError(Reply.NOT_ALLOWED, f"{text} ({LEAST_FRAME})", method.id)
    return channels or limits.CHANNEL_MAX, frame_max or limits.FRAME_MAX, method["heartbeat"]
