"""What the proxy refuses, and what it makes of instances that misbehave."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.support.proxy import FakeInstance, ProxyBench, Received, ok, proxy_bench, until

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
    async with proxy_bench(connect_timeout=0.5, read_timeout=0.3, head_timeout=0.3) as made:
        yield made


GET = b"GET /services/web/ HTTP/1.1\r\n"
POST = b"POST /services/web/ HTTP/1.1\r\nHost: g\r\n"
HOST = b"Host: g\r\n"
CODED = b"Transfer-Encoding: chunked\r\n"

MALFORMED = {
    "length and coding": (POST + b"Content-Length: 3\r\n" + CODED + b"\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "two equal lengths": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "length list": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "huge length": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "empty length": (POST + b"Content-Length:\r\n\r\n", 400),
    "other coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "odd coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "two codings": (POST + CODED + CODED + b"\r\n0\r\n\r\n", 400),
    "coding in 1.0": (b"POST /services/web/ HTTP/1.0\r\n" + CODED + b"\r\n0\r\n\r\n", 400),
    "folded line": (GET + HOST + b"X-A: 1\r\n  2\r\n\r\n", 400),
    "space before colon": (GET + HOST + b"X-A : 1\r\n\r\n", 400),
    "space before coding's colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF": (GET + b"Host: g\nX-A: 1\r\n\r\n", 400),
    "bare CR": (GET + HOST + b"X-A: 1\rX-B: 2\r\n\r\n", 400),
    "NUL in a value": (GET + HOST + b"X-A: a\x00b\r\n\r\n", 400),
    "no name": (GET + HOST + b": 1\r\n\r\n", 400),
    "odd name": (GET + HOST + b"X(A): 1\r\n\r\n", 400),
    "no colon": (GET + HOST + b"X-A\r\n\r\n", 400),
    "no host": (GET + b"\r\n", 400),
    "two hosts": (GET + HOST + b"Host: other\r\n\r\n", 400),
    "odd host": (GET + b"Host: a b\r\n\r\n", 400),
    "host with a user": (GET + b"Host: a@b\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /services/web/\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "lower-case method": (b"get /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    "TRACE": (b"TRACE /services/web/ HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n", 405),
    "two spaces": (b"GET  /services/web/ HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "bytes in the target": (b"GET /services/web/\xff HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "fragment": (b"GET /services/web/#a HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "traversal": (b"GET /services/web/../../etc HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "encoded traversal": (b"GET /services/web/%2e%2E/x HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "traversal by name": (b"GET /services/../v1/tasks HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "NUL in the path": (b"GET /services/web/%00 HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "half an encoding": (b"GET /services/web/%2 HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "backslash": (b"GET /services/web/..\\..\\x HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    "long target": (b"GET /services/web/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: g\r\n\r\n", 414),
    "endless target": (b"GET /services/web/" + b"a" * 70_000, 431),
    "large head": (GET + HOST + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "many headers": (GET + HOST + b"X-A: 1\r\n" * 200 + b"\r\n", 431),
    "odd expectation": (GET + HOST + b"Expect: magic\r\n\r\n", 417),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
async def test_ambiguous_requests_are_refused_and_reach_no_instance(bench: ProxyBench, name: str):
    one = await bench.instance("one")
    bench.service("web", one)
    data, status = MALFORMED[name]
    client = await bench.client()
    # What a smuggler hides behind it must not be read as a request.
    client.send(data + b"GET /services/web/smuggled HTTP/1.1\r\nHost: g\r\n\r\n")
    answer = await client.answer()
    assert answer.status == status
    assert answer.reason
    if name not in ("traversal", "encoded traversal", "traversal by name", "NUL in the path",
                    "half an encoding", "backslash", "fragment", "long target"):  # fmt: skip
        # Refused as HTTP: the connection is over. A refused path leaves it in order.
        assert await client.ended() == b""
        assert one.received == []
    else:
        assert (await client.answer()).body == b"one"
    assert (await bench.get("/services/web/")).body == b"one"


async def test_encoded_slashes_stay_encoded(bench: ProxyBench):
    one = await bench.instance("one")
    bench.service("web", one)
    await bench.get("/services/web/..%2f..%2Fetc%5cpasswd")
    assert one.received[0].line == b"GET /..%2F..%2Fetc%5Cpasswd HTTP/1.1"


async def test_a_name_that_is_no_service_is_404_and_a_root_without_slash_is_redirected(
    bench: ProxyBench,
):
    bench.service("web", await bench.instance("one"))
    assert (await bench.get("/services/other/x")).reason == "SERVICE_NOT_FOUND"
    assert (await bench.get("/services/Web%2F/x")).reason == "SERVICE_NOT_FOUND"
    answer = await bench.get("/services/web?a=1")
    assert (answer.status, answer.one("location")) == (308, "web/?a=1")


@pytest.mark.parametrize(
    "body",
    [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n" + b"a" * 2000,
     b"-1\r\n", b"3;" + b"x" * 2000, b"0\r\nbad trailer\r\n\r\n"],
)  # fmt: skip
async def test_bad_chunks_end_the_connection_and_the_request(bench: ProxyBench, body: bytes):
    one = await bench.instance("one")
    bench.service("web", one)
    client = await bench.client()
    client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert b"HTTP/1.1 200" not in await client.ended()
    await until(lambda: bench.figures("web")["in_flight"] == 0)
    assert one.received == []


GARBAGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + CODED + b"\r\nx",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "folded": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "injected CR": b"HTTP/1.1 200 OK\r\nX-A: 1\rSet-Cookie: a\r\nContent-Length: 0\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nX-A: ",
    "unasked upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000,
    "endless interim": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40,
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_of_an_instance_is_502_and_not_asked_for_again(bench: ProxyBench, name: str):
    async def garbage(instance: FakeInstance, request: Received, reader, writer):
        writer.write(GARBAGE[name])
        writer.close()

    bad = await bench.instance("bad", garbage)
    bench.service("web", bad)
    bench.service("other", await bench.instance("good"))
    client = await bench.client()
    client.send(GET + HOST + b"\r\n")
    answer = await client.answer()
    while answer.status == 103:
        answer = await client.answer()
    assert (answer.status, answer.reason) == (502, "UPSTREAM_GARBAGE")
    assert len(bad.received) == 1
    # The client's connection is in order, and so is every other service.
    assert (await client.get("/services/other/")).body == b"good"


async def test_bytes_behind_an_answer_are_never_taken_for_the_next_one(bench: ProxyBench):
    async def double(instance: FakeInstance, request: Received, reader, writer):
        writer.write(ok(b"mine") + ok(b"poison"))

    one = await bench.instance("one", double)
    bench.service("web", one)
    client = await bench.client()
    for _ in range(3):
        assert (await client.get("/services/web/")).body == b"mine"
    assert one.connections == 3


async def test_an_instance_that_hangs_is_504_within_the_policys_timeout(bench: ProxyBench):
    async def hang(instance: FakeInstance, request: Received, reader, writer):
        await reader.read()

    policy = {"timeout": {"nanos": 300_000_000}}
    one = await bench.instance("one", hang)
    bench.service("web", one, await bench.instance("two", hang), **policy)
    bench.service("other", await bench.instance("good"))
    client = await bench.client()
    client.send(GET + HOST + b"\r\n")
    assert (await bench.get("/services/other/")).body == b"good"
    answer = await client.answer()
    assert (answer.status, answer.reason) == (504, "UPSTREAM_TIMEOUT")
    assert answer.json["code"] == "DEADLINE_EXCEEDED"
    assert bench.figures("web")["retries"] == 0


async def test_an_instance_that_is_gone_is_502_and_a_service_without_instances_503(
    bench: ProxyBench,
):
    one = await bench.instance("one")
    bench.service("web", one)
    await one.stop()
    assert (await bench.get("/services/web/")).reason == "UPSTREAM_UNREACHABLE"
    bench.service("web")
    answer = await bench.get("/services/web/")
    assert (answer.status, answer.reason) == (503, "NO_INSTANCE")
    assert answer.one("retry-after") == "1"


async def test_a_head_that_does_not_come_and_a_body_that_stops_are_408(bench: ProxyBench):
    async def wait(instance: FakeInstance, request: Received, reader, writer):
        await reader.read()

    bench.service("web", await bench.instance("one", wait, read_body=False))
    client = await bench.client()
    client.send(b"GET /services/web/ HT")
    assert (await client.answer()).reason == "REQUEST_TIMEOUT"
    assert await client.ended() == b""
    answer = await bench.raw(POST + b"Content-Length: 10\r\n\r\nabc")
    assert answer.reason == "REQUEST_TIMEOUT"


async def test_requests_sent_ahead_wait_in_bounded_memory(bench: ProxyBench):
    go = asyncio.Event()

    async def wait(instance: FakeInstance, request: Received, reader, writer):
        await go.wait()
        writer.write(ok(b"."))

    one = await bench.instance("one", wait)
    bench.service("web", one)
    client = await bench.client()
    count = 100_000
    client.send((GET + HOST + b"\r\n") * count)
    await until(lambda: len(one.received) == 1)
    connection = next(iter(bench.proxy.connections))
    await until(lambda: not connection.transport.is_reading())
    assert len(connection._buffer) < 1_000_000
    go.set()
    for _ in range(1000):
        assert (await client.answer()).body == b"."


async def test_before_the_first_view_no_name_is_called_wrong(bench: ProxyBench):
    answer = await bench.get("/services/web/")
    assert (answer.status, answer.reason) == (503, "NO_VIEW")
    bench.service("other")
    assert (await bench.get("/services/web/")).reason == "SERVICE_NOT_FOUND"
