"""Connections that nobody minds: unread, too many, answered early. Each is bounded, and told so."""

import asyncio
import contextlib
import json
import socket

import pytest

from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.gateway import run_gateway
from tests.support.proxy import proxy_bench, until

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
PIECE = 16 * 1024


@pytest.fixture(scope="module")
def cluster():
    cluster = FakeCluster()
    FakeServer(cluster)
    yield cluster
    cluster.close()


def drain(connection):
    """What comes until the connection is closed."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""])
async def test_an_answer_that_is_never_read_does_not_keep_its_connection(last):
    async with proxy_bench(write_timeout=0.3, client_idle=0.3) as bench:

        async def until_unread(instance, request, reader, writer):
            # Ends while some of it waits in the gateway, but too little to pause the instance.
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            (front,) = bench.proxy.connections
            while not front.transport.get_write_buffer_size():
                writer.write(b"%x\r\n%b\r\n" % (PIECE, b"." * PIECE))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")

        bench.service("web", await bench.instance("a", until_unread))
        with socket.create_connection(("127.0.0.1", bench.port)) as client:
            client.sendall(b"GET /services/web/ HTTP/1.1\r\nHost: localhost\r\n" + last + b"\r\n")
            await until(lambda: bench.figures("web")["requests"] == 1)
            await until(lambda: not bench.proxy.connections)


def test_a_request_on_a_connection_too_many_is_told_so_and_those_far_beyond_are_dropped(cluster):
    most, refused = 8, 64
    with (
        run_gateway([cluster.servers[0].address], "--max-connections", str(most)) as gateway,
        contextlib.ExitStack() as stack,
    ):
        held = [stack.enter_context(gateway.connect()) for _ in range(most)]
        for one in held:
            one.sendall(HEALTHZ)
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        with gateway.connect() as one:
            one.sendall(HEALTHZ)
            head, _, body = drain(one).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"application/problem+json" in head
        assert json.loads(body)["reason"] == "TOO_MANY_CONNECTIONS"
        # Idle ones cost a file each: beyond a bound they are closed at once.
        idle = [stack.enter_context(gateway.connect()) for _ in range(refused)]
        with gateway.connect() as one:
            assert drain(one) == b""
        for one in (*idle, *held):
            one.close()
        # Their places are free again as soon as the gateway has seen them go.
        while not _is_served(gateway):
            pass


def _is_served(gateway):
    with gateway.connect() as one:
        one.sendall(HEALTHZ)
        return one.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_idle_connection_is_not_told_of_a_request_that_it_did_not_begin(cluster):
    """A 408 that nobody asked for may be taken for the answer to the next request."""
    schedulers = [cluster.servers[0].address]
    with (
        run_gateway(schedulers, "--head-timeout", "1") as gateway,
        gateway.connect() as connection,
    ):
        connection.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
        )
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 405 ")
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        connection.sendall(b"body")
        connection.settimeout(2)
        with pytest.raises(TimeoutError):
            connection.recv(65536)
        connection.sendall(HEALTHZ)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_trailers_are_no_headers(cluster):
    """Whoever checked the headers in front of the gateway did not see them."""
    body = json.dumps({"spec": {"command": {"argv": ["true"]}}}).encode()
    with run_gateway([cluster.servers[0].address]) as gateway, gateway.connect() as connection:
        connection.sendall(
            b"POST /v1/queues/default/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%b\r\n0\r\nContent-Encoding: br\r\n\r\n" % (len(body), body)
        )
        assert drain(connection).startswith(b"HTTP/1.1 200 ")
