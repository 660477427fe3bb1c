"""What a service may say to browsers: all on an origin of its own, little beside the dashboard."""

from __future__ import annotations

import pytest

from gateway.proxy.http1.header_names import ORIGIN_WIDE
from tests.support.proxy import ok, proxy_bench

WIDE = [b"%b: x" % name for name in sorted(ORIGIN_WIDE)]


async def generous(instance, request, reader, writer):
    """Says everything that acts on an origin, early hints included."""
    hints = b"\r\n".join([b"HTTP/1.1 103 Early Hints", *WIDE])
    writer.write(hints + b"\r\n\r\n" + ok(b"page", b"X-Own: 1", *WIDE))


def at_own_host(path: str, *lines: str) -> bytes:
    more = "".join(f"{line}\r\n" for line in lines)
    return f"GET {path} HTTP/1.1\r\nHost: web.localhost\r\n{more}\r\n".encode()


async def test_headers_for_a_whole_origin_pass_on_a_services_own_only() -> None:
    async with proxy_bench() as bench:
        bench.service("web", await bench.instance("a", generous))
        client = await bench.client()
        client.send(b"GET /services/web/ HTTP/1.1\r\nHost: gateway\r\n\r\n")
        for status in (103, 200):
            answer = await client.answer()
            assert answer.status == status
            assert not {name for name, _ in answer.headers} & {n.decode() for n in ORIGIN_WIDE}
        assert (answer.body, answer.one("x-own")) == (b"page", "1")
        client.send(at_own_host("/"))
        assert (await client.answer()).status == 103
        answer = await client.answer()
        assert {n.decode() for n in ORIGIN_WIDE} <= {name for name, _ in answer.headers}


@pytest.mark.parametrize("path", ["sw.js", "deep/sw.js", "", "a/../sw.js", "sw.js?v=1"])
async def test_the_script_of_a_service_worker_is_refused_at_a_path(path: str) -> None:
    async with proxy_bench() as bench:
        instance = await bench.instance("a")
        bench.service("web", instance)
        asked = f"/services/web/{path}"
        answer = await bench.get(asked, "Service-Worker: script")
        assert (answer.status, answer.reason) == (403, "SERVICE_WORKER_REFUSED")
        assert answer.json["metadata"]["service"] == "web"
        assert not instance.received
        # As a page's script it is like any other.
        assert (await bench.get(asked)).status == 200
        # Where the origin is the service's own, so is its worker.
        assert (await bench.raw(at_own_host(f"/{path}", "Service-Worker: script"))).status == 200
        assert instance.received[-1].one("service-worker") == "script"
        # An authority in the request line that is the service's own leads to that origin.
        line = f"GET http://web.localhost/{path} HTTP/1.1\r\nHost: web.localhost\r\n"
        answer = await bench.raw(f"{line}Service-Worker: script\r\n\r\n".encode())
        assert answer.status == 200


async def test_without_paths_the_script_is_at_the_services_own_origin() -> None:
    """A browser takes no script of a service worker from behind a redirect."""
    async with proxy_bench(paths=False, hosts=frozenset(("gateway",))) as bench:
        bench.service("web", await bench.instance("a"))
        asked = b"GET /services/web/sw.js HTTP/1.1\r\nHost: localhost:1\r\n"
        answer = await bench.raw(asked + b"Service-Worker: script\r\n\r\n")
        assert (answer.status, answer.one("location")) == (308, "//web.localhost:1/sw.js")


async def test_a_tunnel_at_a_path_says_nothing_of_the_origin_either() -> None:
    async def upgrade(instance, request, reader, writer):
        head = (b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", *WIDE)
        writer.write(b"\r\n".join((*head, b"Connection: upgrade")) + b"\r\n\r\n")
        await reader.read()

    async with proxy_bench() as bench:
        bench.service("web", await bench.instance("a", upgrade))
        answer = await bench.get(
            "/services/web/", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"
        )
        assert answer.status == 101
        assert not {name for name, _ in answer.headers} & {n.decode() for n in ORIGIN_WIDE}


async def test_no_script_of_the_gateway_itself_becomes_a_service_worker() -> None:
    """A service's page at a path could ask for that."""
    async with proxy_bench() as bench:
        for path in ("/theme.js", "/services", "/%73ervices", "/v1/tasks", "*"):
            answer = await bench.get(path, "Service-Worker: script")
            assert (answer.status, answer.reason) == (403, "SERVICE_WORKER_REFUSED")
            assert (await bench.get(path)).status != 403
