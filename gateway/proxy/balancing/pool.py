"""Connections to one instance: kept alive, bounded, used again newest first.

A `Pool` owns every connection to its instance and the tasks that open them. A `Link` is one such
connection; while an exchange has it, what arrives and its loss go to that exchange. Idle links are
closed after `link_idle`, and at once when the instance gets no new requests (`retire`): those that
are in use then end with their exchange.

The number of links in use is bounded by the requests in flight at the instance (the policy's
`circuit_breaker`), that of idle ones by `idle_links`.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections import deque
from typing import Final, Protocol, cast

from gateway.proxy.options import ProxyOptions

# Bytes of an answer that are read from a connection which was reset.
MAX_REST: Final = 1 << 20


class LinkUser(Protocol):
    """Whoever has a link."""

    def on_connected(self, link: Link) -> None:
        """The link that was asked for."""

    def on_connect_failed(self, reason: str) -> None:
        """There is none."""

    def on_answer(self, data: bytes) -> None:
        """Bytes arrived."""

    def on_link_lost(self, error: Exception | None) -> None:
        """The connection has ended; `error` unless the instance closed it in order."""

    def on_link_full(self, full: bool) -> None:
        """The link's buffer is above, or again below, its mark."""


class Link(asyncio.Protocol):
    """One connection to an instance."""

    __slots__ = ("_pool", "born", "idle_since", "transport", "used", "user")

    transport: asyncio.Transport

    def __init__(self, pool: Pool, now: float) -> None:
        self._pool = pool
        self.user: LinkUser | None = None
        self.born = now
        self.idle_since = now
        self.used = False
        """It has carried a request before."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self._pool.links.add(self)

    def data_received(self, data: bytes) -> None:
        if self.user is not None:
            self.user.on_answer(data)
        else:
            # An answer to no request: the two sides do not agree on where messages end.
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if exc is not None and self.user is not None:
            self._read_rest()
        if self.user is not None:
            user, self.user = self.user, None
            user.on_link_lost(exc)

    def _read_rest(self) -> None:
        """Give the user what the instance sent before it reset the connection.

        One that answers before it has read all of the request, and closes, makes our next write
        fail; its answer is still in the socket then, where the event loop does not look any more.
        """
        ours = self.transport.get_extra_info("socket")
        if ours is None or ours.fileno() < 0:
            return
        size = 0
        with socket.socket(fileno=os.dup(ours.fileno())) as rest:
            while self.user is not None and size < MAX_REST:
                try:
                    data = rest.recv(65_536, socket.MSG_DONTWAIT)
                except OSError:
                    return
                if not data:
                    return
                size += len(data)
                self.user.on_answer(data)

    def is_over(self) -> bool:
        """Whether the instance has said anything to nobody, or hung up: the event loop may not
        have come to it yet. Costs 2 us."""
        ours = self.transport.get_extra_info("socket")
        if ours is None or ours.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(ours.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.on_link_full(True)

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.on_link_full(False)

    def drop(self) -> None:
        """End the connection at once, without a word to its user."""
        self.user = None
        self.transport.abort()


class Pool:
    """The connections to one instance.

    Args:
        host, port: where it listens.
    """

    def __init__(self, host: str, port: int, options: ProxyOptions) -> None:
        self.host = host
        self.port = port
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Link] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._retired = False
        self._closed = False
        self.links: set[Link] = set()

    @property
    def idle(self) -> int:
        """Connections without a request."""
        return len(self._idle)

    def take(self, user: LinkUser, now: float, most_idle: float) -> Link | None:
        """A connection that has been idle for `most_idle` seconds at most; None if there is none.

        The newest first: those left over grow old and are closed. One that is over is closed too: a
        request that was sent there would be lost, and not every request may be sent again.
        """
        while self._idle and now - self._idle[-1].idle_since <= most_idle:
            link = self._idle.pop()
            if link.is_over():
                link.drop()
                continue
            link.user = user
            link.used = True
            return link
        return None

    def open(self, user: LinkUser) -> None:
        """Open a connection for `user`, which is called with it or with the failure."""
        if self._closed:
            self._loop.call_soon(user.on_connect_failed, "the gateway is shutting down")
            return
        task = self._loop.create_task(self._open(user))
        self._opening.add(task)
        task.add_done_callback(lambda task: self._opened(task, user))

    def _opened(self, task: asyncio.Task[None], user: LinkUser) -> None:
        self._opening.discard(task)
        # By `close`. Told here, since a task that was cancelled before it began runs no code.
        if task.cancelled():
            user.on_connect_failed("the gateway is shutting down")

    async def _open(self, user: LinkUser) -> None:
        try:
            async with asyncio.timeout(self._options.connect_timeout):
                _, link = await self._loop.create_connection(
                    lambda: Link(self, self._loop.time()), self.host, self.port
                )
        except TimeoutError:
            user.on_connect_failed(f"no connection within {self._options.connect_timeout:g} s")
        except OSError as error:
            user.on_connect_failed(error.strerror or type(error).__name__)
        except UnicodeError:
            # By IDNA: an empty label, or one that is too long.
            user.on_connect_failed("its host is not a name")
        else:
            if link.transport.is_closing():
                user.on_connect_failed("it closed the connection, or sent data first")
            else:
                link.user = user
                user.on_connected(link)

    def give_back(self, link: Link, now: float) -> None:
        """The exchange is over and the connection could carry another one."""
        link.user = None
        if (
            self._retired
            or len(self._idle) >= self._options.idle_links
            or now - link.born > self._options.link_age
            or link.transport.is_closing()
        ):
            link.transport.close()
            return
        link.idle_since = now
        self._idle.append(link)

    def forget(self, link: Link) -> None:
        """A connection has ended."""
        self.links.discard(link)
        if link.user is None:
            try:
                self._idle.remove(link)
            except ValueError:
                pass  # it was in use, or being closed

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        idle = self._idle
        while idle and now - idle[0].idle_since > self._options.link_idle:
            idle.popleft().transport.close()

    def retire(self) -> None:
        """No new requests: close what is idle, and the rest as it comes back."""
        self._retired = True
        while self._idle:
            self._idle.popleft().transport.close()

    def revive(self) -> None:
        """New requests again."""
        self._retired = False

    async def close(self) -> None:
        """End everything. Users are notified that their connection is lost."""
        self.retire()
        self._closed = True
        for task in list(self._opening):
            task.cancel()
        if self._opening:
            await asyncio.wait(list(self._opening))
        for link in list(self.links):
            link.transport.abort()
