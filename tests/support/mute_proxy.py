"""A TCP connection to a machine that can lose its power: it stops forwarding and closes nothing."""

from __future__ import annotations

import asyncio
from typing import Self


class MuteProxy:
    """Listens on 127.0.0.1 and forwards to `target` (host:port), both ways, until `mute`."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._passing = asyncio.Event()
        self._passing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self.address = ""

    def mute(self) -> None:
        """From now on nothing passes, in no direction."""
        self._passing.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for one in self._connections:
            one.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of its own: one that asyncio makes may not be cancelled.
        self._connections.add(asyncio.create_task(self._connect(reader, writer)))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond_reader, beyond_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, beyond_writer))
                both.create_task(self._forward(beyond_reader, writer))
        finally:
            writer.close()
            beyond_writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        # The other side learns of an end as little as of data.
        await self._passing.wait()
        writer.close()
