"""What callers of the broker get."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.effects import Delivery
from scheduler.core.broker.rows import MessageQueueRow, SessionId


class QueueAnswer(NamedTuple):
    """A message queue and its counts. `created`: it was not there before."""

    row: MessageQueueRow
    ready: int
    unacknowledged: int
    delayed: int
    consumers: int
    created: bool = False


class SessionAnswer(NamedTuple):
    """The session is open. `resumed`: it went on."""

    session: SessionId
    resumed: bool


class SubscribedAnswer(NamedTuple):
    """`ready`: messages that wait in the queue; `reply_to`: the address of a consumer of direct
    replies; `offset`: where it begins to read, None unless it reads a stream."""

    ready: int
    reply_to: str = ""
    offset: int | None = None


class Count(NamedTuple):
    """Messages that are gone."""

    messages: int


class Moved(NamedTuple):
    moved: int
    ready: int


class Received(NamedTuple):
    """`ready`: messages that are left."""

    deliveries: Sequence[Delivery]
    ready: int


class ResultKind(StrEnum):
    RETURNED = "returned"
    REJECTED = "rejected"


class PublishResult(NamedTuple):
    """What became of a publication that was not simply queued. `position`: in the event."""

    position: int
    kind: ResultKind
    error: QuorateError


class PublishAnswer(NamedTuple):
    """All publications but these are durable. The order is theirs."""

    results: Sequence[PublishResult] = ()
