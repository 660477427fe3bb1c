"""A small HTTP server for probes and Prometheus, beside a process's real ones.

| path | answers |
|---|---|
| `/livez` | 200 while the event loop turns |
| `/readyz` | 200, or 503 and why this process should get no requests just now |
| `/metrics` | the metrics, as Prometheus text or OpenMetrics, as `Accept` prefers |

Plain HTTP without authentication, on an address of its own: it changes nothing and tells no
payloads, but names of queues and services; keep it to the network of probes and Prometheus. With
an `owner` it answers that user's programs alone. On loopback it answers no Host but an address or
`localhost`: a page whose name was resolved anew to this machine (DNS rebinding) reads nothing.

Owned by the process's app, which starts and closes it. One request a connection. Bounds: a head of
`HEAD_BYTES`, `CONNECTIONS` at a time (more are closed at once), `SECONDS` for a request in all.
State is read on the event loop; the text is made in a thread, so that a scrape of thousands of
series does not hold the loop.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httptools
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from quorate.runtime.network.addresses import split_address
from quorate.runtime.process.startup import CannotStart
from quorate.security.exposure import is_address, is_loopback
from quorate.security.same_user import SameUser
from quorate.telemetry.process import Collector, LoopLag, registry_of

log = structlog.get_logger(__name__)

HEAD_BYTES: Final = 8192
CONNECTIONS: Final = 64
SECONDS: Final = 10.0

# Why a process is not ready; empty when it is.
Ready = Callable[[], Awaitable[str]]

_JSON: Final = "application/json"
_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    503: "Service Unavailable",
}


class HealthServer:
    """See the module.

    Args:
        listen: host:port; port 0 picks one. Empty: this object does nothing.
        component: `scheduler`, `node_agent` or `gateway`.
        collectors: read at each scrape.
        cluster: a label of every metric; empty for none.
        ready: says why the process is not ready; must not take longer than a probe waits (1 s).
        owner: whose programs are answered; None: everybody's.
    """

    def __init__(
        self,
        listen: str,
        component: str,
        *collectors: Collector,
        ready: Ready,
        cluster: str = "",
        owner: SameUser | None = None,
    ) -> None:
        self._listen = listen
        self._owner = owner
        self._local = False
        self._ready = ready
        self._cluster = cluster
        self._lag = LoopLag()
        self._registry = registry_of(component, self._lag, *collectors)
        self._server: asyncio.Server | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Serve from now on. Raises CannotStart when the address cannot be had."""
        if not self._listen:
            return
        host, port = split_address(self._listen, least_port=0)
        try:
            self._server = await asyncio.start_server(
                self._on_connection,
                host,
                port,
                limit=HEAD_BYTES,
                # Then a supervisor holds the port against other users.
                reuse_port=self._owner is not None,
            )
            self._local = is_loopback(host)
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {self._listen} (--health-listen): {error.strerror}"
            ) from error
        self._measuring = asyncio.create_task(self._lag.run(), name="loop lag")
        log.info("health_serving", address=self.address)

    @property
    def address(self) -> str:
        """Where it listens; empty while it does not."""
        if self._server is None:
            return ""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def close(self) -> None:
        """Stop. Idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        assert self._measuring is not None
        ended = [self._measuring, *self._serving]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._serving) >= CONNECTIONS:
            writer.transport.abort()
            return
        self._serving.add(task)
        try:
            async with asyncio.timeout(SECONDS):
                await self._serve(reader, writer)
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            # The client went, or was too slow, or said too much: nobody is owed an answer.
            writer.transport.abort()
        finally:
            self._serving.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = _Head()
        try:
            head.read(await reader.readuntil(b"\r\n\r\n"))
        except httptools.HttpParserError:
            status, kind, body = 400, _JSON, _rejection("this is not an HTTP/1.1 request")
        else:
            status, kind, body = await self._admitted(head, writer)
        writer.write(
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
            "\r\n".encode()
        )
        if head.method != "HEAD":
            writer.write(body)
        await writer.drain()

    async def _admitted(self, head: _Head, writer: asyncio.StreamWriter) -> tuple[int, str, bytes]:
        owner = self._owner
        ends = (writer.get_extra_info(name) for name in ("peername", "sockname"))
        if owner is not None and not owner.serves(*ends):
            return 403, _JSON, _rejection(owner.rejection().message)
        if self._local and not is_address(head.host):
            return 421, _JSON, _rejection("Host must be an address of this machine, or localhost")
        return await self._answer(head)

    async def _answer(self, head: _Head) -> tuple[int, str, bytes]:
        if head.method not in ("GET", "HEAD"):
            return 405, _JSON, _rejection("only GET and HEAD")
        if head.path == "/livez":
            # `quorate doctor` compares the clocks of processes by this.
            return 200, _JSON, json.dumps({"status": "ok", "time": time.time()}).encode()
        if head.path == "/readyz":
            why = await self._ready()
            if why:
                return 503, _JSON, json.dumps({"status": "not ready", "why": why}).encode()
            return 200, _JSON, b'{"status": "ready"}'
        if head.path == "/metrics":
            encode, kind = choose_encoder(head.accept)
            return 200, kind, await asyncio.to_thread(encode, _Read(self._registry, self._cluster))
        return 404, _JSON, _rejection("there are /livez, /readyz and /metrics")


class _Read:
    """What a registry said, for an encoder in another thread."""

    def __init__(self, registry: CollectorRegistry, cluster: str) -> None:
        self._families = list(registry.collect())
        self._cluster = cluster

    def collect(self) -> Any:
        """The families, with the label `cluster` first. Called in that thread."""
        for family in self._families:
            if self._cluster:
                family.samples = [
                    one._replace(labels={"cluster": self._cluster, **one.labels})
                    for one in family.samples
                ]
            yield family


class _Head:
    """A request's line and headers."""

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.accept = ""
        self.host = ""

    def read(self, data: bytes) -> None:
        """Raises HttpParserError."""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method().decode()

    def on_url(self, url: bytes) -> None:
        """For httptools."""
        self.path = url.decode("latin-1").partition("?")[0]

    def on_header(self, name: bytes, value: bytes) -> None:
        """For httptools."""
        if name.lower() == b"accept":
            self.accept = value.decode("latin-1")
        elif name.lower() == b"host":
            self.host = value.decode("latin-1")


def _rejection(message: str) -> bytes:
    return json.dumps({"error": message}).encode()
