"""One client's subscriptions: carries out its messages, sends what concerns it.

Owned by its connection (`wire.LiveProtocol`), which reads, writes and knows whether the client
keeps up. Nothing is queued here: a message is acted on when it is read, and what cannot be sent is
left out (see `feed`), or not read from where it is (see `logs`).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from gateway.live import limits
from gateway.live.messages import frames
from gateway.live.messages.requests import Malformed, Ping, Subscribe, Unsubscribe, read_request
from quorate.runtime.errors import QuorateError, exhausted

log = structlog.get_logger(__name__)

POLICY: int = 1008
TRY_AGAIN: int = 1013
# Of the range for applications: the cluster does not know the token.
UNAUTHENTICATED: int = 4401


class Wire(Protocol):
    """The connection."""

    def keeps_up(self) -> bool:
        """Whether the client reads what it is sent."""

    def send(self, *parts: bytes) -> None:
        """Send one text message, in parts."""

    def close(self, code: int, reason: str) -> None:
        """End the connection."""


class Topics(Protocol):
    """What can be subscribed to, and who is connected: `hub.Hub`."""

    instance: str
    sessions: dict[Session, None]

    @property
    def has_leader(self) -> bool:
        """Whether the cluster has a leader."""

    def on_sessions(self) -> None:
        """`sessions` has changed."""

    def subscribe(self, subscription: Subscription, resume: str) -> None:
        """Begin. Raises QuorateError."""

    def unsubscribe(self, subscription: Subscription) -> None:
        """End."""

    def drained(self, subscription: Subscription) -> None:
        """The client of a subscription keeps up again."""


class Subscription:
    """One subscription: its place in a feed, or its log."""

    __slots__ = (
        "_opening",
        "_session",
        "awaits_snapshot",
        "draining",
        "filter",
        "id",
        "joining",
        "task",
        "topic",
    )

    def __init__(self, session: Session, asked: Subscribe) -> None:
        self._session = session
        self._opening = frames.opening(asked.id)
        self.id = asked.id
        self.topic = asked.topic
        self.filter = asked.filter
        self.joining = False
        self.awaits_snapshot = False
        # A log's: what reads it, and what waits for the client meanwhile.
        self.task: asyncio.Task[None] | None = None
        self.draining: asyncio.Future[None] | None = None

    def ready(self) -> bool:
        """Whether its client keeps up."""
        return self._session.wire.keeps_up()

    def send(self, rest: bytes) -> None:
        """Send a message, without its opening."""
        self._session.wire.send(self._opening, rest)

    def fail(self, error: QuorateError) -> None:
        """Tell why it is over; its feed has let it go."""
        self.finish(frames.error(error))

    def finish(self, rest: bytes) -> None:
        """Tell the last message."""
        self._session.forget(self)
        self.send(rest)

    async def drained(self) -> None:
        """Until its client keeps up."""
        if not self.ready():
            self.draining = asyncio.get_running_loop().create_future()
            await self.draining

    def on_drained(self) -> None:
        """Its client keeps up again."""
        if self.draining is not None and not self.draining.done():
            self.draining.set_result(None)


class Session:
    """One client."""

    def __init__(self, topics: Topics, wire: Wire) -> None:
        self.wire = wire
        self._topics = topics
        self._subscriptions: dict[str, Subscription] = {}
        self._malformed = 0

    @property
    def subscriptions(self) -> int:
        """Open now."""
        return len(self._subscriptions)

    def begin(self) -> None:
        """The client is connected."""
        bounds = {"subscriptions": limits.SUBSCRIPTIONS, "message": limits.MESSAGE}
        self.wire.send(frames.hello(self._topics.instance, self._topics.has_leader, bounds))
        self._topics.sessions[self] = None
        self._topics.on_sessions()

    def on_message(self, data: bytes) -> None:
        """The client said something."""
        try:
            request = read_request(data)
        except Malformed as failure:
            self.wire.send(frames.opening(failure.id), frames.error(failure.error))
            self._malformed += 1
            if self._malformed >= limits.MALFORMED:
                self.wire.close(POLICY, "too many messages that are not understood")
            return
        if isinstance(request, Ping):
            self.wire.send(frames.PONG)
        elif isinstance(request, Unsubscribe):
            self._end(request.id)
        else:
            self._subscribe(request)

    def _subscribe(self, asked: Subscribe) -> None:
        self._end(asked.id)
        try:
            if len(self._subscriptions) >= limits.SUBSCRIPTIONS:
                raise exhausted(
                    "TOO_MANY_SUBSCRIPTIONS",
                    f"{limits.SUBSCRIPTIONS} subscriptions are open on this connection, which "
                    "is the limit; end some",
                    limit=limits.SUBSCRIPTIONS,
                )
            subscription = Subscription(self, asked)
            self._subscriptions[asked.id] = subscription
            self._topics.subscribe(subscription, asked.resume)
        except QuorateError as error:
            self._subscriptions.pop(asked.id, None)
            self.wire.send(frames.opening(asked.id), frames.error(error))

    def _end(self, name: str) -> None:
        subscription = self._subscriptions.pop(name, None)
        if subscription is not None:
            self._topics.unsubscribe(subscription)

    def forget(self, subscription: Subscription) -> None:
        """It is over, by its own end."""
        if self._subscriptions.get(subscription.id) is subscription:
            del self._subscriptions[subscription.id]

    def on_drained(self) -> None:
        """The client keeps up again."""
        for subscription in list(self._subscriptions.values()):
            # One snapshot may have filled the connection again.
            if self.wire.keeps_up():
                self._topics.drained(subscription)

    def send_status(self, rest: bytes) -> None:
        """The leader was lost, or there is one again."""
        self.wire.send(frames.NOBODY, rest)

    def end(self) -> None:
        """The connection is closed."""
        self._topics.sessions.pop(self, None)
        for name in list(self._subscriptions):
            self._end(name)
        self._topics.on_sessions()
