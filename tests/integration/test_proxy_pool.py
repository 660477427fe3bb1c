"""Connections that are kept for the next request."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.proxy.balancing.pool import Link, Pool
from gateway.proxy.options import ProxyOptions


class User:
    """Whoever has a link."""

    def __init__(self) -> None:
        self.connected: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    def on_connected(self, link: Link) -> None:
        self.connected.set_result(link)

    def on_connect_failed(self, reason: str) -> None:
        self.connected.set_exception(OSError(reason))

    def on_answer(self, data: bytes) -> None: ...

    def on_link_lost(self, error: Exception | None) -> None: ...

    def on_link_full(self, full: bool) -> None: ...


@pytest.mark.parametrize("said", [None, b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_connection_that_its_instance_has_ended_gets_no_request(said: bytes | None) -> None:
    """Also before the event loop has come to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        pool, user = Pool(host, port, ProxyOptions()), User()
        pool.open(user)
        link = await user.connected
        with server.accept()[0] as instance:
            now = link.born
            pool.give_back(link, now)
            if said is not None:
                instance.sendall(said)
                instance.shutdown(socket.SHUT_WR)
            # No await since: the loop has seen nothing.
            taken = pool.take(user, now, 60.0)
        assert taken is (link if said is None else None)
        await pool.close()
