"""etcd is reached directly, whatever proxy the environment names for the web."""

from __future__ import annotations

import grpc
import pytest

from quorate.etcd.channels import Endpoint
from quorate.runtime.network.free_port import free_port
from quorate.security.tls.dialer import Dialer


async def test_a_proxy_for_the_web_is_not_one_for_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    endpoint = Endpoint(f"127.0.0.1:{port}", Dialer(None))
    try:
        assert await endpoint.connected(10.0)
    finally:
        await endpoint.channel.close(None)
        await server.stop(None)
