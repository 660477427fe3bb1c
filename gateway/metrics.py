"""The metrics of a gateway: requests by route, live connections, and what the proxy does.

A route is the template of an API's path (`/v1/tasks/{id}`), so the number of series is that of the
API; what no route takes is `none`. The proxy's figures are labelled with the service; services
beyond `labels.MOST` are added up under `other`. Those of a service that was deleted are gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client.core import HistogramMetricFamily, Metric
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.component import Part
from gateway.proxy.balancing.stats import BOUNDS
from gateway.proxy.proxy import Proxy
from gateway.rest.routes import STATE
from quorate.telemetry.buckets import add_histogram
from quorate.telemetry.calls import CallMetrics
from quorate.telemetry.families import counter, counters, gauge, gauges
from quorate.telemetry.labels import Bounded

NO_ROUTE: Final = "none"


class GatewayMetrics:
    """One gateway's metrics; a collector for prometheus_client.

    Args:
        parts: their own metrics are collected too.
    """

    def __init__(self, proxy: Proxy, parts: Sequence[Part]) -> None:
        self._calls = CallMetrics(
            "quorate_gateway",
            "route",
            "Requests to the gateway itself",
            until="the headers of the response",
            follows=False,
        )
        self._under_way = 0
        self._proxy = proxy
        self._parts = parts

    def began(self) -> None:
        """A request came."""
        self._under_way += 1

    def ended(self, route: str, status: int, seconds: float | None) -> None:
        """It is over: `status` 0 when it got no answer, `seconds` until the answer's head."""
        self._under_way -= 1
        # Without an answer: its client went away first. 499 is what nginx calls that.
        self._calls.count(route, str(status or 499), seconds)

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield gauge(
            "quorate_gateway_connections",
            "Open connections of clients.",
            len(self._proxy.connections),
        )
        yield counter(
            "quorate_gateway_malformed", "Requests that could not be parsed.", self._proxy.malformed
        )
        yield gauge(
            "quorate_gateway_requests_under_way",
            "Requests to the gateway itself that are open, streams included.",
            self._under_way,
        )
        yield from self._calls.collect()
        for part in self._parts:
            yield from part.metrics()
        yield from _proxied(self._proxy)


class Measured:
    """Counts each request by its route, with the time until the head of its answer."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, parts: Sequence[Part]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = {
            route.endpoint: route.path
            for part in parts
            for route in part.routes
            if isinstance(route, Route)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._metrics.began()
        start = time.perf_counter()
        status, seconds = 0, None

        async def send_on(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - start
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            self._metrics.ended(_route(scope, self._paths), status, seconds)


def _route(scope: Scope, paths: Mapping[Callable[..., Any], str]) -> str:
    """Which route took a request: the router left word of that in the scope."""
    match = scope.get(STATE)
    if match is not None:
        return str(next(iter(match.operations.values())).template.text)
    return paths.get(scope.get("endpoint"), NO_ROUTE)  # type: ignore[arg-type]


def _proxied(proxy: Proxy) -> Iterator[Metric]:
    now = proxy.now()
    services = list(proxy.services)
    shown = Bounded(service.name for service in services)
    answers: dict[tuple[str, str], int] = {}
    retries: dict[str, int] = {}
    ejections: dict[str, int] = {}
    refused: dict[tuple[str, str], int] = {}
    states: dict[tuple[str, str], int] = {}
    buckets: dict[str, list[int]] = {}
    totals: dict[str, float] = {}
    for service in services:
        name, stats = shown(service.name), service.stats
        for kind in range(1, 6):
            _add(answers, (name, f"{kind}xx"), stats.statuses[kind])
        _add(retries, name, stats.retries)
        _add(ejections, name, stats.ejections)
        for why in ("over_rate", "over_concurrency", "no_instance"):
            _add(refused, (name, why), getattr(stats, why))
        for instance in service.instances.values():
            ejected = instance.ejection.active(now)
            state = "ejected" if ejected else "healthy" if instance.healthy else "unhealthy"
            _add(states, (name, state), 1)
        known = buckets.setdefault(name, [0] * (len(BOUNDS) + 1))
        buckets[name] = [a + b for a, b in zip(known, stats.latencies.buckets, strict=True)]
        totals[name] = totals.get(name, 0.0) + stats.latencies.total
    yield counters(
        "quorate_proxy_requests",
        "Requests to services, by class of the status code.",
        ("service", "code"),
        answers,
    )
    yield counters(
        "quorate_proxy_retries",
        "Tries of requests to services after the first try.",
        ("service",),
        retries,
    )
    yield counters(
        "quorate_proxy_ejections",
        "Times that an instance was left out for a while because requests to it failed.",
        ("service",),
        ejections,
    )
    yield counters(
        "quorate_proxy_refused",
        "Requests to services that were sent to no instance, by reason.",
        ("service", "reason"),
        refused,
    )
    yield gauges(
        "quorate_proxy_instances",
        "Instances of services, by state as this gateway sees it.",
        ("service", "state"),
        states,
    )
    took = HistogramMetricFamily(
        "quorate_proxy_request_seconds",
        "Time from the headers of a request to a service to the headers of the response.",
        labels=("service",),
    )
    for name, counts in buckets.items():
        add_histogram(took, (name,), BOUNDS, counts, totals[name])
    yield took


def _add(sums: dict[Any, int], key: object, count: int) -> None:
    sums[key] = sums.get(key, 0) + count
