"""What a consumer asks for. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from quorate.client.messages.values import headers
from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

DEFAULT_PREFETCH: Final = 100
MOST_PREFETCH: Final = 65_535
Offset = int | Literal["first", "last", "next"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A consumer, before it is one. See `MessageMethods.consume` for what each means."""

    virtual_host: str
    queue: str
    prefetch: int
    auto_ack: bool
    exclusive: bool
    priority: int
    position: pb.StreamPosition | None
    name: str
    arguments: dict[str, message_pb2.HeaderValue]

    def request(self, consumer: int, prefetch: int) -> pb.Subscribe:
        """As the leader gets it."""
        return pb.Subscribe(
            consumer=consumer,
            queue=self.queue,
            name=self.name,
            prefetch=prefetch,
            automatic_ack=self.auto_ack,
            exclusive=self.exclusive,
            priority=self.priority,
            position=self.position,
            arguments=self.arguments,
        )


def subscription(
    queue: str,
    *,
    prefetch: int = DEFAULT_PREFETCH,
    auto_ack: bool = False,
    exclusive: bool = False,
    priority: int = 0,
    offset: Offset | None = None,
    since: dt.datetime | None = None,
    offset_name: str = "",
    name: str = "",
    virtual_host: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Subscription:
    """Raises QuorateError: INVALID_ARGUMENT naming the argument and its limit."""
    if isinstance(priority, bool) or not isinstance(priority, int) or not -128 <= priority <= 127:
        raise invalid("priority", f"is {priority!r}; use -128 to 127", value=priority)
    return Subscription(
        checked_text("virtual_host", virtual_host),
        checked_text("queue", queue),
        checked_prefetch(prefetch),
        bool(auto_ack),
        bool(exclusive),
        priority,
        _position(offset, since, offset_name),
        checked_text("name", name),
        headers.table("arguments", arguments),
    )


def checked_prefetch(prefetch: int) -> int:
    """Raises QuorateError."""
    if (
        isinstance(prefetch, bool)
        or not isinstance(prefetch, int)
        or not 0 <= prefetch <= MOST_PREFETCH
    ):
        raise invalid(
            "prefetch",
            f"is {prefetch!r}; use 1 to {MOST_PREFETCH:,}, or 0 for no limit but 64 MiB",
            limit=MOST_PREFETCH,
            value=prefetch,
        )
    return prefetch


def _position(
    offset: Offset | None, since: dt.datetime | None, offset_name: str
) -> pb.StreamPosition | None:
    if offset_name:
        if offset is not None or since is not None:
            raise invalid("offset_name", "give offset_name, offset or since: one of them")
        return pb.StreamPosition(named=checked_text("offset_name", offset_name))
    if since is not None:
        if offset is not None:
            raise invalid("since", "give offset or since, not both")
        return pb.StreamPosition(time={"seconds": headers.seconds_of("since", since)})
    match offset:
        case None:
            return None
        case "first":
            return pb.StreamPosition(first=True)
        case "last":
            return pb.StreamPosition(last=True)
        case "next":
            return pb.StreamPosition(next=True)
        case int() if not isinstance(offset, bool) and 0 <= offset < 1 << 64:
            return pb.StreamPosition(offset=offset)
    raise invalid("offset", f'is {offset!r}; use a number, "first", "last" or "next"')
