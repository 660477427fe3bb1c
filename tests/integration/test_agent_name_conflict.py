"""Who asks whether an agent lives is told by that very process, also where TLS is mutual."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node_agent.app import serve
from node_agent.session import name_conflict as incumbent
from node_agent.session.name_conflict import is_alive
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.network.free_port import free_port
from quorate.security.tls.server import dialer_of, server_credentials
from tests.support.tls import Leaf, TestAuthority


@asynccontextmanager
async def serving(leaf: Leaf | None = None) -> AsyncIterator[tuple[str, SimpleNamespace]]:
    """The address of an agent that does nothing, and what its instance id is taken from."""
    nothing: Any = None
    sessions: Any = SimpleNamespace(instance="i1")
    credentials = server_credentials(leaf.settings()) if leaf else None
    served = await serve(
        "127.0.0.1:0", "", nothing, sessions, credentials, guarded=leaf is not None
    )
    try:
        yield served.address, sessions
    finally:
        await served.server.stop(None)


def record(address: str, instance: str = "i1") -> NodeRecord:
    return NodeRecord(name="n", instance=instance, address=address)


async def test_only_the_process_that_wrote_the_record_counts() -> None:
    dialer = dialer_of(None)
    async with serving() as (address, sessions):
        assert await is_alive(record(address), dialer)
        assert not await is_alive(record(address, "another"), dialer)
        sessions.instance = "i2"  # its lease was lost
        assert not await is_alive(record(address), dialer)
        assert await is_alive(record(address, "i2"), dialer)
    assert not await is_alive(record(address), dialer)
    assert not await is_alive(record(f"127.0.0.1:{free_port()}"), dialer)
    assert not await is_alive(record("no address"), dialer)


async def test_one_that_leaves_is_alive_until_it_has_left() -> None:
    nothing: Any = None
    sessions: Any = SimpleNamespace(instance="i1")
    served = await serve("127.0.0.1:0", "", nothing, sessions)
    await served.health.enter_graceful_shutdown()
    assert await is_alive(record(served.address), dialer_of(None))
    await served.server.stop(None)


async def test_one_that_is_silent_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incumbent, "_PATIENCE", 0.1)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        assert await is_alive(record(f"{host}:{port}"), dialer_of(None)) is None


async def test_a_node_asks_another_with_its_own_certificate(tmp_path: Path) -> None:
    ca = TestAuthority(tmp_path / "ca")
    first, second = ca.leaf("node:n1"), ca.leaf("node:n1", folder="other")
    async with serving(first) as (address, _):
        dialer = dialer_of(second.settings().client_tls)
        assert await is_alive(record(address), dialer)
        assert not await is_alive(record(address, "another"), dialer)
        assert not await is_alive(record(address), dialer_of(None))
