"""The management API's own port: uvicorn with the bounds of the gateway's other one.

| bound | beyond it |
|---|---|
| connections | closed at once |
| requests, with those whose connection is gone | 503 |
| bytes of one request, head included | closed |
| seconds for a head to arrive, and for the client to take the answer | closed |
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final, cast

import structlog
import uvicorn

from gateway.amqp.hall import Hall
from gateway.amqp.management.api import ManagementApi
from gateway.amqp.management.views import Shared
from gateway.component import Context
from gateway.http.edge import Edge
from gateway.http.listener import HEAD_BYTES, BoundedHttp, bounded
from gateway.http.server import Server
from quorate.security.tls.server import server_ssl_context

log = structlog.get_logger(__name__)

MOST_CONNECTIONS: Final = 256
# Seconds that requests get to finish when the gateway ends.
_GRACE: Final = 2


async def serve_management(context: Context, hall: Hall, listening: socket.socket) -> None:
    """Until the gateway leaves."""
    settings = context.settings
    http = bounded(
        wire_bytes=2 * HEAD_BYTES,
        head_timeout=settings.head_timeout,
        write_timeout=settings.write_timeout,
    )
    server = Server(
        uvicorn.Config(
            # A page whose name was resolved anew to this machine must not read it; other pages
            # have no use for it, as they are not shown the answers.
            Edge(ManagementApi(Shared(hall)), (), settings.host_names, reads=False),
            http=guarded(http, hall),
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # uvicorn refuses at so many connections, too: all that are served are below it.
            limit_concurrency=MOST_CONNECTIONS + 1,
            ssl_context_factory=(lambda *_: server_ssl_context(settings)) if settings.tls else None,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(_end(server, context.stopping))
        await server.serve(sockets=[listening])
        ending.cancel()


async def _end(server: Server, stopping: asyncio.Event) -> None:
    await stopping.wait()
    server.should_exit = True


def guarded(base: type[BoundedHttp], hall: Hall) -> type[BoundedHttp]:
    """The protocol, which serves at most so many, and those whom the gateway serves."""

    class Guarded(base):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            name, owner = transport.get_extra_info, hall.owner
            if len(self.connections) > MOST_CONNECTIONS:
                log.warning("amqp_management_too_many_connections", limit=MOST_CONNECTIONS)
                transport.abort()
            elif owner is not None and not owner.serves(name("peername"), name("sockname")):
                log.warning("amqp_management_other_user_refused")
                transport.abort()

    return cast("type[BoundedHttp]", Guarded)
