"""Paths and addresses that two readers could take for different things."""

import pytest

from quorate.v1 import service_pb2 as pb
from tests.support.proxy import proxy_bench


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ".", "ü" * 70, "a b", "a\r\nX: y"])
async def test_an_instance_whose_host_is_no_name_is_unreachable(host):
    instance = pb.ServiceInstance(
        service="web", id="a", address=f"{host}:80", state=pb.INSTANCE_STATE_HEALTHY, weight=1
    )
    async with proxy_bench() as bench:
        bench.proxy.replace([pb.Service(name="web", instances=[instance])])
        answer = await bench.get("/services/web/")
        assert (answer.status, answer.reason) == (502, "UPSTREAM_UNREACHABLE")
        assert bench.figures("web")["in_flight"] == 0


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/services/web/a//b", "/a//b"),
        ("/services/web//evil.example/", "/evil.example/"),
        ("/services/web/a;p=1/b;c", "/a;p=1/b;c"),
        ("/services/web/..%2f..%2fv1", "/..%2F..%2Fv1"),
        ("/services/web/%252e%252e/x", "/%252e%252e/x"),
        ("/services/web/a/%2e/b/%2E%2e/c", "/a/c"),
        ("/%73ervices/web/x", "/x"),
        ("/services/web/?/../..", "/?/../.."),
        ("http://g/services/web/x", "/x"),
    ],
)
async def test_an_instance_is_asked_for_one_spelling(target, asked):
    async with proxy_bench() as bench:
        one = await bench.instance("a")
        bench.service("web", one)
        assert (await bench.get(target)).status == 200
        assert one.received[0].line == f"GET {asked} HTTP/1.1".encode()


@pytest.mark.parametrize(
    "target",
    [
        "//services/web/",
        "/./services/web/",
        "/x/../services/web/",
        "/services%2fweb/",
        "/Services/web/",
    ],
)
async def test_what_is_not_plainly_a_services_is_the_applications(target):
    async with proxy_bench() as bench:
        one = await bench.instance("a")
        bench.service("web", one)
        assert (await bench.get(target)).body.startswith(b"app GET ")
        assert not one.received


@pytest.mark.parametrize(
    ("second", "body"),
    [
        (b"GET /v1/b HTTP/1.1\r\nHost: g\r\n\r\n", b"app GET /v1/b "),
        (b"GET /services/web/b HTTP/1.1\r\nHost: g\r\n\r\n", b"a"),
    ],
)
@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nConnection: Upgrade\r\nUpgrade: h2c",
        b"Content-Length: 4\r\nProxy-Connection: upgrade\r\nUpgrade: websocket",
        b"Content-Length: 4\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket",
        b"Content-Length: 4\r\nContent_Length: 0",
        b"Content-Length: 4\r\nTransfer_Encoding: chunked",
        b"Content-Length: 4\r\nExpect: 100-continue",
    ],
)
async def test_the_application_and_the_front_agree_on_where_a_request_ends(head, second, body):
    """The body is itself a request's beginning: whoever misses the end would take it for one."""
    async with proxy_bench() as bench:
        bench.service("web", await bench.instance("a"))
        client = await bench.client()
        client.send(b"POST /v1/a HTTP/1.1\r\nHost: g\r\n" + head + b"\r\n\r\nGET " + second)
        answers = [await client.answer()]
        if answers[0].status == 100:
            answers[0] = await client.answer()
        assert answers[0].body == b"app POST /v1/a GET "
        if answers[0].all("connection") != ["close"]:
            assert (await client.answer()).body == body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "q.example"])
async def test_no_service_takes_the_gateways_own_name(host):
    """Whoever could would have the dashboard's visitors, and their changes."""
    async with proxy_bench(hosts=frozenset(["q.example"])) as bench:
        bench.service("web", await bench.instance("a"), hosts=[host, "web.example"])
        for name, body in ((host, b"app GET /v1/tasks "), ("web.example", b"a")):
            request = f"GET /v1/tasks HTTP/1.1\r\nHost: {name}:7470\r\n\r\n"
            assert (await bench.raw(request.encode())).body == body
