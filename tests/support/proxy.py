"""A gateway's proxy in this process, raw instances behind it, and a raw client before it.

Everything is on real sockets of 127.0.0.1 and speaks bytes, so that tests can send what no HTTP
library would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.proxy.options import ProxyOptions
from gateway.proxy.proxy import Proxy
from quorate.v1 import service_pb2 as pb

HEALTHY = pb.INSTANCE_STATE_HEALTHY
DEADLINE = 60.0
BACKLOG = 2_048
# What the tests' requests call the gateway.
OWN_NAMES = frozenset(("g", "gateway", "x"))


class Received:
    """One request as an instance read it."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body
        lines = head.split(b"\r\n")
        self.line = lines[0]
        self.headers = [
            (name.lower().decode(), value.strip().decode())
            for name, _, value in (line.partition(b":") for line in lines[1:])
        ]

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def one(self, name: str) -> str:
        values = self.all(name)
        assert len(values) == 1, (name, values)
        return values[0]


Handler = Callable[
    ["FakeInstance", Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]
]


def ok(body: bytes, *lines: bytes) -> bytes:
    head = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def say_name(
    instance: FakeInstance,
    request: Received,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    writer.write(ok(b"" if request.line.startswith(b"HEAD") else instance.name.encode()))


class FakeInstance:
    """A server that reads well-formed requests and answers them as its handler wants."""

    def __init__(self, name: str, handler: Handler = say_name, *, read_body: bool = True) -> None:
        self.name = name
        self.handler = handler
        self.read_body = read_body
        self.received: list[Received] = []
        self.connections = 0
        self.state = HEALTHY
        self.weight = 1
        self.labels: dict[str, str] = {}
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> FakeInstance:
        # Longer than any test's burst: once an accept queue is full the kernel drops connections,
        # and may keep some whose other end is long gone.
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Like SIGKILL: nothing listens, and connections are reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # by `stop`; asyncio's own callback does not expect it
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            request = Received(head, b"")
            if self.read_body:
                request.body = await read_body(request, reader)
            self.received.append(request)
            await self.handler(self, request, reader, writer)
            await writer.drain()
            if writer.is_closing():
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
                return


async def read_body(message: Received, reader: asyncio.StreamReader) -> bytes:
    if message.all("transfer-encoding"):
        parts = []
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            parts.append(await reader.readexactly(size))
            assert await reader.readexactly(2) == b"\r\n"
        assert await reader.readexactly(2) == b"\r\n"
        return b"".join(parts)
    lengths = message.all("content-length")
    return await reader.readexactly(int(lengths[0])) if lengths else b""


class Answer(Received):
    """An answer as a client read it."""

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Of a problem."""
        assert self.one("content-type") == "application/problem+json"
        assert self.json["status"] == self.status
        reason: str = self.json["reason"]
        return reason


class RawClient:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, head: bool = False) -> Answer:
        """The next answer, whole."""
        async with asyncio.timeout(DEADLINE):
            raw = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
            answer = Answer(raw, b"")
            if head or answer.status < 200 or answer.status in (204, 304):
                return answer
            if answer.all("transfer-encoding") or answer.all("content-length"):
                answer.body = await read_body(answer, self.reader)
            else:
                answer.body = await self.reader.read()
            return answer

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readexactly(size)

    async def ended(self) -> bytes:
        """What comes until the connection ends, however it does."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def get(self, path: str, *lines: str, method: str = "GET") -> Answer:
        extra = "".join(f"{line}\r\n" for line in lines)
        self.send(f"{method} {path} HTTP/1.1\r\nHost: gateway\r\n{extra}\r\n".encode())
        return await self.answer(head=method == "HEAD")


async def tiny_app(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the front: echoes bodies, and WebSocket messages."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    body, more = b"", True
    if scope["path"] != "/early":
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
    text = f"app {scope['method']} {scope['path']} ".encode() + body
    length = str(len(text)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", length)],
        }
    )
    await send({"type": "http.response.body", "body": text})


class ProxyBench:
    """The proxy, its services, its clients. Use `proxy_bench`."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        self.port = port
        self._instances: list[FakeInstance] = []
        self._services: dict[str, tuple[pb.ServiceSpec, list[FakeInstance]]] = {}
        self._clients: list[RawClient] = []

    async def instance(
        self, name: str, handler: Handler = say_name, **options: Any
    ) -> FakeInstance:
        instance = FakeInstance(name, handler, **options)
        self._instances.append(instance)
        return await instance.start()

    def service(self, name: str, *instances: FakeInstance, **policy: Any) -> None:
        """Put a service into the view, or change it."""
        spec = pb.ServiceSpec(proxy=pb.ProxyPolicy(**policy))
        self._services[name] = (spec, list(instances))
        self.publish()

    def publish(self) -> None:
        """Show the view as it is now."""
        self.proxy.replace(
            pb.Service(
                name=name,
                spec=spec,
                instances=[
                    pb.ServiceInstance(
                        service=name,
                        id=one.name,
                        address=f"127.0.0.1:{one.port}",
                        state=one.state,
                        weight=one.weight,
                        labels=one.labels,
                    )
                    for one in instances
                ],
            )
            for name, (spec, instances) in self._services.items()
        )

    async def client(self) -> RawClient:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = RawClient(reader, writer)
        self._clients.append(client)
        return client

    async def get(self, path: str, *lines: str, method: str = "GET") -> Answer:
        """On a connection of its own."""
        client = await self.client()
        answer = await client.get(path, *lines, method=method)
        client.writer.close()
        return answer

    async def raw(self, data: bytes) -> Answer:
        """What these bytes are answered with, on a connection of their own."""
        client = await self.client()
        client.send(data)
        return await client.answer()

    def figures(self, service: str) -> Any:
        return next(one for one in self.proxy.snapshot()["services"] if one["name"] == service)

    async def close(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()
        for instance in self._instances:
            await instance.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition of this process."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def proxy_bench(**options: Any) -> AsyncIterator[ProxyBench]:
    """A running proxy with `tiny_app` as its application; it also serves services at paths."""
    proxy = Proxy(ProxyOptions(**{"hosts": OWN_NAMES, "paths": True, **options}))
    config = uvicorn.Config(tiny_app, http=proxy.protocol(HttpToolsProtocol), log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: config.http_protocol_class(config, state, {}),  # type: ignore[call-arg]
        "127.0.0.1",
        0,
    )
    clock = loop.create_task(proxy.run())
    bench = ProxyBench(proxy, server.sockets[0].getsockname()[1])
    try:
        yield bench
    finally:
        await bench.close()
        server.close()
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock
        await until(lambda: not proxy.connections)
