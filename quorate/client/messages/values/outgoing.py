"""Messages as producers send them."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypedDict

from quorate.client.messages.values import headers
from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import message_pb2 as pb

# Bytes of a body, at most: the cluster may take less (`Cluster.max_message_bytes`), and says so.
MOST_BODY: Final = 16 << 20
_DAY: Final = 86_400.0
_MOST_SECONDS: Final = 365 * _DAY
_MOST_PRIORITY: Final = 255
_SHORT: Final = 255
_TEXTS: Final = (
    *("content_type", "content_encoding", "correlation_id", "reply_to", "message_id"),
    *("type", "user_id", "app_id", "ordering_key"),
)
_OTHERS: Final = ("headers", "persistent", "priority", "expiration", "deliver_after", "timestamp")
JSON: Final = "application/json"

Seconds = float | dt.timedelta
Body = Any
"""bytes as they are; str as UTF-8; any other value as JSON, with content type application/json."""


class MessageArgs(TypedDict, total=False):
    """Properties of a message, as in AMQP 0-9-1. Texts have at most 255 bytes."""

    headers: Mapping[str, Any]
    """At most 1,024 entries and 64 KiB; see `quorate.client.messages.values.headers`."""
    content_type: str
    """Such as "text/plain"; of a body that is sent as JSON "application/json" by default."""
    content_encoding: str
    persistent: bool
    """Passed on to consumers. Every message is durable, whatever it says. False by default."""
    priority: int
    """0 to 255, 0 by default; only queues with `max_priority` obey it."""
    correlation_id: str
    reply_to: str
    """A message queue for the answer."""
    expiration: Seconds
    """After so long it is not delivered any more, at most 365 days; never by default."""
    message_id: str
    timestamp: dt.datetime
    """What the producer says, with a time zone; whole seconds."""
    type: str
    user_id: str
    """Must be the caller's own name where callers are known."""
    app_id: str
    deliver_after: Seconds
    """It is not delivered before, at most 365 days; 0 by default."""
    ordering_key: str
    """Messages of one queue with the same key are delivered one after another."""


def publication(
    exchange: str,
    routing_key: str,
    body: Body,
    args: MessageArgs,
    *,
    mandatory: bool = False,
    number: int = 0,
) -> pb.Publication:
    """A message on its way to its exchange.

    Raises QuorateError: INVALID_ARGUMENT naming the argument and its limit; nothing was sent.
    """
    data, content_type = _encoded(body)
    if len(data) > MOST_BODY:
        raise invalid(
            "body",
            f"has {len(data):,} bytes; use at most {MOST_BODY:,}",
            reason="MESSAGE_TOO_LARGE",
            limit=MOST_BODY,
            value=len(data),
        )
    made = pb.Publication(mandatory=mandatory, number=number)
    message = made.message
    if exchange:
        message.exchange = _short("exchange", exchange)
    if routing_key:
        message.routing_key = _short("routing_key", routing_key)
    message.body = data
    if args:
        _fill(message.properties, args)
    if content_type and not message.properties.content_type:
        message.properties.content_type = content_type
    return made


def span(field: str, value: Seconds, most: float = _MOST_SECONDS) -> float:
    """Seconds, not negative and at most `most`."""
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise invalid(field, f"must be seconds or a timedelta, not {type(value).__name__}")
    if math.isnan(seconds) or not 0 <= seconds <= most:
        raise invalid(field, f"is {seconds:g} s; use 0 to {most:.0f} s", limit=most, value=seconds)
    return float(seconds)


def _encoded(body: Body) -> tuple[bytes, str]:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body), ""
    if isinstance(body, str):
        return checked_text("body", body).encode(), ""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), JSON
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid("body", f"is neither bytes nor text, and no JSON: {error}") from None


def _short(field: str, value: Any) -> str:
    text = checked_text(field, value)
    if len(text) * 4 > _SHORT and (size := len(text.encode())) > _SHORT:
        raise invalid(field, f"has {size} bytes; use at most {_SHORT}", limit=_SHORT, value=size)
    return text


def _fill(properties: pb.MessageProperties, args: MessageArgs) -> None:
    for name, value in args.items():
        if name in _TEXTS:
            setattr(properties, name, _short(name, value))
        elif name not in _OTHERS:
            raise TypeError(f"a message has no property {name!r}")
    for name, entry in headers.table("headers", args.get("headers")).items():
        properties.headers[name].CopyFrom(entry)
    properties.persistent = bool(args.get("persistent", False))
    priority = args.get("priority", 0)
    if not isinstance(priority, int) or not 0 <= priority <= _MOST_PRIORITY:
        raise invalid("priority", f"is {priority!r}; use 0 to {_MOST_PRIORITY}", value=priority)
    properties.priority = priority
    for name in ("expiration", "deliver_after"):
        if (length := args.get(name)) is not None:
            getattr(properties, name).FromNanoseconds(round(span(name, length) * 1e9))  # type: ignore[arg-type]
    if (when := args.get("timestamp")) is not None:
        properties.timestamp.seconds = headers.seconds_of("timestamp", when)
