"""The AMQP 0-9-1 door as a part of the gateway: its listeners, and the end of its connections."""

from __future__ import annotations

import asyncio
import itertools
import socket
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

import quorate
from gateway.amqp.client_connection import ClientConnection
from gateway.amqp.hall import Counts, Hall
from gateway.amqp.management.server import serve_management
from gateway.amqp.metrics import metrics
from gateway.auth.credentials import Access
from gateway.component import Context, Part
from quorate.security.tls.server import server_ssl_context

log = structlog.get_logger(__name__)

# Seconds for connections to say goodbye; and for what they published to become durable.
_GOODBYE: Final = 1.0
_LEAVE: Final = 5.0
# Handshakes of TLS that are not done within this are ended.
_TLS: Final = 10.0


def amqp_part(
    context: Context, listening: socket.socket | None, management: socket.socket | None
) -> Part:
    """See gateway.component. `listening`, `management`: None: the door is off."""
    settings = context.settings
    hall = Hall(
        upstream=context.upstream,
        access=Access.of(settings),
        instance=context.instance,
        version=quorate.__version__,
        most=settings.max_connections,
        owner=settings.owner,
        counts=Counts(),
        connections={},
        tasks=set(),
        numbers=itertools.count(1),
    )
    duties = []
    if listening is not None:
        duties.append(partial(_serve, context, hall, listening))
    if management is not None:
        duties.append(partial(serve_management, context, hall, management))
    return Part("amqp", (), duties, metrics=partial(metrics, hall))


async def _serve(context: Context, hall: Hall, listening: socket.socket) -> None:
    """Until the gateway leaves."""
    settings = context.settings
    tls = server_ssl_context(settings) if settings.tls else None
    server = await asyncio.get_running_loop().create_server(
        lambda: ClientConnection(hall),
        sock=listening,
        ssl=tls,
        ssl_handshake_timeout=_TLS if tls is not None else None,
    )
    try:
        await context.stopping.wait()
    finally:
        server.close()
        await _end(hall)


async def _end(hall: Hall) -> None:
    for connection in list(hall.connections):
        connection.shut_down()
    if hall.connections:
        ending = [connection.gone.wait() for connection in hall.connections]
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await asyncio.gather(*ending)
    for connection in list(hall.connections):
        connection.abort()
    # Those of connections that end now begin when their sockets are closed.
    await asyncio.sleep(0)
    if hall.tasks:
        await asyncio.wait(tuple(hall.tasks), timeout=_LEAVE)
    for task in tuple(hall.tasks):
        task.cancel()
    if hall.tasks:
        await asyncio.wait(tuple(hall.tasks))
