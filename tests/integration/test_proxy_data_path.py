"""The proxy's data path on real sockets: what reaches an instance, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import cast

import pytest
import uvloop

from tests.support.proxy import (
    FakeInstance,
    ProxyBench,
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


async def test_a_request_reaches_the_instance_below_its_own_root(bench: ProxyBench):
    one = await bench.instance("one")
    bench.service("web", one)
    answer = await bench.get("/services/web/a%7Eb/../c%2fd?q=%7e&x")
    assert (answer.status, answer.body) == (200, b"one")
    seen = one.received[0]
    assert seen.line == b"GET /c%2Fd?q=%7e&x HTTP/1.1"
    assert seen.one("host") == "gateway"
    assert seen.one("x-forwarded-for") == "127.0.0.1"
    assert seen.one("x-forwarded-proto") == "http"
    assert seen.one("x-forwarded-host") == "gateway"
    assert seen.one("x-forwarded-prefix") == "/services/web"
    assert seen.one("x-request-id")


async def test_a_host_of_a_service_reaches_it_with_the_path_as_it_is(bench: ProxyBench):
    one = await bench.instance("one")
    bench.service("web", one, hosts=["web.example"])
    client = await bench.client()
    client.send(b"GET /services/x HTTP/1.1\r\nHost: Web.Example:80\r\n\r\n")
    assert (await client.answer()).body == b"one"
    assert one.received[0].line == b"GET /services/x HTTP/1.1"
    assert one.received[0].all("x-forwarded-prefix") == []
    client.send(b"GET http://web.example/y HTTP/1.1\r\nHost: other\r\n\r\n")
    await client.answer()
    assert one.received[1].line == b"GET /y HTTP/1.1"
    assert one.received[1].one("host") == "web.example"


async def test_one_connection_alternates_between_services_and_the_application(bench: ProxyBench):
    one = await bench.instance("one")
    bench.service("web", one)
    client = await bench.client()
    for _ in range(3):
        assert (await client.get("/services/web/")).body == b"one"
        assert (await client.get("/v1/tasks")).body == b"app GET /v1/tasks "
        client.send(
            b"POST /v1/x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"
        )
        assert (await client.answer()).body == b"app POST /v1/x abcde"
    assert one.connections == 1


async def test_pipelined_requests_are_answered_in_order(bench: ProxyBench):
    release = asyncio.Event()

    async def slow(instance: FakeInstance, request: Received, reader, writer):
        if b"/first" in request.line:
            await release.wait()
        writer.write(ok(request.line.split(b" ")[1]))

    one = await bench.instance("one", slow)
    bench.service("web", one)
    client = await bench.client()
    paths = ["/services/web/first", "/v1/app", "/services/web/third"]
    client.send("".join(f"GET {p} HTTP/1.1\r\nHost: g\r\n\r\n" for p in paths).encode())
    await until(lambda: len(one.received) == 1)
    release.set()
    bodies = [(await client.answer()).body for _ in paths]
    assert bodies == [b"/first", b"app GET /v1/app ", b"/third"]


async def test_the_application_may_answer_before_it_has_read_the_body(bench: ProxyBench):
    client = await bench.client()
    client.send(b"POST /early HTTP/1.1\r\nHost: g\r\nContent-Length: 6\r\n\r\nabc")
    assert (await client.answer()).body == b"app POST /early "
    client.send(b"def" + b"GET /next HTTP/1.1\r\nHost: g\r\n\r\n")
    assert (await client.answer()).body == b"app GET /next "


async def test_hop_by_hop_headers_end_at_the_proxy_in_both_directions(bench: ProxyBench):
    async def handler(instance: FakeInstance, request: Received, reader, writer):
        writer.write(
            ok(b"x", b"Connection: X-Inner, keep-alive", b"X-Inner: 1", b"Keep-Alive: timeout=5",
               b"Set-Cookie: a=1", b"Set-Cookie: b=2")
        )  # fmt: skip

    one = await bench.instance("one", handler)
    bench.service("web", one)
    answer = await bench.get(
        "/services/web/",
        "Connection: keep-alive, X-Secret",
        "X-Secret: s",
        "Keep-Alive: 300",
        "TE: trailers",
        "Proxy-Authorization: Basic x",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "X-Kept: yes",
        "X-Forwarded-For: 6.6.6.6",
        "X_Forwarded-Host: evil",
        "Forwarded: for=6.6.6.6",
    )
    seen = one.received[0]
    assert seen.one("x-kept") == "yes"
    assert seen.one("x-forwarded-for") == "127.0.0.1"
    gone = ["connection", "x-secret", "keep-alive", "te", "proxy-authorization", "upgrade",
            "http2-settings", "x_forwarded-host", "forwarded"]  # fmt: skip
    assert {name: seen.all(name) for name in gone} == {name: [] for name in gone}
    assert answer.all("x-inner") == answer.all("connection") == answer.all("keep-alive") == []
    assert answer.all("set-cookie") == ["a=1", "b=2"]


async def test_a_trusted_proxy_in_front_is_believed_and_appended_to():
    async with proxy_bench(trust_forwarded=True, root_path="/q") as bench:
        one = await bench.instance("one")
        bench.service("web", one)
        await bench.get("/q/services/web/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
        seen = one.received[0]
        assert seen.one("x-forwarded-for") == "6.6.6.6, 127.0.0.1"
        assert seen.one("x-forwarded-proto") == "https"
        assert seen.one("x-forwarded-prefix") == "/q/services/web"


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_bodies_of_megabytes_pass_both_ways_unchanged(bench: ProxyBench, framing: str):
    async def echo(instance: FakeInstance, request: Received, reader, writer):
        if framing == "length":
            writer.write(ok(request.body))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(request.body), 70_001):
                part = request.body[at : at + 70_001]
                writer.write(b"%x;e\r\n%b\r\n" % (len(part), part))
            writer.write(b"0\r\nX-Trailer: 1\r\n\r\n")

    bench.service("web", await bench.instance("one", echo))
    body = os.urandom(3_000_000)
    client = await bench.client()
    head = "PUT /services/web/ HTTP/1.1\r\nHost: g\r\n"
    if framing == "length":
        client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    else:
        client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    answer = await client.answer()
    assert answer.body == body
    assert (await client.get("/v1/after")).status == 200


async def test_events_pass_as_they_come(bench: ProxyBench):
    more = asyncio.Event()

    async def events(instance: FakeInstance, request: Received, reader, writer):
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
        )
        await more.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    bench.service("web", await bench.instance("one", events))
    client = await bench.client()
    client.send(b"GET /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b"text/event-stream" in head
    assert await client.read(14) == b"9\r\ndata: 1\n\n\r\n"
    more.set()
    assert await client.read(19) == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"


async def test_an_answer_until_close_is_whole_for_http_1_1_and_1_0(bench: ProxyBench):
    async def endless(instance: FakeInstance, request: Received, reader, writer):
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        writer.close()

    bench.service("web", await bench.instance("one", endless))
    answer = await bench.get("/services/web/")
    assert (answer.one("transfer-encoding"), answer.body) == ("chunked", b"all of it")
    answer = await bench.raw(b"GET /services/web/ HTTP/1.0\r\n\r\n")
    assert answer.all("transfer-encoding") == []
    assert answer.body == b"all of it"


async def test_http_1_0_keeps_its_connection_only_when_it_asks(bench: ProxyBench):
    one = await bench.instance("one")
    bench.service("web", one)
    client = await bench.client()
    client.send(b"GET /services/web/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = await client.answer()
    assert (answer.one("connection"), answer.body) == ("keep-alive", b"one")
    client.send(b"GET /services/web/ HTTP/1.0\r\n\r\n")
    assert (await client.answer()).body == b"one"
    assert await client.ended() == b""
    assert one.received[0].one("host") == f"127.0.0.1:{one.port}"


async def test_head_and_204_have_no_body_and_keep_the_connection(bench: ProxyBench):
    async def handler(instance: FakeInstance, request: Received, reader, writer):
        if b"/none" in request.line:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")

    bench.service("web", await bench.instance("one", handler))
    client = await bench.client()
    answer = await client.get("/services/web/", method="HEAD")
    assert answer.one("content-length") == "12345"
    answer = await client.get("/services/web/none")
    assert (answer.status, answer.all("content-length")) == (204, [])
    assert (await client.get("/x")).status == 200


async def test_100_continue_comes_from_the_instance(bench: ProxyBench):
    async def handler(instance: FakeInstance, request: Received, reader, writer):
        assert request.one("expect") == "100-continue"
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.write(ok(await reader.readexactly(5)))

    bench.service("web", await bench.instance("one", handler, read_body=False))
    client = await bench.client()
    client.send(
        b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n"
        b"Content-Length: 5\r\n\r\n"
    )
    assert (await client.answer()).status == 100
    client.send(b"hello")
    assert (await client.answer()).body == b"hello"


async def test_an_upgraded_connection_is_a_tunnel(bench: ProxyBench):
    async def websocket(instance: FakeInstance, request: Received, reader, writer):
        assert request.one("connection") == "upgrade"
        assert request.one("upgrade") == "websocket"
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\nhello "
        )
        while data := await reader.read(65536):
            writer.write(data.upper())
        writer.close()

    one = await bench.instance("one", websocket)
    bench.service("web", one)
    client = await bench.client()
    answer = await client.get(
        "/services/web/ws", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket"
    )
    assert answer.status == 101
    assert answer.one("upgrade") == "websocket"
    assert await client.read(6) == b"hello "
    for _ in range(3):
        client.send(b"abc")
        assert await client.read(3) == b"ABC"
    client.writer.close()
    await until(lambda: bench.figures("web")["in_flight"] == 0)


async def test_a_websocket_of_the_application_takes_its_connection_over(bench: ProxyBench):
    key = base64.b64encode(os.urandom(16)).decode()
    client = await bench.client()
    assert (await client.get("/v1/x")).status == 200
    answer = await client.get(
        "/v1/live", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
    )  # fmt: skip
    assert answer.status == 101
    client.send(b"\x81\x82\x00\x00\x00\x00hi")
    assert await client.read(4) == b"\x81\x02hi"
    client.writer.close()


async def test_a_client_that_does_not_read_stops_the_instance_not_the_memory(bench: ProxyBench):
    sent = 0

    async def flood(instance: FakeInstance, request: Received, reader, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000

    one = await bench.instance("one", flood)
    bench.service("web", one)
    client = await bench.client()
    cast("asyncio.Transport", client.writer.transport).pause_reading()
    client.send(b"GET /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n")
    await until(lambda: len(one.received) == 1)
    connection = next(one for one in bench.proxy.connections if one.exchange is not None)
    await until(lambda: connection.client_full)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.05)
    assert sent < 30_000_000  # sockets' buffers on both sides
    assert connection.transport.get_write_buffer_size() < 1_000_000


async def test_an_instance_that_does_not_read_stops_the_client_not_the_memory(bench: ProxyBench):
    stop = asyncio.Event()

    async def deaf(instance: FakeInstance, request: Received, reader, writer):
        await stop.wait()

    one = await bench.instance("one", deaf, read_body=False)
    bench.service("web", one)
    client = await bench.client()
    client.send(b"POST /services/web/ HTTP/1.1\r\nHost: g\r\nContent-Length: 200000000\r\n\r\n")
    await until(lambda: len(one.received) == 1)
    client.send(bytes(50_000_000))
    connection = next(iter(bench.proxy.connections))
    await until(lambda: connection.held)
    before = -1
    while before != client.writer.transport.get_write_buffer_size():
        before = client.writer.transport.get_write_buffer_size()
        await asyncio.sleep(0.05)
    assert before > 20_000_000  # the rest is still with the client
    stop.set()


async def test_a_body_cut_short_by_the_instance_is_a_broken_connection(bench: ProxyBench):
    async def short(instance: FakeInstance, request: Received, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        writer.close()

    bench.service("web", await bench.instance("one", short))
    client = await bench.client()
    client.send(b"GET /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n")
    got = await client.ended()
    assert not got.endswith(b"\r\n0\r\n\r\n")
    assert bench.figures("web")["aborted"] == 1


async def test_a_client_that_leaves_takes_its_request_along():
    async with proxy_bench(half_closed=0.2) as bench:
        await _leaves(bench)


async def _leaves(bench: ProxyBench) -> None:
    gone = asyncio.Event()

    async def hang(instance: FakeInstance, request: Received, reader, writer):
        await reader.read()
        gone.set()

    one = await bench.instance("one", hang)
    bench.service("web", one)
    client = await bench.client()
    client.send(b"GET /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n")
    await until(lambda: len(one.received) == 1)
    client.writer.transport.abort()
    await asyncio.wait_for(gone.wait(), 60)
    assert bench.figures("web")["in_flight"] == 0
