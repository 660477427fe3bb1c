"""How a message changes when it is dead lettered: https://www.rabbitmq.com/docs/dlx#effects

* `x-death`: an entry for each pair of queue and reason, the newest first.
* `x-first-death-*` stay as they are, `x-last-death-*` are written each time.
* `expiration` and `deliver_after` go, so that they do not hold again; `BCC` goes; `CC` goes if the
  queue has a routing key for dead letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from scheduler.core.broker.queues.envelope import Parsed, parsed


class Reason(StrEnum):
    """Why a message is dead lettered."""

    REJECTED = "rejected"
    EXPIRED = "expired"
    MAXLEN = "maxlen"
    DELIVERY_LIMIT = "delivery_limit"


class DeadLetter(NamedTuple):
    """A message on its way to the dead letter exchange.

    Attributes:
        deaths: (queue, reason), the newest first.
    """

    payload: bytes
    parsed: Parsed
    deaths: Sequence[tuple[str, str]]


def dead_letter(
    payload: bytes, queue: str, reason: Reason, exchange: str, key: str | None, now: float
) -> DeadLetter:
    """The message as it goes to `exchange`. `key`: None: its own routing keys."""
    envelope = MessageEnvelope.FromString(payload)
    properties = MessageProperties.FromString(envelope.properties)
    headers = properties.headers
    entries = _entries(properties)
    death = next((one for one in entries if _names(one) == (queue, reason)), None)
    if death is None:
        death = _new(envelope, properties, queue, reason, now)
    else:
        entries.remove(death)
        death.table.entries["count"].integer += 1
    entries.insert(0, death)
    deaths = HeaderValue()
    deaths.list.values.extend(entries)
    headers["x-death"].CopyFrom(deaths)
    for name, value in (("queue", queue), ("reason", reason), ("exchange", envelope.exchange)):
        if f"x-first-death-{name}" not in headers:
            headers[f"x-first-death-{name}"].text = value
        headers[f"x-last-death-{name}"].text = value
    properties.ClearField("expiration")
    properties.ClearField("deliver_after")
    envelope.exchange = exchange
    if key is not None:
        envelope.routing_key = key
        for name in ("CC", "BCC"):
            if name in headers:
                del headers[name]
    # Routed with BCC, delivered without.
    routed = MessageProperties.FromString(properties.SerializeToString())
    if "BCC" in headers:
        del headers["BCC"]
    envelope.properties = properties.SerializeToString(deterministic=True)
    return DeadLetter(
        envelope.SerializeToString(),
        parsed(envelope.routing_key.encode(), routed),
        [_names(one) for one in entries],
    )


def is_cycle(target: str, deaths: Sequence[tuple[str, str]]) -> bool:
    """Whether the message was in `target` before, and nobody rejected it since.

    https://www.rabbitmq.com/docs/dlx#dead-letter-cycle
    """
    for queue, reason in deaths:
        if reason == Reason.REJECTED:
            return False
        if queue == target:
            return True
    return False


def _entries(properties: MessageProperties) -> list[HeaderValue]:
    """What is in `x-death`, as far as it is tables: producers may write anything there."""
    if "x-death" not in properties.headers:
        return []
    return [
        value
        for value in list(properties.headers["x-death"].list.values)
        if value.WhichOneof("value") == "table"
    ]


def _names(death: HeaderValue) -> tuple[str, str]:
    entries = death.table.entries
    queue = entries["queue"].text if "queue" in entries else ""
    return queue, entries["reason"].text if "reason" in entries else ""


def _new(
    envelope: MessageEnvelope, properties: MessageProperties, queue: str, reason: str, now: float
) -> HeaderValue:
    death = HeaderValue()
    entries = death.table.entries
    entries["count"].integer = 1
    entries["reason"].text = reason
    entries["queue"].text = queue
    entries["time"].timestamp.FromSeconds(int(now))
    entries["exchange"].text = envelope.exchange
    keys = entries["routing-keys"].list.values
    keys.add().text = envelope.routing_key
    if "CC" in properties.headers:
        for key in properties.headers["CC"].list.values:
            if key.WhichOneof("value") == "text":
                keys.add().text = key.text
    if properties.HasField("expiration"):
        expiration = properties.expiration
        millis = expiration.seconds * 1_000 + expiration.nanos // 1_000_000
        entries["original-expiration"].text = str(millis)
    return death
