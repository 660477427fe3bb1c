"""The health port: what it answers, what it refuses, and its bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from pydantic import ValidationError

from gateway.config import GatewaySettings
from node_agent.config import AgentSettings
from quorate.runtime.process.startup import CannotStart
from quorate.telemetry import server as module
from quorate.telemetry.server import HealthServer
from scheduler.config import SchedulerSettings


class Probed(HealthServer):
    """A server whose readiness a test sets."""

    why = ""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:0", "scheduler", ready=self._why)

    async def _why(self) -> str:
        return self.why


@pytest_asyncio.fixture
async def probed() -> AsyncIterator[Probed]:
    server = Probed()
    await server.start()
    yield server
    await server.close()


async def connect(server: HealthServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = server.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def ask(server: HealthServer, raw: bytes) -> tuple[int, bytes]:
    """Status (0: closed without an answer) and body."""
    reader, writer = await connect(server)
    writer.write(raw)
    try:
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    except ConnectionResetError:
        head, body = b"", b""
    writer.close()
    return (int(head.split()[1]) if head else 0), body


async def get(server: HealthServer, path: str) -> tuple[int, bytes]:
    return await ask(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


async def test_it_lives_and_tells_the_time(probed: Probed) -> None:
    status, body = await get(probed, "/livez?verbose")
    assert status == 200
    assert json.loads(body)["time"] > 1_700_000_000


async def test_it_says_why_it_is_not_ready(probed: Probed) -> None:
    assert (await get(probed, "/readyz"))[0] == 200
    probed.why = "there is no leader at present; try again"
    status, body = await get(probed, "/readyz")
    assert (status, json.loads(body)["why"]) == (503, probed.why)


async def test_the_metrics_name_the_process(probed: Probed) -> None:
    status, body = await get(probed, "/metrics")
    assert status == 200
    assert b'quorate_build_info{component="scheduler",version=' in body
    assert b"process_resident_memory_bytes" in body


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"\x16\x03\x01 what is this\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 0),
    ],
    ids=["another path", "another method", "no HTTP", "too long a head"],
)
async def test_what_it_does_not_serve(probed: Probed, raw: bytes, status: int) -> None:
    assert (await ask(probed, raw))[0] == status
    assert (await get(probed, "/livez"))[0] == 200


async def test_a_head_request_gets_no_body(probed: Probed) -> None:
    assert await ask(probed, b"HEAD /livez HTTP/1.1\r\n\r\n") == (200, b"")


async def test_a_client_that_says_nothing_is_let_go(
    probed: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    assert (await ask(probed, b"GET /livez"))[0] == 0


async def test_one_connection_too_many_is_closed(
    probed: Probed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    held = [await connect(probed) for _ in range(2)]
    while len(probed._serving) < 2:
        await asyncio.sleep(0)
    assert (await get(probed, "/livez"))[0] == 0
    for _, writer in held:
        writer.close()
    while probed._serving:
        await asyncio.sleep(0)
    assert (await get(probed, "/livez"))[0] == 200


async def test_closing_ends_what_is_open(probed: Probed) -> None:
    reader, writer = await connect(probed)
    while not probed._serving:
        await asyncio.sleep(0)
    await probed.close()
    assert await reader.read() == b""
    writer.close()
    assert probed.address == ""


async def test_without_an_address_it_does_nothing() -> None:
    async def ready() -> str:
        return ""

    server = HealthServer("", "gateway", ready=ready)
    await server.start()
    assert server.address == ""
    await server.close()


async def test_an_address_in_use_is_one_sentence_that_names_the_flag(probed: Probed) -> None:
    async def ready() -> str:
        return ""

    second = HealthServer(probed.address, "gateway", ready=ready)
    with pytest.raises(CannotStart) as refused:
        await second.start()
    assert str(refused.value).startswith(f"cannot listen on {probed.address} (--health-listen): ")
    assert "in use" in str(refused.value)
    assert second.address == ""
    await second.close()


@pytest.mark.parametrize("make", [SchedulerSettings, AgentSettings, GatewaySettings])
@pytest.mark.parametrize("value", ["7490", ":7490", "host:", "host:65536", "host:-1", "host:x"])
def test_what_is_no_address_is_refused(make: Callable[..., object], value: str) -> None:
    with pytest.raises(ValidationError, match="is not host:port"):
        make(health_listen=value)


@pytest.mark.parametrize("make", [SchedulerSettings, AgentSettings, GatewaySettings])
def test_it_is_off_by_default_and_may_be_anywhere(make: Callable[..., object]) -> None:
    assert make().health_listen == ""  # type: ignore[attr-defined]
    assert make(health_listen="0.0.0.0:7490").health_listen  # type: ignore[attr-defined]
