"""The proxy of one gateway: whose a request is, and what ends what takes too long.

Owns the services and their connections, the set of clients' connections, and one clock: instead of
a timer for each request, every `TICK` all connections' deadlines are looked at. Lives in one event
loop.

    proxy = Proxy(ProxyOptions())
    config = uvicorn.Config(app, http=proxy.protocol(HttpToolsProtocol), ...)
    tasks.create_task(proxy.run())
    proxy.replace(services)        # from gateway.cluster.service_view
"""

from __future__ import annotations

import asyncio
import random as random_module
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http.hosts import rejection as foreign_host
from gateway.proxy.balancing.balance import Random
from gateway.proxy.balancing.limits import retry_after
from gateway.proxy.balancing.services import ProxiedService, Services
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.downstream import Client
from gateway.proxy.exchange import Exchange
from gateway.proxy.http1.forwarded_headers import forwarded, passed
from gateway.proxy.http1.heads import MAX_TARGET, RequestHead
from gateway.proxy.http1.paths import ServicePath, decode, resolve, service_path, split_target
from gateway.proxy.http1.problems import Rejection, method_refused
from gateway.proxy.options import ProxyOptions
from gateway.proxy.routes import Routes
from quorate.v1 import service_pb2 as pb

log = structlog.get_logger(__name__)

# Seconds: how late a deadline is noticed.
TICK: Final = 0.1


class Proxy:
    """See the module.

    Args:
        random: uniform in [0, 1); for choices among instances.
    """

    def __init__(self, options: ProxyOptions, random: Random = random_module.random) -> None:
        self.options = options
        self.now: Callable[[], float] = asyncio.get_running_loop().time
        self.services = Services(options, random)
        self.routes = Routes(options, self.services.by_host)
        self.connections: set[ClientConnection] = set()
        self.malformed = 0
        """Requests that could not be read."""
        self._root = options.root_path.encode()
        self._ids = secrets.token_hex(8)
        self._mark = b"quorate-" + self._ids.encode()
        self._next_id = 0
        # Whether there has been a view: until then no name is known to be wrong.
        self._viewed = False
        self._most = options.connections

    # -- the view

    def replace(self, services: Iterable[pb.Service]) -> None:
        """The whole view, anew."""
        self._viewed = True
        self.services.replace(services, self.now())
        self.routes.on_changed()

    def apply(self, changed: Iterable[pb.Service], removed: Iterable[str]) -> None:
        """What changed in the view."""
        self.services.apply(changed, removed, self.now())
        self.routes.on_changed()

    # -- the server

    def protocol(self, base: type[HttpToolsProtocol]) -> type[asyncio.Protocol]:
        """What uvicorn's `http` setting takes; `base` serves what is not a service's."""
        proxy = self

        class Connection(ClientConnection):
            __slots__ = ()

            def __init__(
                self,
                config: Config,
                server_state: ServerState,
                app_state: dict[str, Any],
                _loop: asyncio.AbstractEventLoop | None = None,
            ) -> None:
                super().__init__(proxy, base, config, server_state, app_state)

        return Connection

    async def run(self) -> None:
        """The clock. Runs until cancelled; then ends all connections to instances."""
        try:
            while True:
                await asyncio.sleep(TICK)
                self.sweep()
        finally:
            await self.services.close()

    def sweep(self) -> None:
        """End what has taken too long."""
        now = self.now()
        for client in [client for client in self.connections if client.deadline <= now]:
            try:
                client.on_deadline()
            except Exception:
                # A bug met on one connection: the clock serves all of them and must go on.
                log.exception("connection_deadline_failed")
                client.abort()
        self.services.sweep(now)

    # -- requests

    def exchange_for(self, client: Client, head: RequestHead) -> Exchange | None:
        """The exchange of a service's request; None when it is the application's.

        Raises:
            Refusal: the path is not one, there is no such service, or it takes no more.
        """
        exchange = self._exchange_for(client, head)
        if exchange is None and head.service_worker:
            # The dashboard has none. A service's page beside it could make one of its scripts that.
            raise Rejection(403, "SERVICE_WORKER_REFUSED", "the gateway serves no service worker")
        return exchange

    def _exchange_for(self, client: Client, head: RequestHead) -> Exchange | None:
        target = head.target
        name = self.routes.service_of(head.host)
        if name is None and target[0] == 47 and b"services" not in target and b"%" not in target:
            # Nothing that could name a service, however it is spelled.
            return None
        path, query, authority = split_target(target)
        if authority is not None:
            name = self._absolute(head, authority)
        if path == b"*":
            return None
        prefix = b""
        if name is not None:
            service = self._service(name)
            path = resolve(decode(path))
            if self._root and path.startswith(self._root + b"/"):
                path, prefix = path[len(self._root) :], self._root
        else:
            try:
                path = decode(path)
            except Rejection:
                if b"services" in path:
                    raise
                return None  # the application has its own answer to this
            found = service_path(path, self._root)
            if found is None:
                return None
            service = self._at_path(head, found, query)
            prefix = self._root + b"/services/" + found.name
            path = found.path
        if head.method == b"TRACE":
            # It would show an instance's request headers; other paths have an answer of their own.
            raise method_refused("TRACE")
        if len(target) > MAX_TARGET:
            raise Rejection(
                414,
                "TARGET_TOO_LONG",
                f"the request target is longer than {MAX_TARGET} bytes",
                metadata={"limit": str(MAX_TARGET)},
            )
        # A loop takes no more of the service's limits than its first turn.
        way = passed(head, self._mark, service.key)
        self._admit(service)
        return Exchange(
            client,
            service,
            head,
            target=path + query,
            about=forwarded(
                head,
                peer=client.peer,
                proto=client.proto,
                prefix=prefix,
                trusted=self.options.trust_forwarded,
            )
            + way,
            request_id=head.request_id or self.new_request_id(),
            shares_origin=name is None,
        )

    def _absolute(self, head: RequestHead, authority: bytes) -> bytes | None:
        """The service of an absolute-form target (RFC 9112 section 3.2.2). Raises Refusal."""
        host, head.host = head.host, authority
        name = self.routes.service_of(authority)
        if name is None:
            self._check_own(authority)
            if host and self.options.hosts is None and host.lower() != authority.lower():
                raise Rejection(
                    421, "FOREIGN_HOST", "the authority of the request target differs from Host"
                )
        return name

    def _check_own(self, host: bytes) -> None:
        """Raises Refusal 421."""
        foreign = foreign_host(host.decode("latin-1"), self.options.hosts)
        if foreign is not None:
            raise Rejection(foreign.status, foreign.reason, foreign.message)

    def _service(self, name: bytes) -> ProxiedService:
        """The service of this name. Raises Refusal."""
        service = self.services.get(name)
        if service is not None:
            return service
        if not self._viewed:
            raise Rejection(
                503,
                "NO_VIEW",
                "this gateway has not loaded the list of services yet; try again",
                headers={"retry-after": "1"},
            )
        shown = name[:80].decode("ascii", "replace")
        raise Rejection(
            404,
            "SERVICE_NOT_FOUND",
            f"service {shown!r} does not exist",
            metadata={"service": shown},
        )

    def _at_path(self, head: RequestHead, found: ServicePath, query: bytes) -> ProxiedService:
        """The service at a path of the gateway, where that is asked for. Raises Refusal."""
        self._check_own(head.host)
        service = self._service(found.name)
        if not self.options.paths:
            address = self.routes.address_of(service.name, head.host)
            if address is None:
                raise Rejection(
                    404,
                    "SERVICE_PATHS_OFF",
                    "this gateway serves services at hosts of their own, not at paths: "
                    "see --service-domain, and --service-paths",
                    metadata={"service": service.name},
                )
            where = (self._root + (found.path or b"/") + query).decode("latin-1")
            raise Rejection(
                308,
                "SERVICE_HAS_ITS_HOST",
                f"the service is at {address}",
                metadata={"service": service.name},
                headers={"location": f"//{address}{where}"},
            )
        if not found.path:
            raise Rejection(
                308,
                "NEEDS_SLASH",
                "the path of the service's root ends with a slash",
                headers={"location": (found.name + b"/" + query).decode("latin-1")},
            )
        if head.service_worker:
            # It would answer for the dashboard, or for another service, in this browser.
            raise Rejection(
                403,
                "SERVICE_WORKER_REFUSED",
                "a service that shares the gateway's origin may not install a service worker",
                metadata={"service": service.name},
            )
        return service

    def is_crowded(self, connections: int, beyond: int = 0) -> bool:
        """Whether there are more connections than are served, and so many beyond them."""
        return self._most is not None and connections > self._most + beyond

    def crowded(self) -> Rejection:
        """For a request on a connection too many."""
        return Rejection(
            503,
            "TOO_MANY_CONNECTIONS",
            f"the gateway has {self._most} connections, which is the limit; try again later",
            metadata={"limit": str(self._most)},
            headers={"retry-after": "1"},
        )

    def _admit(self, service: ProxiedService) -> None:
        stats, policy = service.stats, service.policy
        stats.requests += 1
        about = {"service": service.name}
        rate = service.rate
        if rate is not None and (wait := rate.take(self.now())):
            stats.over_rate += 1
            stats.statuses[4] += 1
            raise Rejection(
                429,
                "RATE_LIMITED",
                f"the service takes at most {policy.rate_limit:g} requests per second; try "
                "again later",
                metadata={**about, "limit": f"{policy.rate_limit:g}"},
                headers={"retry-after": retry_after(wait)},
            )
        limit = policy.concurrency_limit
        if service.in_flight >= limit:
            stats.over_concurrency += 1
            stats.statuses[5] += 1
            raise Rejection(
                503,
                "TOO_MANY_IN_FLIGHT",
                f"{limit} requests of the service are in flight, which is the limit; try again "
                "later",
                metadata={**about, "limit": str(limit)},
                headers={"retry-after": "1"},
            )
        service.budget.request()

    def new_request_id(self) -> bytes:
        """One that no other request has, in any gateway."""
        self._next_id += 1
        return b"%b-%x" % (self._ids.encode(), self._next_id)

    # -- figures

    def snapshot(self) -> dict[str, Any]:
        """This gateway's own view and figures, as JSON. Its size is bounded by the view's."""
        now = self.now()
        return {
            "connections": len(self.connections),
            "malformed": self.malformed,
            "services": [service.snapshot(now) for service in self.services],
        }
