"""How a message changes when it is dead lettered: https://www.rabbitmq.com/docs/dlx#effects

* `x-death`: an entry for each pair of queue and reason, the newest first.
* `x-first-death-*` stay as they are, `x-last-death-*` are written each time.
* `expiration` and `deliver_after` go, so that they do not hold again; `BCC` goes; `CC` goes if the
  queue has a routing key for dead letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from scheduler.core.broker.queues.envelope import Parsed, parsed
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.places import SubLogName
from scheduler.core.broker.storage.sub_log import SubLog

# Of one queue. Each may hold a message of `BrokerLimits.inline_bytes`.
MOST_SPLITS: Final = 16
# Seconds. One that is under way goes on whenever the parts of others had their turns.
_ABANDONED: Final = 60.0


class Reason(StrEnum):
    """Why a message is dead lettered."""

    REJECTED = "rejected"
    EXPIRED = "expired"
    MAXLEN = "maxlen"
    DELIVERY_LIMIT = "delivery_limit"


class SplitBody(Protocol):
    """A body that is stored apart for the copies of a dead letter."""

    ref: BodyRef

    def release(self) -> None: ...


@dataclass(slots=True)
class Split:
    """A dead letter whose copies are made in several steps.

    Attributes:
        looked: when one was made last.
        copied: the queues that have it.
        head, body: the message without its body, which is stored apart.
    """

    looked: float
    copied: dict[QueueUid, None] = field(default_factory=dict)
    head: bytes = b""
    body: SplitBody | None = None


class Splits:
    """The dead letters of one queue whose copies are made in several steps, by sub-log and
    sequence. At most `MOST_SPLITS`: others wait for their turn."""

    def __init__(self) -> None:
        self._splits: dict[tuple[SubLogName, int], Split] = {}

    def __len__(self) -> int:
        return len(self._splits)

    def __contains__(self, place: object) -> bool:
        return place in self._splits

    def find(self, place: tuple[SubLogName, int], now: float) -> Split | None:
        """The one that goes on now."""
        split = self._splits.get(place)
        if split is not None:
            split.looked = now
        return split

    def begin(self, place: tuple[SubLogName, int], now: float) -> Split | None:
        """One more; None: there are too many. One that did not go on for `_ABANDONED` makes room:
        its message may be out. If it dies again, queues that have it get it twice."""
        if len(self._splits) >= MOST_SPLITS:
            oldest = min(self._splits, key=lambda one: self._splits[one].looked)
            if now < self._splits[oldest].looked + _ABANDONED:
                return None
            self.end(oldest)
        split = self._splits[place] = Split(now)
        return split

    def end(self, place: tuple[SubLogName, int]) -> None:
        """All copies are made, if there is such a one, or it is not looked at any more."""
        split = self._splits.pop(place, None)
        if split is not None and split.body is not None:
            split.body.release()

    def end_gone(self, sub_log: SubLogName, log: SubLog) -> None:
        """Messages of a sub-log are done: nobody looks at theirs any more."""
        for place in list(self._splits):
            if place[0] == sub_log and log.find(place[1]) < 0:
                self.end(place)

    def end_all(self) -> None:
        """The queue goes."""
        for place in list(self._splits):
            self.end(place)


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
