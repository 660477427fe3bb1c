"""A stream in both directions that goes on with the next leader.

    opened --answers--> works --it breaks--> pause --> opened again, at another scheduler
                          '--the cluster refuses--> failed        '--close--> ended

Subclasses say what goes out first on each new stream; what the former one left open is theirs to
repeat. A cluster that is away for a minute is waited for; a used-up quota of the caller, for
`MOST_LIMITED`: it may never be free again.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import grpc
import structlog

from gateway.cluster.calls import Metadata, Upstream
from gateway.cluster.duplex import Duplex
from quorate.client.transport.policy import Pauses
from quorate.runtime.ending import end_task
from quorate.runtime.errors import QuorateError

# The stubs do not know it.
_EOF: Any = getattr(grpc.aio, "EOF")  # noqa: B009

log = structlog.get_logger(__name__)

# Seconds in which every stream is refused because of a quota, such as that of streams of a caller.
MOST_LIMITED: Final = 10.0


class Stream(ABC):
    """One stream of one connection. Lives in one event loop.

    Args:
        path: of the method.
        metadata: whose calls they are, at that moment.
        failed: called once when the cluster refuses the stream, and nothing helps.
    """

    def __init__(
        self,
        upstream: Upstream,
        path: str,
        metadata: Callable[[], Metadata],
        failed: Callable[[QuorateError], None],
    ) -> None:
        self._upstream = upstream
        self._duplex = Duplex(upstream, path)
        self._metadata = metadata
        self._failed = failed
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        # Since when each stream was refused because of a quota; monotonic seconds.
        self._limited_since: float | None = None

    def start(self) -> None:
        """Begin, if it has not."""
        if self._task is None and not self._ended:
            self._task = asyncio.create_task(self._run(), name="amqp stream")

    async def stop(self) -> None:
        """End at once. Idempotent."""
        self._ended = True
        if self._task is not None:
            await end_task(self._task)

    @abstractmethod
    def _begin(self) -> None:
        """A stream is opened: what was sent before was perhaps not received."""

    @abstractmethod
    def _outgoing(self) -> bytes | None:
        """The next request; None: nothing to say yet."""

    @abstractmethod
    async def _received(self, data: bytes) -> None:
        """An answer came."""

    async def _run(self) -> None:
        try:
            await self._go_on()
        except Exception:
            # A defect of the gateway: the client learns of it, and does not wait for ever.
            log.exception("amqp_stream_failed")
            self._ended = True
            text = "a stream of the gateway failed; its log says why"
            self._failed(QuorateError(grpc.StatusCode.INTERNAL, "STREAM_FAILED", text))

    async def _go_on(self) -> None:
        pauses = Pauses(len(self._upstream.addresses))
        while not self._ended:
            call = self._duplex.open(self._metadata())
            self._begin()
            try:
                if await self._one(call):
                    pauses = Pauses(len(self._upstream.addresses))
                if self._is_ended():
                    return
                # It ended without an error: as if its leader had.
                self._duplex.broken()
            except grpc.aio.AioRpcError as error:
                if self._duplex.heard:
                    pauses = Pauses(len(self._upstream.addresses))
                final = self._duplex.on_error(error) or self._limited_too_long()
                if final is not None:
                    self._ended = True
                    self._failed(final)
                    return
            await asyncio.sleep(pauses.next())

    def _limited_too_long(self) -> QuorateError | None:
        limited = self._duplex.limited
        if limited is None or self._duplex.heard:
            self._limited_since = None
            return None
        now = asyncio.get_running_loop().time()
        if self._limited_since is None:
            self._limited_since = now
        return limited if now - self._limited_since >= MOST_LIMITED else None

    def _is_ended(self) -> bool:
        return self._ended

    async def _one(self, call: Any) -> bool:
        """One stream, until it ends; whether anything was heard. Raises AioRpcError."""
        sending = asyncio.create_task(self._send(call), name="amqp stream out")
        try:
            while (data := await call.read()) is not _EOF:
                self._duplex.on_answer()
                await self._received(data)
        finally:
            call.cancel()
            # Whatever broke it is what reading says.
            await end_task(sending)
        return self._duplex.heard

    async def _send(self, call: Any) -> None:
        while True:
            self._news.clear()
            while (data := self._outgoing()) is not None:
                await call.write(data)
            await self._news.wait()
