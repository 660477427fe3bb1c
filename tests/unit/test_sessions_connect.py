"""How quickly a link finds out that nobody listens at a node's address."""

from __future__ import annotations

import asyncio
import socket

import pytest

from quorate.security.tls.server import open_channel
from scheduler.agents.node_link import CHANNEL_OPTIONS, _connected


async def test_a_refused_connect_is_not_tried_until_the_timeout():
    with socket.socket() as taken:
        # Bound and not listening: the port is nobody else's, and a connect is refused.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = asyncio.get_running_loop().time()
        channel = open_channel(address, None, CHANNEL_OPTIONS)
        async with channel, asyncio.timeout(60):
            with pytest.raises(TimeoutError):
                await _connected(channel)
    # Our own timeouts (2 s to connect) and gRPC's (20 s) lie far above a refusal.
    assert asyncio.get_running_loop().time() - began < 1.5
