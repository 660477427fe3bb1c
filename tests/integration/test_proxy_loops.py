"""Services whose instance is a gateway: a request goes round once, and chains are no loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import FakeInstance, ProxyBench, Received, ok, proxy_bench

HOST = b"GET / HTTP/1.1\r\nHost: loop.example\r\n%b\r\n"


@pytest.fixture
async def bench() -> AsyncIterator[ProxyBench]:
    async with proxy_bench() as made:
        yield made


def gateway_as_instance(bench: ProxyBench, name: str = "gateway") -> FakeInstance:
    """Never started: at its address there is the gateway itself."""
    instance = FakeInstance(name)
    instance.port = bench.port
    return instance


async def test_a_service_whose_instance_is_the_gateway_is_508(bench: ProxyBench) -> None:
    bench.service("loop", gateway_as_instance(bench), hosts=["loop.example"])
    answer = await bench.raw(HOST % b"")
    assert (answer.status, answer.reason) == (508, "LOOP_DETECTED")
    assert answer.json["metadata"] == {"service": "loop"}
    figures = bench.figures("loop")
    assert (figures["requests"], figures["instances"][0]["requests"]) == (1, 1)
    assert figures["in_flight"] == 0


async def test_a_loop_of_two_gateways_is_508(bench: ProxyBench) -> None:
    async with proxy_bench() as other:
        bench.service("loop", gateway_as_instance(other), hosts=["loop.example"])
        other.service("loop", gateway_as_instance(bench), hosts=["loop.example"])
        answer = await bench.raw(HOST % b"")
        assert (answer.status, answer.reason) == (508, "LOOP_DETECTED")
        assert [one.figures("loop")["requests"] for one in (bench, other)] == [1, 1]


async def test_an_instance_may_call_another_service_with_the_headers_it_got(
    bench: ProxyBench,
) -> None:
    async def pass_on(
        instance: FakeInstance,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        way = request.one("cdn-loop")
        inner = await bench.get("/services/inner/", f"CDN-Loop: {way}")
        writer.write(ok(inner.body))

    outer, inner = await bench.instance("outer", pass_on), await bench.instance("inner")
    bench.service("outer", outer)
    bench.service("inner", inner)
    answer = await bench.get("/services/outer/", "CDN-Loop: a;x=1, b", "cdn-loop: c")
    assert (answer.status, answer.body) == (200, b"inner")
    way = inner.received[0].one("cdn-loop").split(", ")
    assert way[:3] == ["a;x=1", "b", "c"]
    gateway = way[3].removesuffix(";s=outer")
    assert way[3:] == [f"{gateway};s=outer", f"{gateway};s=inner"]
    assert gateway.startswith("quorate-")


async def test_nobody_takes_the_mark_off_by_connection(bench: ProxyBench) -> None:
    one = await bench.instance("one")
    bench.service("web", one)
    await bench.get("/services/web/", "CDN-Loop: a", "Connection: cdn-loop")
    assert one.received[0].one("cdn-loop").startswith("a, quorate-")
