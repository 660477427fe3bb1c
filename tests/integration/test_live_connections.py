"""/v1/live on a real socket: which connections are refused, and which are ended."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from gateway.live import limits
from gateway.live.endpoint import Live
from tests.support.live import (
    FakeCluster,
    client,
    serving,
)
from tests.support.live_gateway import gateway
from tests.support.server import until


@pytest.fixture
async def cluster():
    return FakeCluster()


async def test_malformed_messages_are_told_and_then_the_connection_is_closed(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        for text in ("{", "[]", '{"op":"dance"}', '{"op":"subscribe","id":"x","topic":"y"}'):
            await one.socket.send(text)
            told = await one.hear()
            assert told["kind"] == "error"
            assert told["problem"]["status"] == 400
        assert told["id"] == "x"
        await one.say(op="ping")
        assert await one.hear() == {"kind": "pong"}
        await one.socket.send("]")
        assert (await one.hear())["kind"] == "error"
        await closed(one, 1008)


async def closed(one, code):
    async def listen():
        while True:
            await one.hear()

    with pytest.raises(ConnectionClosed) as caught:
        await listen()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == code


async def test_a_flood_is_ended(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        for _ in range(limits.MESSAGES_A_SECOND + 20):
            await one.say(op="ping")
        await closed(one, 1008)


async def test_too_large_binary_and_torn_messages_are_ended(cluster):
    async with gateway(cluster) as (_, address):
        for message, code in (("x" * (limits.MESSAGE + 1), 1009), (b"{}", 1003)):
            async with client(address) as one:
                await one.socket.send(message)
                await closed(one, code)
        async with client(address) as one:
            await one.socket.send(b"\xff\xfe", text=True)
            await closed(one, 1007)
        async with client(address) as one:
            await one.socket.send(['{"op":', '"pi', 'ng"}'])
            assert await one.hear() == {"kind": "pong"}


async def test_subscriptions_of_a_connection_are_bounded(cluster, monkeypatch):
    monkeypatch.setattr(limits, "SUBSCRIPTIONS", 2)
    async with gateway(cluster) as (_, address), client(address) as one:
        for name in ("a", "b", "c"):
            await one.subscribe(name, "tasks")
        told = await one.until(kind="error")
        assert told["id"] == "c"
        assert told["problem"]["reason"] == "TOO_MANY_SUBSCRIPTIONS"
        await one.say(op="unsubscribe", id="a")
        await one.subscribe("c", "tasks")
        assert (await one.until(id="c"))["kind"] == "snapshot"


async def test_connections_are_bounded(cluster):
    async with gateway(cluster, connections=1) as (live, address):
        async with client(address):
            with pytest.raises(InvalidStatus) as caught:
                async with client(address):
                    pass
            assert caught.value.response.status_code == 503
            problem = json.loads(caught.value.response.body or b"")
            assert problem["reason"] == "TOO_MANY_CONNECTIONS"
        await until(lambda: not live.connections, "the client is gone")
        async with client(address):
            assert live.connections == 1


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://evil.example", False), ("null", False), ("https://good.example", True)],
)
async def test_pages_of_other_origins_may_not_connect(cluster, origin, allowed):
    async with gateway(cluster, origins=["https://good.example"]) as (_, address):
        async with client(address, origin=f"http://{address}"):
            pass
        if allowed:
            async with client(address, origin=origin):
                return
        with pytest.raises(InvalidStatus) as caught:
            async with client(address, origin=origin):
                pass
        assert caught.value.response.status_code == 403
        assert b"FOREIGN_ORIGIN" in (caught.value.response.body or b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /v1/other HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 404),
        ("GET /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 400),
        ("POST /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 405),
        (
            "GET /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Transfer-Encoding: chunked",
            400,
        ),
        (
            "GET /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            400,
        ),
        ("GET /v1/live HTTP/1.1", 426),
        # Such a target is no URL.
        ("GET //[x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 404),
        ("GET //x/v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 404),
        ("GET http://x/v1/live?a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 400),
    ],
)
async def test_what_is_no_handshake_is_told_so(cluster, head, status):
    async with gateway(cluster) as (_, address):
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}\r\nHost: {address}\r\n\r\n".encode())
        assert int((await reader.readline()).split()[1]) == status
        rest = b""
        while b"}" not in rest:
            rest += await reader.read(4096)
        assert b"application/problem+json" in rest
        writer.close()


async def test_a_bug_in_the_handshake_costs_that_connection_alone(cluster, monkeypatch):
    states = set()

    class Broken(Live):
        def protocol(self, config, server_state, app_state):
            states.add(server_state)
            return super().protocol(config, server_state, app_state)

        def admit(self, target, headers):
            raise ZeroDivisionError

    live = Broken(cluster, "g1")
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    async with serving(live) as address:
        with pytest.raises((ConnectionError, InvalidMessage)):
            async with connect(f"ws://{address}/v1/live"):
                pass
        (state,) = states
        # Uvicorn counts these, and refuses requests when there are too many.
        await until(lambda: not state.connections, "it is not counted any more")
    # Not swallowed either.
    assert isinstance(heard[0]["exception"], ZeroDivisionError)


async def test_sub_paths_are_understood(cluster):
    async with gateway(cluster, root_path="/quorate") as (_, address):
        for path in ("/quorate/v1/live", "/v1/live"):
            async with connect(f"ws://{address}{path}") as one:
                assert "hello" in str(await one.recv())


async def test_leaving_tells_clients_to_go_on_elsewhere(cluster):
    async with gateway(cluster) as (_, address):
        entered = client(address)
        one = await entered.__aenter__()
    await closed(one, 1001)
    await entered.__aexit__(None, None, None)
