"""Asks a replica whether it is well: over HTTP, TCP or gRPC.

A check never raises for what a replica does: it answers why it failed, or "" when it passed. Its
own bounds are the timeout that the caller sets around `run`, and the bytes read below.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from node_agent.task.work import Check
from quorate.security.tls.dialer import DIRECT

# A status line is shorter; what follows it is not read.
_STATUS_LINE = 1024
# A server that refused is tried again with the next check, not when gRPC sees fit.
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    *DIRECT,
)


class Checker(Protocol):
    """One way to ask."""

    async def run(self, timeout: float) -> str:
        """Why the check failed; "" when it passed. `timeout`: seconds."""

    async def close(self) -> None:
        """Let go of connections."""


def checker_for(check: Check, host: str, port: int) -> Checker:
    """The checker of a replica at `host`:`port`; an IPv6 address in brackets."""
    if check.kind == "grpc":
        return _Grpc(host, port, check.target)
    if check.kind == "http":
        return _Http(host, port, check.target)
    return _Tcp(host, port)


class _Tcp:
    """TCP health check: a connect must succeed."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = port

    async def run(self, timeout: float) -> str:
        try:
            async with asyncio.timeout(timeout):
                return await self._ask()
        except TimeoutError:
            return f"{self._what} was not answered within {timeout:g} s"
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            return f"{self._what}: {_reason(error)}"

    async def close(self) -> None:
        return

    @property
    def _what(self) -> str:
        return f"a connect to port {self._port}"

    async def _ask(self) -> str:
        _, writer = await asyncio.open_connection(self._host, self._port)
        await _hang_up(writer)
        return ""


class _Http(_Tcp):
    """GET answers 200 to 399; where a redirect leads is not looked at."""

    def __init__(self, host: str, port: int, path: str) -> None:
        super().__init__(host, port)
        self._path = path
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: quorate-health\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode()

    @property
    def _what(self) -> str:
        return f"GET {self._path}"

    async def _ask(self) -> str:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_STATUS_LINE)
        try:
            writer.write(self._request)
            line = await reader.readuntil(b"\n")
        finally:
            await _hang_up(writer)
        status = _status(line)
        return "" if 200 <= status < 400 else f"GET {self._path} answered {status}"


class _Grpc:
    """grpc.health.v1 answers SERVING."""

    def __init__(self, host: str, port: int, service: str) -> None:
        self._service = service
        self._channel = grpc.aio.insecure_channel(f"{host}:{port}", options=_CHANNEL_OPTIONS)
        self._stub = health_pb2_grpc.HealthStub(self._channel)

    async def run(self, timeout: float) -> str:
        request = health_pb2.HealthCheckRequest(service=self._service)
        try:
            answer = await self._stub.Check(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return f"the gRPC health check failed with {error.code().name}: {error.details()}"
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
            return f"the gRPC health check answered {status}"
        return ""

    async def close(self) -> None:
        await self._channel.close(None)


def _status(line: bytes) -> int:
    """The code of `HTTP/1.1 200 OK`. Raises ValueError."""
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or len(code) != 3:
        raise ValueError("the answer is not HTTP")
    return int(code)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection was closed before an answer"
    if isinstance(error, asyncio.LimitOverrunError):
        return "the answer is not HTTP"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
