"""How requests and answers end when one side ends early, or ends them wrongly.

A client that closes its side behind its request, a body that cannot be read, an instance that
answers before it has read all, one whose lines have no CR.
"""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
import uvloop

from tests.support.proxy import (
    DEADLINE,
    FakeInstance,
    ProxyBench,
    RawClient,
    Received,
    ok,
    proxy_bench,
    until,
)

# The hook that replaces this fixture applies to every test of the session.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Overriding the .event_loop_policy. fixture:pytest.PytestDeprecationWarning"
)


@pytest.fixture(scope="module")
def event_loop_policy():
    # What a gateway runs on; its transports differ from asyncio's.
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def bench():
    async with proxy_bench() as made:
        yield made


GET = b"GET /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n"
APP = b"GET /v1/x HTTP/1.1\r\nHost: g\r\n\r\n"


async def sent_and_closed(bench: ProxyBench, data: bytes) -> RawClient:
    """A client that sends, and then closes its side: `sendall`, `shutdown(SHUT_WR)`."""
    client = await bench.client()
    client.send(data)
    client.writer.write_eof()
    return client


# -- the client's end


@pytest.mark.parametrize(
    ("request_", "body"),
    [(GET, b"late"), (APP, b"app GET /v1/x ")],
    ids=["service", "application"],
)
async def test_a_client_that_closes_its_side_gets_its_answer(
    bench: ProxyBench, request_: bytes, body: bytes
):
    async def slowly(instance: FakeInstance, request: Received, reader, writer):
        await asyncio.sleep(0.05)
        writer.write(ok(b"late"))

    bench.service("web", await bench.instance("a", slowly))
    client = await sent_and_closed(bench, request_)
    assert (await client.answer()).body == body
    assert await client.ended() == b""
    assert not bench.proxy.connections


async def test_every_request_that_came_whole_is_answered_and_then_it_ends(bench: ProxyBench):
    bench.service("web", await bench.instance("a"))
    body = b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\n\r\nabc"
    client = await sent_and_closed(bench, GET + APP + body + APP)
    found = [(await client.answer()).body for _ in range(4)]
    assert found == [b"a", b"app GET /v1/x ", b"a", b"app GET /v1/x "]
    assert await client.ended() == b""


async def test_a_streamed_answer_goes_on_behind_the_clients_end(bench: ProxyBench):
    more = asyncio.Event()

    async def stream(instance: FakeInstance, request: Received, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await more.wait()
        writer.write(b"1\r\nb\r\n0\r\n\r\n")

    bench.service("web", await bench.instance("a", stream))
    client = await bench.client()
    client.send(GET)
    await client.reader.readuntil(b"1\r\na\r\n")
    client.writer.write_eof()
    more.set()
    assert (await client.ended()).endswith(b"b\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("cut", "detail"),
    [
        (b"GET /services/web/ HTTP/1.1\r\nHos", "head"),
        (b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\nabc", "body"),
        (b"POST /v1/x HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\nabc", "body"),
    ],
)
async def test_what_did_not_come_whole_is_400(bench: ProxyBench, cut: bytes, detail: str):
    one = await bench.instance("a")
    bench.service("web", one)
    client = await sent_and_closed(bench, cut)
    answer = await client.answer()
    assert answer.status == 400
    assert detail in answer.json["detail"]
    assert await client.ended() == b""
    assert bench.figures("web")["in_flight"] == 0


async def test_a_client_that_may_be_gone_is_not_waited_for_long():
    async def never(instance: FakeInstance, request: Received, reader, writer):
        await reader.read()

    async with proxy_bench(half_closed=0.2) as bench:
        bench.service("web", await bench.instance("a", never))
        client = await sent_and_closed(bench, GET)
        answer = await client.answer()
        assert (answer.status, answer.reason) == (504, "HALF_CLOSED")
        assert await client.ended() == b""
        figures = bench.figures("web")
        assert (figures["in_flight"], figures["instances"][0]["failures"]) == (0, 0)


# -- bodies that cannot be read


@pytest.mark.parametrize("path", ["/services/web/", "/v1/x"])
@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"2\r\nabc\r\n", b"2\nab\n0\n\n", b"-1\r\n", b"2\r\nab\r\n0\r\nx\r\n\r\n"]
)
async def test_a_malformed_chunk_is_400(bench: ProxyBench, path: str, body: bytes):
    one = await bench.instance("a")
    bench.service("web", one)
    client = await bench.client()
    client.send(b"POST %b HTTP/1.1\r\nHost: g\r\n" % path.encode())
    client.send(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + body)
    answer = await client.answer()
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    assert await client.ended() == b""
    assert bench.figures("web")["in_flight"] == 0


async def test_a_malformed_chunk_behind_the_answers_begin_ends_it(bench: ProxyBench):
    async def early(instance: FakeInstance, request: Received, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await reader.read()

    bench.service("web", await bench.instance("a", early, read_body=False))
    client = await bench.client()
    client.send(b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"1\r\na\r\n")
    assert await client.reader.readuntil(b"abc")
    client.send(b"zz\r\n")
    assert await client.ended() == b""


async def test_lines_of_a_request_that_have_no_cr_are_400_at_once(bench: ProxyBench):
    client = await bench.client()
    client.send(b"GET /services/web/ HTTP/1.1\nHost: g\n\n")
    assert (await client.answer()).status == 400


async def test_tiny_chunks_reach_the_application_whole(bench: ProxyBench):
    client = await bench.client()
    client.send(b"POST /v1/x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
    assert (await client.answer()).body == b"app POST /v1/x " + b"x" * 20_000


async def test_many_requests_and_empty_lines_in_one_read_let_others_through(bench: ProxyBench):
    """The loop is not theirs alone: the longest turn is measured."""
    bench.service("web", await bench.instance("a"))
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            cpu = time.thread_time()
            await asyncio.sleep(0)
            if time.monotonic() - before > 0:
                longest = max(longest, time.thread_time() - cpu)

    looking = asyncio.create_task(look())
    client = await bench.client()
    client.send(b"\r\n" * 100_000 + b"GET /services/none/ HTTP/1.1\r\nHost: g\r\n\r\n" * 3_000)
    for _ in range(3_000):
        assert (await client.answer()).status == 404
    looking.cancel()
    assert longest < 0.1


# -- the instance's end


@pytest.mark.parametrize("size", [3_000_000, 200_000])
async def test_an_answer_that_comes_before_the_body_was_read_is_passed_on(
    bench: ProxyBench, size: int
):
    """The instance closes with unread bytes, so its kernel resets the connection."""

    def refuse(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        one = FakeInstance("a")
        one.port = server.getsockname()[1]
        bench.service("web", one)
        loop = asyncio.get_running_loop()

        closed = asyncio.Semaphore(0)

        async def serve() -> None:
            server.setblocking(False)
            while True:
                connection, _ = await loop.sock_accept(server)
                connection.setblocking(True)
                await asyncio.to_thread(refuse, connection)
                closed.release()

        serving = loop.create_task(serve())
        for _ in range(5):
            client = await bench.client()
            head = b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n" % size
            client.send(head)
            for _ in range(size // 100_000):
                client.send(b"x" * 100_000)
                await client.writer.drain()
            answer = await client.answer()
            assert (answer.status, answer.body) == (413, b"much")
            # What is sent to a connection before the instance closes it is lost.
            await closed.acquire()
        serving.cancel()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\n\nok",
        b"\nHTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"<html>",
        b"H2",
    ],
)
async def test_an_answer_that_can_become_none_is_502_at_once(bench: ProxyBench, answer: bytes):
    async def odd(instance: FakeInstance, request: Received, reader, writer):
        writer.write(answer)
        await reader.read()

    bench.service("web", await bench.instance("a", odd))
    async with asyncio.timeout(DEADLINE / 2):
        found = await bench.get("/services/web/")
    assert (found.status, found.reason) == (502, "UPSTREAM_GARBAGE")


async def test_an_answers_chunk_without_a_cr_ends_it_at_once(bench: ProxyBench):
    async def odd(instance: FakeInstance, request: Received, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n")
        await reader.read()

    bench.service("web", await bench.instance("a", odd))
    client = await bench.client()
    client.send(GET)
    async with asyncio.timeout(DEADLINE / 2):
        await client.ended()


async def test_an_answers_head_in_single_bytes_is_read(bench: ProxyBench):
    async def slowly(instance: FakeInstance, request: Received, reader, writer):
        for byte in ok(b"a", b"x: y"):
            writer.write(bytes((byte,)))
            await writer.drain()

    bench.service("web", await bench.instance("a", slowly))
    assert (await bench.get("/services/web/")).body == b"a"


# -- bodies that hardly come


@pytest.mark.parametrize("framing", [b"Content-Length: 9000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_trickles_does_not_keep_its_connection(framing: bytes):
    async with proxy_bench(read_timeout=0.5) as bench:
        bench.service("web", await bench.instance("a"))
        client = await bench.client()
        client.send(b"POST /services/web/ HTTP/1.1\r\nHost: g\r\n" + framing + b"\r\n\r\n")
        began = asyncio.get_running_loop().time()
        answer = asyncio.create_task(client.answer())
        while not answer.done():
            assert asyncio.get_running_loop().time() - began < DEADLINE
            client.send(b"x" if framing.startswith(b"C") else b"1\r\nx\r\n")
            await asyncio.wait({answer}, timeout=0.1)
        assert (await answer).status == 408
        await until(lambda: not bench.proxy.connections)


async def test_a_slow_body_that_keeps_coming_is_read():
    async with proxy_bench(read_timeout=0.5) as bench:
        one = await bench.instance("a")
        bench.service("web", one)
        client = await bench.client()
        client.send(b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: 4000\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 200)
            await asyncio.sleep(0.06)
        assert (await client.answer()).status == 200
