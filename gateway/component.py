"""What the gateway is composed of, and what every part is given.

A part is a factory `Context -> Part`, listed in `gateway.app.PARTS`. It brings routes (Starlette's,
HTTP and WebSocket) and duties: coroutines that run beside the server until they are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric
from starlette.routing import BaseRoute

from gateway.cluster.calls import Upstream
from gateway.config import GatewaySettings
from gateway.oidc.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Context:
    """What the parts share."""

    settings: GatewaySettings
    upstream: Upstream
    stopping: asyncio.Event
    """Set when the gateway begins to leave: what lasts (streams, sockets) ends itself then."""
    instance: str = ""
    """New at each start of the process."""
    sessions: Sessions | None = None
    """Of signed-in browsers; None where nobody signs in."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its routes are asked in order, behind those of the parts before it."""

    name: str
    routes: Sequence[BaseRoute]
    duties: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    websockets: Callable[..., asyncio.Protocol] | None = None
    """Makes the protocol of each connection that upgrades, as uvicorn's `ws`; one part has it."""
    metrics: Callable[[], Iterable[Metric]] = tuple
    """Its own metrics, at a scrape."""


PartFactory = Callable[[Context], Part]
