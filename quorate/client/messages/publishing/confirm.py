"""What becomes of one message of a producer: a light future."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from quorate.runtime.errors import QuorateError


class Confirm:
    """The confirm of one message. It is settled by its producer's thread.

    All of a producer share one condition: a lock for each message would cost more than sending it.
    """

    __slots__ = ("_callbacks", "_changed", "_done", "_error")

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._done = False
        self._error: QuorateError | None = None
        self._callbacks: list[Callable[[Confirm], Any]] | None = None

    def done(self) -> bool:
        """Whether it is known what became of the message."""
        return self._done

    def result(self, timeout: float | None = None) -> None:
        """Wait until the message is durable, at most `timeout` seconds.

        Raises:
            MessageUnroutable: it was mandatory and reached no queue.
            MessageRejected: a queue refused it, or it is malformed; `reason` says why.
            QuorateError: UNAVAILABLE: nobody answered for `retry_for` seconds; it may be durable
                or not.
            TimeoutError: nothing is known yet.
        """
        if (error := self.exception(timeout)) is not None:
            raise error

    def exception(self, timeout: float | None = None) -> QuorateError | None:
        """As `result`, the error as a value; None: it is durable. Raises TimeoutError."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._done:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"the message was not confirmed within {timeout:g} s")
                self._changed.wait(left)
        return self._error

    def add_done_callback(self, callback: Callable[[Confirm], Any]) -> None:
        """Call `callback(self)` once it is done: at once if it is, else in the producer's thread.

        It must be short, and must not wait for another confirm of the producer. It may call `send`,
        which does not wait for room there. An exception that it raises in the producer's thread is
        logged.
        """
        with self._changed:
            if not self._done:
                self._callbacks = [*(self._callbacks or ()), callback]
                return
        callback(self)

    def settle(self, error: QuorateError | None) -> None:
        """Known now; the caller holds the condition and notifies it."""
        self._done, self._error = True, error

    def take_callbacks(self) -> list[Callable[[Confirm], Any]]:
        """Those that are to be called, once."""
        found, self._callbacks = self._callbacks, None
        return found or []
