"""The producers and consumers of one client, so that closing the client closes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc

from quorate.runtime.errors import QuorateError


class OpenStreams:
    """What is open of one client. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Held while one is made, which takes a while.
        self._making = threading.Lock()
        self._open: dict[int, Any] = {}
        # Of request and reply, by virtual host.
        self._requesters: dict[str, Any] = {}

    def add(self, stream: Any) -> None:
        """It is closed with the client."""
        with self._lock:
            self._open[id(stream)] = stream

    def discard(self, stream: Any) -> None:
        """It is closed."""
        with self._lock:
            self._open.pop(id(stream), None)

    def requester(self, virtual_host: str, make: Callable[[], Any]) -> Any:
        """The one of a virtual host; another one when it has failed."""
        with self._making:
            found = self._requesters.get(virtual_host)
            if found is None or found.failed:
                found = self._requesters[virtual_host] = make()
            return found

    def take(self) -> list[Any]:
        """All of them: they are the caller's to close."""
        with self._lock:
            found = list(self._open.values())
            self._open.clear()
        return found


def closed(what: str) -> QuorateError:
    """The error of what is used, or waits, when it is closed."""
    return QuorateError(
        grpc.StatusCode.CANCELLED, f"{what.upper()}_CLOSED", f"this {what} is closed"
    )
