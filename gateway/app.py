"""The gateway process: its parts composed into one app, served until SIGTERM.

SIGTERM: `/readyz` says no, the listener is closed, streams end themselves, requests under way may
finish within the grace, what is left then is cancelled; the process exits with 0.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway.amqp.component import amqp_part
from gateway.auth.credentials import Access
from gateway.auth.own_token import OwnToken
from gateway.cluster.calls import Upstream
from gateway.component import Context, Part, PartFactory
from gateway.config import GatewaySettings
from gateway.health import health_part, why_not_ready
from gateway.http import edge
from gateway.http.listener import bounded
from gateway.http.server import Server
from gateway.http.sub_path import SubPath
from gateway.live.endpoint import live_part
from gateway.metrics import GatewayMetrics, Measured
from gateway.oidc.cookies import Cookies
from gateway.oidc.sessions import Sessions
from gateway.oidc.settings import read_secret
from gateway.oidc.signed_in import SignedIn
from gateway.pages import pages_part
from gateway.proxy.component import proxy_part
from gateway.proxy.options import ProxyOptions
from gateway.proxy.proxy import Proxy
from gateway.rest import headers as h
from gateway.rest.routes import rest_part
from gateway.sign_in import sign_in_part
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import instance_id
from quorate.runtime.network.addresses import split_address
from quorate.runtime.process.startup import CannotStart
from quorate.security.tls.server import dialer_of, server_ssl_context
from quorate.telemetry.certificates import CertificateMetrics
from quorate.telemetry.server import HealthServer

log = structlog.get_logger(__name__)

# Asked in this order; what no part takes is 404.
PARTS: Final[tuple[PartFactory, ...]] = (
    *(health_part, sign_in_part, live_part, rest_part, pages_part),
)

_SENT: Final = (
    *("Accept", "Authorization", "Content-Type", h.LAST_EVENT_ID),
    *(h.TIMEOUT, h.GRPC_TIMEOUT, h.IDEMPOTENCY_KEY, h.IF_MATCH, h.IF_NONE_MATCH),
)
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def build_app(
    settings: GatewaySettings,
    parts: Sequence[Part],
    metrics: GatewayMetrics | None = None,
    sessions: Sessions | None = None,
) -> ASGIApp:
    """The ASGI app of some parts, with what holds for all of them around it; `metrics` counts."""
    inner = Starlette(
        routes=[route for part in parts for route in part.routes],
        exception_handlers={
            HTTPException: edge.on_http_exception,
            QuorateError: edge.on_rejection,
            Exception: edge.on_bug,
        },
    )
    # One path for each thing: a slash too many is 404, not a redirect.
    inner.router.redirect_slashes = False
    app: ASGIApp = inner if sessions is None else SignedIn(inner, sessions)
    app = edge.Edge(app, settings.origins, settings.host_names)
    if metrics is not None:
        app = Measured(app, metrics, parts)
    if settings.origins:
        app = CORSMiddleware(
            app,
            allow_origins=settings.origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=("ETag", "Retry-After", "Allow"),
            max_age=600,
        )
    return SubPath(app, settings.root_path)


def sessions_of(settings: GatewaySettings) -> Sessions | None:
    """Sessions of signed-in browsers as the settings have them."""
    if not settings.oidc_issuer:
        return None
    # It loads Authlib and httpx2.
    from gateway.oidc.provider import Provider

    secret = read_secret(settings.oidc_client_secret_file)
    cookies = Cookies(secret, settings.public_url)
    return Sessions(cookies, Provider(settings), settings.oidc_session)


async def serve(settings: GatewaySettings) -> None:
    """Run until SIGTERM or SIGINT. Raises CannotStart."""
    instance = instance_id()
    listening = _listen(settings.listen, settings)
    amqp = _listen(settings.amqp, settings) if settings.amqp else None
    management = None
    if settings.amqp_management:
        management = _listen(settings.amqp_management, settings)
    stopping = asyncio.Event()
    try:
        own_token = OwnToken(Path(settings.token_file)) if settings.token_file else None
    except ValueError as error:
        raise CannotStart(str(error)) from error
    upstream = Upstream(
        settings.addresses, dialer=dialer_of(settings.scheduler_tls), own_token=own_token
    )
    sessions = sessions_of(settings)
    context = Context(settings, upstream, stopping, instance, sessions)
    proxy = Proxy(
        ProxyOptions(
            root_path=settings.root_path,
            trust_forwarded=settings.trust_forwarded,
            labels=settings.label_map,
            hosts=settings.host_names,
            domain=settings.service_domain,
            paths=settings.service_paths,
            connections=settings.max_connections,
            head_timeout=settings.head_timeout,
            write_timeout=settings.write_timeout,
            owner=settings.owner,
            read_timeout=settings.read_timeout,
            half_closed=settings.half_closed_timeout,
        )
    )
    parts = [
        proxy_part(proxy, upstream, Access.of(settings)),
        amqp_part(context, amqp, management),
        *(make(context) for make in PARTS),
    ]
    metrics = GatewayMetrics(proxy, parts)
    probes = HealthServer(
        settings.health_listen,
        "gateway",
        metrics,
        CertificateMetrics(settings),
        ready=partial(_not_ready, context),
        cluster=settings.cluster,
        owner=settings.owner,
    )
    await probes.start()
    server = Server(
        uvicorn.Config(
            build_app(settings, parts, metrics, sessions),
            http=proxy.protocol(
                bounded(
                    # JSON is at most a third larger than what it holds; chunks add framing.
                    wire_bytes=(settings.max_body_kib << 10) * 2 + (1 << 20),
                    head_timeout=settings.head_timeout,
                    write_timeout=settings.write_timeout,
                )
            ),
            ws=cast("Any", next(part.websockets for part in parts if part.websockets)),
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_context_factory=(lambda *_: server_ssl_context(settings)) if settings.tls else None,
            timeout_graceful_shutdown=settings.grace,
        )
    )
    host = settings.listen.rpartition(":")[0]
    try:
        async with asyncio.TaskGroup() as tasks:
            # `_leave` owns the signals.
            duties = [
                tasks.create_task(duty(), name=part.name) for part in parts for duty in part.duties
            ]
            serving = tasks.create_task(server.serve(sockets=[listening]), name="serve")
            ending = tasks.create_task(_leave(server, stopping), name="leave")
            await server.up.wait()
            # Read by whoever started this process.
            port = listening.getsockname()[1]
            sys.stdout.write(f"gateway ready address={host}:{port} instance={instance}\n")
            sys.stdout.flush()
            await serving
            for task in (*duties, ending):
                task.cancel()
    finally:
        await probes.close()
        await upstream.close()


async def _not_ready(context: Context) -> str:
    why = await why_not_ready(context)
    return "" if why is None else why.message


async def _leave(server: uvicorn.Server, stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()
    log.info("shutting_down")
    server.should_exit = True


def _listen(where: str, settings: GatewaySettings) -> socket.socket:
    host, port = split_address(where, least_port=0)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotStart(f"cannot listen on {where}: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.same_user:
            # The supervisor holds the port against other users while nobody listens.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Inherited by connections: a client that vanished is noticed.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        listening.bind(address)
        listening.listen(2048)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).lower()
        raise CannotStart(f"cannot listen on {where}: {reason}") from None
    return listening
