"""What consuming steps itself, by `then` or once something is committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scheduler.core.broker.consuming.sessions import Consumer, Session
from scheduler.core.broker.events import Fetched, Settled
from scheduler.core.broker.rows import QueueUid


class SubscriptionRecorded(NamedTuple):
    """It is on record that the session consumes from the queue: deliveries may begin."""

    consumer: Consumer


class FetchRecorded(NamedTuple):
    """It is on record that the session has messages of the queue: the fetch may be answered."""

    fetch: Fetched
    uid: QueueUid


class SettleContinued(NamedTuple):
    """There is more to settle of one request."""

    settled: Settled


class AutomaticAcksCommitted(NamedTuple):
    """What a consumer acknowledged automatically is durable: it may get more."""

    consumer: Consumer


class InventoryContinued(NamedTuple):
    """There is more to compare of what a session that came back has."""

    session: Session


class SessionEnding(NamedTuple):
    """A session is off record: what it leaves behind is dealt with in parts."""

    session: Session


class ConsumerReturning(NamedTuple):
    """A consumer timed out: what it had comes back in parts."""

    consumer: Consumer


class Returned(NamedTuple):
    """It is durable that deliveries (id, ordering key) came back: they are ready again."""

    uid: QueueUid
    deliveries: Sequence[tuple[int, bytes]]
