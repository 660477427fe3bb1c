"""Many WebSocket clients in one process, for `benchmarks.gateway.live`: some read, some stall.

    python -m benchmarks.gateway.live_clients HOST:PORT --clients 500 --stalled 5 --seconds 25

Says `ready` when all are subscribed, and at the end one line of JSON. A client's own cost is kept
small: of the frames only the heads are read, but for each twentieth, which is parsed in full.
A delay is from the instant that an item names (its latest) until it is here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, cast

import uvloop

_EVERY: Final = 20
_CONNECTING: Final = 20
_SUBSCRIBE: Final = b'{"op":"subscribe","id":"bench","topic":"tasks"}'
# Of a stalled client: so that it stalls soon.
_SMALL: Final = 64 * 1024


class LiveClient(asyncio.Protocol):
    """One client."""

    def __init__(self, number: int, address: str, *, stalls: bool) -> None:
        self._number = number
        self._address = address
        self._stalls = stalls
        self._buffer = bytearray()
        self._greeted = False
        self.frames = 0
        self.received = 0
        self.delays: list[float] = []
        self.snapshots = 0
        self.lost = False
        self.subscribed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            f"GET /v1/live HTTP/1.1\r\nHost: {self._address}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.subscribed.done():
            self.subscribed.set_exception(exc or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        if not self._greeted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self._buffer[:end]:
                raise ConnectionError(bytes(self._buffer[:end]).decode())
            del self._buffer[: end + 4]
            self._greeted = True
            # Masked with zeros, which changes nothing.
            self.transport.write(bytes((0x81, 0x80 | len(_SUBSCRIBE), 0, 0, 0, 0)) + _SUBSCRIBE)
        for opcode, payload in self._messages():
            self._on_message(opcode, payload)

    def _messages(self) -> Iterator[tuple[int, memoryview]]:
        buffer, place = self._buffer, 0
        with memoryview(buffer) as view:
            while len(buffer) - place >= 2:
                size, head = buffer[place + 1], 2
                if size == 126:
                    size, head = int.from_bytes(buffer[place + 2 : place + 4], "big"), 4
                elif size == 127:
                    size, head = int.from_bytes(buffer[place + 2 : place + 10], "big"), 10
                if len(buffer) - place < head + size:
                    break
                payload = view[place + head : place + head + size]
                yield buffer[place] & 15, payload
                payload.release()
                place += head + size
        del buffer[:place]

    def _on_message(self, opcode: int, payload: memoryview) -> None:
        if opcode == 9:
            self.transport.write(bytes((0x8A, 0x80, 0, 0, 0, 0)))
            return
        if opcode != 1:
            return
        self.frames += 1
        start = bytes(payload[:40])
        if b'"snapshot"' in start:
            self.snapshots += 1
            if not self.subscribed.done():
                self.subscribed.set_result(None)
                if self._stalls:
                    self.transport.pause_reading()
        elif b'"delta"' in start and (self.frames + self._number) % _EVERY == 0:
            now = time.time()
            items = json.loads(bytes(payload))["changed"]
            self.delays += (now - _latest(item) for item in items)


def _latest(item: dict[str, Any]) -> float:
    attempt = (item.get("attempts") or [{}])[-1]
    stamp = (
        item.get("finishTime")
        or attempt.get("startTime")
        or attempt.get("assignTime")
        or item["createTime"]
    )
    return datetime.fromisoformat(stamp).timestamp()


async def _connect(number: int, address: str, *, stalls: bool) -> LiveClient:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    if stalls:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
    await loop.sock_connect(connection, (host, int(port)))
    _, client = await loop.create_connection(
        lambda: LiveClient(number, address, stalls=stalls), sock=connection
    )
    async with asyncio.timeout(30):
        await client.subscribed
    return client


async def _run(address: str, clients: int, stalled: int, seconds: float) -> None:
    found: list[LiveClient] = []
    for start in range(0, clients, _CONNECTING):
        found += await asyncio.gather(
            *(
                _connect(number, address, stalls=number < stalled)
                for number in range(start, min(clients, start + _CONNECTING))
            )
        )
    print("ready", flush=True)
    before = [(client.frames, client.received) for client in found]
    began = time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    reading = found[stalled:]
    frames = sum(c.frames - b[0] for c, b in zip(reading, before[stalled:], strict=True))
    received = sum(c.received - b[1] for c, b in zip(reading, before[stalled:], strict=True))
    lost = sum(client.lost for client in reading)
    # A stalled one learns that it was closed when it reads again.
    for client in found[:stalled]:
        with contextlib.suppress(RuntimeError):
            client.transport.resume_reading()
    await asyncio.sleep(3.0)
    print(
        json.dumps(
            {
                "delays": sorted(round(d * 1000, 3) for c in reading for d in c.delays),
                "frames": frames / took,
                "bytes": received / took,
                "lost": lost,
                "snapshots": sum(client.snapshots - 1 for client in reading),
                "stalled_closed": sum(client.lost for client in found[:stalled]),
            }
        ),
        flush=True,
    )


def main() -> int:
    """Run the clients."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.live_clients")
    parser.add_argument("address")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--stalled", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=25.0)
    asked = parser.parse_args()
    uvloop.run(_run(asked.address, asked.clients, asked.stalled, asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
