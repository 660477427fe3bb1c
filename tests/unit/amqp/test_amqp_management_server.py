"""The management API's own port: whom it serves, how many at a time, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.amqp.management import server
from gateway.component import Context
from gateway.config import GatewaySettings
from tests.support.amqp_management import Api

_REQUEST = b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


class Nobody:
    """An owner of the process who knows none of its clients."""

    def serves(self, peer: Any, own: Any) -> bool:
        return False


@asynccontextmanager
async def serving(api: Any = None, **hall: Any) -> AsyncIterator[tuple[int, Context]]:
    """Its port, and what says that the gateway leaves."""
    api = api or Api()
    context = Context(GatewaySettings(), api.hall.upstream, asyncio.Event())
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    duty = server.serve_management(context, replace(api.hall, **hall), listening)
    serving = asyncio.create_task(duty)
    try:
        yield listening.getsockname()[1], context
    finally:
        context.stopping.set()
        async with asyncio.timeout(60):
            await serving


async def ask(port: int, *headers: bytes) -> bytes:
    """The first line of the answer; empty: the connection is closed."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_REQUEST % b"".join(one + b"\r\n" for one in headers))
            return await reader.readline()
        except ConnectionError:
            return b""
        finally:
            writer.close()


async def test_it_answers_until_the_gateway_leaves() -> None:
    async with serving() as (port, context):
        assert await ask(port) == b"HTTP/1.1 200 OK\r\n"
        context.stopping.set()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_other_users_are_not_served() -> None:
    async with serving(owner=Nobody()) as (port, _):
        assert await ask(port) == b""


async def test_so_many_connections_are_served_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 1)
    async with serving() as (port, _), asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST % b"")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        assert await ask(port) == b""
        writer.close()
        await writer.wait_closed()
        # Another one has its place as soon as the server knows that it is gone.
        while not await ask(port):
            pass


async def test_pages_of_other_origins_are_refused() -> None:
    async with serving() as (port, _):
        for foreign in (
            b"Origin: https://evil.example",
            b"Origin: null",
            b"Sec-Fetch-Site: cross-site",
            b"Sec-Fetch-Site: same-site",
        ):
            assert await ask(port, foreign) == b"HTTP/1.1 403 Forbidden\r\n", foreign
        for own in (b"Origin: http://localhost", b"Sec-Fetch-Site: none"):
            assert await ask(port, own) == b"HTTP/1.1 200 OK\r\n", own


async def test_requests_whose_connection_is_gone_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    api = Api()
    known = api.cluster.answers["GetCluster"]
    release, asked = asyncio.Event(), 0

    async def slow(_request: Any) -> Any:
        nonlocal asked
        asked += 1
        await release.wait()
        return known

    api.answer("GetCluster", slow)
    async with serving(api) as (port, _), asyncio.timeout(60):
        while asked < 3:
            before = asked
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_REQUEST % b"")
            # It is refused while the connections before it are known to be open.
            closed = asyncio.create_task(reader.read())
            while asked == before and not closed.done():
                await asyncio.sleep(0)
            writer.close()
            await asyncio.gather(closed, return_exceptions=True)
        while not (line := await ask(port)):
            pass
        assert line == b"HTTP/1.1 503 Service Unavailable\r\n"
        release.set()
        while await ask(port) != b"HTTP/1.1 200 OK\r\n":
            pass
