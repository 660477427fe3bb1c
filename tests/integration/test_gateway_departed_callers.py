"""What callers leave behind: nothing, however they go; and the gateway leaves whoever is there."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time

import grpc
import psutil

from quorate.runtime.network.free_port import free_port
from quorate.v1 import service_pb2 as pb
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until
from tests.support.gateway import run_gateway
from tests.support.proxy import proxy_bench, until

ROUNDS = 500
LONG = ("long poll", "NDJSON", "SSE")
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}"


class Silent(grpc.GenericRpcHandler):
    """A scheduler that takes long calls, counts them, and never ends one by itself."""

    def __init__(self):
        self.calls = 0
        self.services = []

    def service(self, details):
        kind = details.method.rpartition("/")[2]
        if kind == "WaitTask":
            return grpc.unary_unary_rpc_method_handler(self._wait)
        if kind == "WatchTasks":
            return grpc.unary_stream_rpc_method_handler(self._watch)
        if kind == "WatchServices":
            return grpc.unary_stream_rpc_method_handler(self._view)
        return None

    async def _view(self, request, context):
        view = pb.WatchServicesResponse(services=self.services, snapshot_complete=True)
        yield view.SerializeToString()
        await asyncio.get_running_loop().create_future()

    async def _wait(self, request, context):
        self.calls += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.calls -= 1

    async def _watch(self, request, context):
        yield b""
        await self._wait(request, context)


@contextlib.asynccontextmanager
async def silent(port=0):
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    scheduler = Silent()
    server.add_generic_rpc_handlers((scheduler,))
    address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield scheduler, address
    finally:
        await server.stop(None)


def requests():
    """What is under way when its caller goes, by kind."""
    post = "POST /v1/queues/default/tasks HTTP/1.1\r\nHost: localhost\r\n"
    return {
        "half a head": "GET /v1/tasks HTTP/1.1\r\nHos",
        "half a body": f"{post}Content-Length: 100\r\n\r\n{{",
        "half a chunk": f"{post}Transfer-Encoding: chunked\r\n\r\nff\r\n{{",
        "long poll": "GET /v1/tasks/x:wait?timeout=600s HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "NDJSON": "GET /v1/tasks:watch HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "SSE": "GET /v1/tasks:watch HTTP/1.1\r\nHost: [::1]\r\nAccept: text/event-stream\r\n\r\n",
        "answer not read": "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
        "handshake": f"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n",
        "bad handshake": f"GET /v1/other HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n",
    }


def subscription(number):
    """A frame of a client, masked with zeros: each caller's filter is another one."""
    text = json.dumps(
        {"op": "subscribe", "id": "a", "topic": "tasks", "filter": {"labels": {"a": f"{number}"}}}
    ).encode()
    return struct.pack("!BBH", 0x81, 0xFE, len(text)) + bytes(4) + text


async def test_subscribers_that_go_abruptly_leave_no_feeds():
    cluster = FakeCluster()
    server = FakeServer(cluster)
    try:
        async with _gateway(server.address) as gateway:
            process = psutil.Process(gateway.pid)

            async def go(count):
                callers = [gateway.connect() for _ in range(count)]
                for number, caller in enumerate(callers):
                    head = f"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n".encode()
                    caller.sendall(head + subscription(number))
                    found = b""
                    while b'"a"' not in found:
                        part = await asyncio.to_thread(caller.recv, 65536)
                        assert part, found
                        found += part
                    assert b'"snapshot"' in found, found
                for caller in callers:
                    reset(caller)

            await go(5)
            files = await asyncio.to_thread(_settled, process.num_fds)
            memory = process.memory_info().rss
            # Twice as many in a row as there may be feeds at a time.
            for _ in range(3):
                await go(350)
            await asyncio.to_thread(wait_until, lambda: process.num_fds() <= files + 2)
            assert process.memory_info().rss < memory + (64 << 20)
    finally:
        cluster.close()


def reset(connection):
    """Go without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


async def test_callers_that_go_abruptly_leave_nothing_behind():
    async with silent() as (scheduler, address), _gateway(address) as gateway:
        process = psutil.Process(gateway.pid)

        async def go(count):
            for kind, data in requests().items():
                callers = [gateway.connect() for _ in range(count)]
                for caller in callers:
                    caller.sendall(data.encode())
                if kind in LONG:
                    await until(lambda: scheduler.calls == count)
                for caller in callers:
                    reset(caller)
                # No call to the cluster outlives its caller.
                await until(lambda: scheduler.calls == 0)

        await go(10)
        files = await asyncio.to_thread(_settled, process.num_fds)
        threads, memory = process.num_threads(), process.memory_info().rss
        await go(ROUNDS)
        await asyncio.to_thread(wait_until, lambda: process.num_fds() <= files + 2)
        assert process.num_threads() <= threads + 6  # the executor's
        assert process.memory_info().rss < memory + (64 << 20)


@contextlib.asynccontextmanager
async def _gateway(address, *flags):
    # Started in a thread: the scheduler lives in this loop.
    flags = ("--service-paths", "--half-closed-timeout", "0.5", *flags)
    running = run_gateway([address], *flags)
    gateway = await asyncio.to_thread(running.__enter__)
    try:
        yield gateway
    finally:
        running.__exit__(None, None, None)


def _settled(measure):
    """A figure once it has stopped falling: looked at often, but not by a core of its own."""
    least, since = measure(), time.monotonic()
    look = threading.Event()
    while time.monotonic() - since < 0.5:
        look.wait(0.01)
        now = measure()
        if now < least:
            least, since = now, time.monotonic()
    return least


async def test_tasks_and_links_end_with_the_callers_of_services():
    async with proxy_bench(half_closed=0.3) as bench:

        async def slowly(instance, request, reader, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            await reader.read()

        bench.service("web", await bench.instance("a", slowly), circuit_breaker=1_000)
        before = len(asyncio.all_tasks())
        heads = (
            b"GET /services/web/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /services/web/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
            b"GET /services/web/ HTTP/1.1\r\nHost",
            b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
            f"GET /x HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n".encode(),
        )
        for head in heads:
            clients = [await bench.client() for _ in range(ROUNDS)]
            for client in clients:
                client.send(head)
                await client.writer.drain()
            for client in clients:
                client.writer.transport.abort()
        await until(lambda: not bench.proxy.connections)
        await until(lambda: bench.figures("web")["in_flight"] == 0)
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_sigterm_ends_whatever_is_open_within_the_grace():
    async with silent() as (scheduler, address), _gateway(address, "--grace", "2") as gateway:
        with contextlib.ExitStack() as stack:
            for data in requests().values():
                for _ in range(5):
                    caller = stack.enter_context(gateway.connect())
                    caller.sendall(data.encode())
            await until(lambda: scheduler.calls == 5 * len(LONG))
            start = time.monotonic()
            gateway.terminate()
            assert await asyncio.to_thread(gateway.wait, 10) == 0
            assert time.monotonic() - start < 5.0


async def test_sigterm_finishes_a_services_answer_and_ends_what_never_would():
    asked = 0

    async def endless(reader, writer):
        nonlocal asked
        head = await reader.readuntil(b"\r\n\r\n")
        asked += 1
        if b"/tunnel" in head:
            writer.write(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        elif b"/slow" in head:
            await leaving.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        elif b"/stream" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    leaving = asyncio.Event()
    instances = await asyncio.start_server(endless, "127.0.0.1", 0)
    host, port = instances.sockets[0].getsockname()
    heads = (
        "GET /services/web/slow HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /services/web/tunnel HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n",
        "GET /services/web/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /services/web/silent HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /services/web/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    )
    async with silent() as (scheduler, address):
        instance = pb.ServiceInstance(
            service="web",
            id="a",
            address=f"{host}:{port}",
            state=pb.INSTANCE_STATE_HEALTHY,
            weight=1,
        )
        scheduler.services = [pb.Service(name="web", instances=[instance])]
        async with _gateway(address, "--grace", "2") as gateway:
            with contextlib.ExitStack() as stack:
                callers = [stack.enter_context(gateway.connect()) for _ in heads]
                while not await asyncio.to_thread(_has_view, gateway):
                    pass
                for caller, head in zip(callers, heads, strict=True):
                    caller.sendall(head.encode())
                await until(lambda: asked == len(heads) + 1)
                gateway.terminate()
                leaving.set()
                found = await asyncio.to_thread(callers[0].recv, 65536)
                assert found.startswith(b"HTTP/1.1 200 ")
                assert found.endswith(b"done")
                assert await asyncio.to_thread(gateway.wait, 5) == 0
    instances.close()


def _has_view(gateway):
    """Asks for an answer of the instance: 503 until the gateway knows of it."""
    with gateway.connect() as caller:
        caller.sendall(b"GET /services/web/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return caller.recv(12) == b"HTTP/1.1 200"


def test_a_gateway_is_up_before_any_scheduler_and_finds_it():
    port = free_port()
    with run_gateway([f"127.0.0.1:{port}"]) as gateway:

        def status(path):
            with gateway.connect() as caller:
                head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout: 2\r\n"
                caller.sendall(f"{head}Connection: close\r\n\r\n".encode())
                return caller.recv(65536).split(b" ")[1]

        assert status("/healthz") == b"200"
        assert status("/v1/cluster") == b"503"
        cluster = FakeCluster()
        try:
            FakeServer(cluster, port)
            wait_until(lambda: status("/readyz") == b"200")
            assert status("/v1/tasks") == b"200"
        finally:
            cluster.close()
