"""One stream of a consumer: what it sends, and who gets what it brings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

from quorate.client.messages.consuming.ledger import Ledger
from quorate.v1 import broker_pb2 as pb


class Streamed(Protocol):
    """What a stream needs of its consumer."""

    ledger: Ledger
    closing: bool
    call: Any

    @property
    def changed(self) -> threading.Condition: ...
    @property
    def is_paused(self) -> bool: ...
    def on_answer(self, answer: pb.ConsumeResponse) -> None: ...


class ConsumerStream:
    """One stream; see `stream.Owner`."""

    def __init__(self, consumer: Streamed) -> None:
        self._consumer = consumer
        self._changed, self._ledger = consumer.changed, consumer.ledger
        self._over = False
        self.on_answer = consumer.on_answer

    @property
    def closing(self) -> bool:
        return self._consumer.closing

    def opened(self, call: Any) -> None:
        self._consumer.call = call

    def requests(self) -> Iterator[pb.ConsumeRequest]:
        with self._changed:
            opening = self._ledger.opening(time.monotonic())
        yield opening
        while True:
            with self._changed:
                while not (self._over or self._ledger.has_requests):
                    self._changed.wait()
                if self._over:
                    return
                requests = list(self._ledger.requests(time.monotonic()))
                # `close` waits for this.
                self._changed.notify_all()
            yield from requests

    def over(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def is_dead(self) -> bool:
        with self._changed:
            dead = self._ledger.is_dead(time.monotonic(), paused=self._consumer.is_paused)
            self._changed.notify_all()
            return dead
