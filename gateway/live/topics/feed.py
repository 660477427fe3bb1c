"""A feed: what all subscribers of one topic with equal filters get. No I/O.

Each subscriber is in one of three places:

    joining          what it missed is being fetched: it gets nothing yet
    awaits_snapshot  new, or its client fell behind: deltas pass it by until it gets a snapshot
    live             it has the state of the last flush, and gets each delta

A delta is encoded once; a subscriber whose client does not keep up costs the others nothing. The
feed holds nothing for it: what it gets when it is ready again is the state as it then is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import TimerHandle
from typing import Protocol

from quorate.runtime.errors import QuorateError


class Subscriber(Protocol):
    """One subscription of one client."""

    joining: bool
    awaits_snapshot: bool

    def ready(self) -> bool:
        """Whether its client keeps up."""

    def send(self, rest: bytes) -> None:
        """Send a message, without its opening."""

    def fail(self, error: QuorateError) -> None:
        """Tell why it is over."""


class Feed(ABC):
    """The subscribers of one topic and filter."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        # A dict for its order: first come, first served.
        self.subscribers: dict[Subscriber, None] = {}
        # Kept by `throttle.Throttle`.
        self.timer: TimerHandle | None = None
        self.flushed = float("-inf")

    @property
    @abstractmethod
    def loaded(self) -> bool:
        """Whether `snapshot` can be sent."""

    @abstractmethod
    def snapshot(self) -> bytes:
        """The state as of the last flush."""

    @abstractmethod
    def flush(self, now: float) -> bytes | None:
        """What changed since the last flush; None when there is nothing to send."""

    def besides(self) -> bytes | None:
        """What goes with each snapshot, as a message behind it; None: nothing."""
        return None

    def publish(self, now: float) -> None:
        """Flush, and send to every client that is live."""
        rest = self.flush(now)
        if rest is not None:
            self.notify(rest)

    def notify(self, rest: bytes) -> None:
        """Send to everybody who is live and ready; who is not ready gets a snapshot later."""
        for subscriber in self.subscribers:
            if subscriber.joining or subscriber.awaits_snapshot:
                continue
            if subscriber.ready():
                subscriber.send(rest)
            else:
                subscriber.awaits_snapshot = True

    def restart(self) -> None:
        """Nobody's state is good any more: all get a snapshot."""
        for subscriber in self.subscribers:
            subscriber.awaits_snapshot = True

    @property
    def followed(self) -> bool:
        """Whether anybody is live."""
        return any(not (s.joining or s.awaits_snapshot) for s in self.subscribers)

    @property
    def waited_for(self) -> bool:
        """Whether a snapshot would be sent at once."""
        return any(s.awaits_snapshot and not s.joining and s.ready() for s in self.subscribers)

    def serve(self) -> None:
        """Send the snapshot to those who wait for it and are ready. `loaded` must hold."""
        messages: list[bytes] = []
        for subscriber in self.subscribers:
            if subscriber.awaits_snapshot and not subscriber.joining and subscriber.ready():
                if not messages:
                    besides = self.besides()
                    messages = [self.snapshot(), *([] if besides is None else [besides])]
                subscriber.awaits_snapshot = False
                for rest in messages:
                    subscriber.send(rest)

    def fail(self, error: QuorateError) -> None:
        """All subscriptions are over."""
        subscribers, self.subscribers = self.subscribers, {}
        for subscriber in subscribers:
            subscriber.fail(error)
