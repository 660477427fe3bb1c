"""What both kinds of consumers know of themselves."""

from __future__ import annotations

from typing import Protocol

from quorate.client.messages.consuming.ledger import Ledger
from quorate.client.messages.consuming.subscription import checked_prefetch


class Link(Protocol):
    """What it is read from: a `ConsumerLink` or an `AsyncConsumerLink`."""

    ledger: Ledger

    def change_prefetch(self, prefetch: int) -> None:
        """From now on."""


class ConsumerProperties:
    """A part of `Consumer` and `AsyncConsumer`."""

    link: Link

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self.link.ledger.subscription.queue

    @property
    def session(self) -> str:
        """Its session, which owns its exclusive queues."""
        return self.link.ledger.session

    @property
    def place(self) -> tuple[str, int, str]:
        """Session, number in it, and virtual host."""
        ledger = self.link.ledger
        return ledger.session, ledger.number, ledger.subscription.virtual_host

    @property
    def skipped(self) -> int:
        """Messages of a stream that were gone (too old, too many) before they could be read."""
        return self.link.ledger.skipped

    @property
    def prefetch(self) -> int:
        """Deliveries that may be unsettled at a time; assign another number to change it."""
        return self.link.ledger.prefetch

    @prefetch.setter
    def prefetch(self, prefetch: int) -> None:
        self.link.change_prefetch(checked_prefetch(prefetch))
