"""What a client's connection knows of the proxy (`proxy.Proxy`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gateway.proxy.downstream import Client
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.heads import RequestHead
from gateway.proxy.http1.problems import Rejection
from gateway.proxy.options import ProxyOptions


class Router(Protocol):
    """Decides whose a request is, and knows all connections: `proxy.Proxy`."""

    options: ProxyOptions
    now: Callable[[], float]
    connections: set[Any]
    """All connections of clients (`ClientConnection`)."""
    malformed: int
    """Requests that could not be read."""

    def exchange_for(self, client: Client, head: RequestHead) -> Exchange | None:
        """The exchange of a service's request; None when the application has it. Raises Refusal."""

    def is_crowded(self, connections: int, beyond: int = 0) -> bool:
        """Whether there are more connections than are served, and so many beyond them."""

    def crowded(self) -> Rejection:
        """The answer on a connection too many."""

    def new_request_id(self) -> bytes:
        """An id that no other request has, in any gateway."""
