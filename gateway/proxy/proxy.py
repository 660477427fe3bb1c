"""The proxy of one gateway: whose a request is, and what ends what takes too long.

Owns the services and their connections, the set of clients' connections, and one clock: instead of
a timer for each request, every `TICK` all connections' deadlines are looked at. Lives in one event
loop.

    proxy = Proxy(ProxyOptions())
    config = uvicorn.Config(app, http=proxy.protocol(HttpToolsProtocol), ...)
    tasks.create_task(proxy.run())
    proxy.replace(services)        # from gateway.view
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

from gateway.hosts import is_own
from gateway.hosts import refusal as foreign_host
from gateway.proxy.balance import Random
from gateway.proxy.exchange import Exchange
from gateway.proxy.forward import forwarded, passed
from gateway.proxy.front import Front
from gateway.proxy.limits import RateLimit, retry_after
from gateway.proxy.options import ProxyOptions
from gateway.proxy.paths import decode, resolve, service_path, split_target
from gateway.proxy.problems import Refusal, method_refused
from gateway.proxy.services import ProxiedService, Services
from gateway.proxy.wire import MAX_TARGET, RequestHead
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
        self.fronts: set[Front] = set()
        self.malformed = 0
        """Requests that could not be read."""
        self._root = options.root_path.encode()
        self._ids = secrets.token_hex(8)
        self._mark = b"quorate-" + self._ids.encode()
        self._next_id = 0
        # Whether there has been a view: until then no name is known to be wrong.
        self._viewed = False
        # Connections beyond which any request gets 503; set by `protocol`.
        self._most: int | None = None

    # -- the view

    def replace(self, services: Iterable[pb.Service]) -> None:
        """The whole view, anew."""
        self._viewed = True
        self.services.replace(services, self.now())

    def apply(self, changed: Iterable[pb.Service], removed: Iterable[str]) -> None:
        """What changed in the view."""
        self.services.apply(changed, removed, self.now())

    # -- the server

    def protocol(self, base: type[HttpToolsProtocol]) -> type[asyncio.Protocol]:
        """What uvicorn's `http` setting takes; `base` serves what is not a service's."""
        proxy = self

        class Connection(Front):
            __slots__ = ()

            def __init__(
                self,
                config: Config,
                server_state: ServerState,
                app_state: dict[str, Any],
                _loop: asyncio.AbstractEventLoop | None = None,
            ) -> None:
                proxy._most = config.limit_concurrency
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
        for front in [front for front in self.fronts if front.deadline <= now]:
            try:
                front.on_deadline()
            except Exception:
                # A bug met on one connection: the clock serves all of them and must go on.
                log.exception("a connection's deadline failed")
                front.abort()
        self.services.sweep(now)

    # -- requests

    def exchange_for(self, front: Front, head: RequestHead) -> Exchange | None:
        """The exchange of a service's request; None when it is the application's.

        Raises:
            Refusal: the path is not one, there is no such service, or it takes no more.
        """
        target = head.target
        services = self.services
        if not services.by_host and b"services" not in target and b"%" not in target:
            # Nothing that could name a service, however it is spelled.
            return None
        path, query, authority = split_target(target)
        if authority is not None:
            # RFC 9112 section 3.2.2: whatever Host says.
            head.host = authority
        host = _hostname(head.host)
        service = services.by_host.get(host) if services.by_host else None
        if service is not None and not is_own(host, self.options.hosts):
            if path == b"*":
                return None
            path, prefix = resolve(decode(path)), self._root
            if self._root and path.startswith(self._root + b"/"):
                path = path[len(self._root) :]
            else:
                prefix = b""
        else:
            if path == b"*":
                return None
            try:
                path = decode(path)
            except Refusal:
                if b"services" in path:
                    raise
                return None  # the application has its own answer to this
            found = service_path(path, self._root)
            if found is None:
                return None
            foreign = foreign_host(head.host.decode("latin-1"), self.options.hosts)
            if foreign is not None:
                raise Refusal(foreign.status, foreign.reason, foreign.message)
            service = services.get(found.name)
            if service is None and not self._viewed:
                raise Refusal(
                    503,
                    "NO_VIEW",
                    "this gateway has not learned yet which services there are",
                    headers={"retry-after": "1"},
                )
            if service is None:
                raise Refusal(
                    404,
                    "SERVICE_NOT_FOUND",
                    f"service {found.name.decode()!r} does not exist",
                    metadata={"service": found.name.decode()},
                )
            if not found.path:
                raise Refusal(
                    308,
                    "NEEDS_SLASH",
                    "the service's root ends with a slash",
                    headers={"location": (found.name + b"/" + query).decode("latin-1")},
                )
            prefix = self._root + b"/services/" + found.name
            path = found.path
        if head.method == b"TRACE":
            # It would show an instance's request headers; other paths have an answer of their own.
            raise method_refused("TRACE")
        if len(target) > MAX_TARGET:
            raise Refusal(
                414,
                "TARGET_TOO_LONG",
                f"the request target is longer than {MAX_TARGET} bytes",
                metadata={"limit": str(MAX_TARGET)},
            )
        # A loop takes no more of the service's limits than its first turn.
        way = passed(head, self._mark, service.key)
        self._admit(service)
        return Exchange(
            front,
            service,
            head,
            target=path + query,
            about=forwarded(
                head,
                peer=front.peer,
                proto=front.proto,
                prefix=prefix,
                trusted=self.options.trust_forwarded,
            )
            + way,
            request_id=head.request_id or self.new_request_id(),
        )

    def is_crowded(self, connections: int, beyond: int = 0) -> bool:
        """Whether there are more connections than are served, and so many beyond them."""
        return self._most is not None and connections > self._most + beyond

    def crowded(self) -> Refusal:
        """For a request on a connection too many."""
        return Refusal(
            503,
            "TOO_MANY_CONNECTIONS",
            f"the gateway has more than {self._most} connections",
            metadata={"limit": str(self._most)},
            headers={"retry-after": "1"},
        )

    def _admit(self, service: ProxiedService) -> None:
        stats, policy = service.stats, service.policy
        stats.requests += 1
        about = {"service": service.name}
        rate: RateLimit | None = service.rate
        if rate is not None and (wait := rate.take(self.now())):
            stats.over_rate += 1
            stats.statuses[4] += 1
            raise Refusal(
                429,
                "RATE_LIMITED",
                f"more than {policy.rate_limit:g} requests a second",
                metadata={**about, "limit": f"{policy.rate_limit:g}"},
                headers={"retry-after": retry_after(wait)},
            )
        limit = policy.concurrency_limit
        if service.in_flight >= limit:
            stats.over_concurrency += 1
            stats.statuses[5] += 1
            raise Refusal(
                503,
                "TOO_MANY_IN_FLIGHT",
                f"{limit} requests of the service are in flight",
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
            "connections": len(self.fronts),
            "malformed": self.malformed,
            "services": [service.snapshot(now) for service in self.services],
        }


def _hostname(host: bytes) -> bytes:
    """Lower-case, without a port."""
    if host[:1] == b"[":
        return host.partition(b"]")[0].lower() + b"]"
    return host.partition(b":")[0].lower()
