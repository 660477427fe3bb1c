"""`/v1/live` as a part of the gateway: the WebSocket protocol for uvicorn, and its duty.

    uvicorn's `ws`   `Live.protocol`: upgrades of any path come here
    routes           a request to the path that is no upgrade gets 426
    duty             `Live.run`

`run` is the clock of all connections; it must run as long as connections are accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import grpc
import structlog
from prometheus_client.core import Metric
from starlette.datastructures import Headers as StarletteHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from websockets.datastructures import Headers

from gateway.auth.credentials import Access, CallerCluster, token_of, token_of_socket
from gateway.component import Context, Part
from gateway.http.edge import is_foreign
from gateway.http.hosts import Names
from gateway.http.hosts import rejection as foreign_host
from gateway.http.problems import HttpError, problem_response
from gateway.live import limits
from gateway.live.callers import Hubs
from gateway.live.client_connection import LiveProtocol, not_here, path_of
from gateway.live.cluster.calls import Cluster
from gateway.live.hub import Hub
from gateway.live.session import TRY_AGAIN
from gateway.oidc.sessions import Sessions
from gateway.oidc.signed_in import token_of_cookies
from quorate.telemetry.families import gauge

log = structlog.get_logger(__name__)

PATH: Final = "/v1/live"
_LOOK: Final = 0.5


class Live:
    """The live updates of one gateway. Made in its event loop.

    Args:
        cluster: how the cluster is called.
        instance: shows clients which gateway they have.
        origins: that may connect beside the gateway's own.
        root_path: prefix of a proxy in front.
        connections: at the same time.
        names: whose Host headers are answered.
        access: how credentials are treated.
        as_caller: the cluster as the owner of a token sees it; as `cluster` when left out.
        sessions: of signed-in browsers.
    """

    def __init__(
        self,
        cluster: Cluster,
        instance: str,
        *,
        origins: Sequence[str] = (),
        root_path: str = "",
        connections: int = limits.CONNECTIONS,
        names: Names = None,
        access: Access | None = None,
        as_caller: Callable[[str], Cluster] | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self._sessions = sessions
        self._access = access or Access()
        self.hubs = Hubs(lambda token: Hub(as_caller(token) if as_caller else cluster, instance))
        self._origins = tuple(origins)
        self._root_path = root_path
        self._most = connections
        self._names = names
        self._open: dict[LiveProtocol, None] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        """Answers requests to the path that are no upgrade."""
        return [Route(PATH, self._upgrade_required, include_in_schema=False)]

    async def _upgrade_required(self, request: Request) -> Response:
        self._access.check(token_of(request.headers.getlist("authorization")))
        return problem_response(
            HttpError(
                426,
                grpc.StatusCode.INVALID_ARGUMENT,
                "UPGRADE_REQUIRED",
                f"{PATH} is a WebSocket: connect with Upgrade: websocket",
                headers={"Upgrade": "websocket", "Connection": "Upgrade"},
            )
        )

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._open)

    @property
    def unread(self) -> int:
        """Bytes that wait for clients."""
        return sum(connection.unread for connection in self._open)

    def metrics(self) -> Iterable[Metric]:
        """For Prometheus."""
        subscribed = sum(session.subscriptions for hub in self.hubs for session in hub.sessions)
        return (
            gauge(
                "quorate_gateway_live_connections",
                "Clients that get live updates.",
                len(self._open),
            ),
            gauge(
                "quorate_gateway_live_subscriptions",
                "Subscriptions of the clients that get live updates.",
                subscribed,
            ),
            gauge(
                "quorate_gateway_live_unread_bytes",
                "Bytes of live updates that clients have not read yet.",
                self.unread,
            ),
        )

    def protocol(self, config: Any, server_state: Any, app_state: Any) -> LiveProtocol:
        """Make the protocol of one connection, as uvicorn asks for it."""
        return LiveProtocol(self, server_state)

    async def run(self) -> None:
        """The clock, until cancelled; then every connection and task is ended."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(_LOOK)
                now = loop.time()
                for connection in list(self._open):
                    connection.look(now)
                self._shed()
                await self.hubs.look(now)
        finally:
            for connection in list(self._open):
                connection.shutdown()
            await self.hubs.close()

    def _shed(self) -> None:
        """Close the connections with the most unread bytes until all together are in bounds."""
        unread = self.unread
        if unread <= limits.PENDING:
            return
        log.warning("live_shedding", unread=unread, connections=len(self._open))
        for connection in sorted(self._open, key=lambda one: one.unread, reverse=True):
            if unread <= limits.PENDING:
                return
            unread -= connection.unread
            connection.close(TRY_AGAIN, "the gateway holds too much that is not read")

    # -- for LiveProtocol

    def admit(self, target: str, headers: Headers) -> Hub:
        """The hub for a handshake. Raises HttpFault."""
        refused = self._rejection(target, headers)
        if refused is not None:
            raise refused
        token = token_of_socket(
            headers.get_all("Authorization"), headers.get_all("Sec-WebSocket-Protocol")
        )
        if not token:
            token = token_of_cookies(self._sessions, _starlette(headers))
        self._access.check(token)
        return self.hubs.of(token)

    def _rejection(self, target: str, headers: Headers) -> HttpError | None:
        if path_of(target, self._root_path) != PATH:
            return not_here(target)
        hosts = headers.get_all("Host")
        misdirected = foreign_host(hosts[0] if hosts else "", self._names)
        if misdirected is not None:
            return misdirected
        if is_foreign(_starlette(headers), self._origins):
            return HttpError(
                403,
                grpc.StatusCode.PERMISSION_DENIED,
                "FOREIGN_ORIGIN",
                "pages of this origin may not connect; see --cors-origins",
            )
        if len(self._open) >= self._most:
            return HttpError(
                503,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_CONNECTIONS",
                f"{self._most} clients are connected; at most {self._most} may be",
                metadata={"limit": str(self._most)},
                headers={"Retry-After": "1"},
            )
        return None

    def join(self, connection: LiveProtocol) -> None:
        """A client is connected."""
        self._open[connection] = None

    def leave(self, connection: LiveProtocol) -> None:
        """It is not any more."""
        self._open.pop(connection, None)


def _starlette(headers: Headers) -> StarletteHeaders:
    raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.raw_items()]
    return StarletteHeaders(raw=raw)


def live_part(context: Context) -> Part:
    """The part."""
    settings = context.settings
    access = Access.of(settings)
    live = Live(
        context.upstream,
        context.instance,
        origins=settings.origins,
        root_path=settings.root_path,
        connections=min(limits.CONNECTIONS, settings.max_connections),
        names=settings.host_names,
        access=access,
        as_caller=lambda token: CallerCluster(context.upstream, access.metadata(token)),
        sessions=context.sessions,
    )
    return Part("live", live.routes, [live.run], live.protocol, live.metrics)
