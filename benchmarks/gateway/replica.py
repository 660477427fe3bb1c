"""A service's replica that answers as fast as Python can: what is measured is the proxy before it.

    GET /           its instance and process
    POST /slow?1.5  the same after so many seconds
    GET /held       how many slow requests it has now

Told to end (SIGTERM), it takes no more connections and ends when its slow requests are answered.
Requests must come whole and without a body: it is for the benchmarks alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final, cast

NAME: Final = f"{os.environ.get('QUORATE_INSTANCE', 'nobody')} {os.getpid()}".encode()


class Connection(asyncio.Protocol):
    """One connection of the proxy's."""

    held = 0
    """Slow requests of all connections."""
    released: asyncio.Event

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        target = data.split(b" ", 2)[1]
        if target.startswith(b"/slow?"):
            Connection.held += 1
            Connection.released.clear()
            asyncio.get_running_loop().call_later(float(target[6:]), self._release)
        elif target == b"/held":
            self._answer(b"%d" % Connection.held)
        else:
            self._answer(NAME)

    def _release(self) -> None:
        Connection.held -= 1
        self._answer(NAME)
        if not Connection.held:
            Connection.released.set()

    def _answer(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )


async def main() -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    Connection.released = asyncio.Event()
    Connection.released.set()
    server = await loop.create_server(Connection, "127.0.0.1", int(os.environ["PORT"]))
    await told.wait()
    server.close()
    await Connection.released.wait()


if __name__ == "__main__":
    asyncio.run(main())
