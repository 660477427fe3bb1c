"""The live view of services: what `ServiceRegistry.WatchServices` sends, from whichever scheduler.

A stream begins with a snapshot, which replaces the view when it is complete; changes follow. When
the stream breaks, the next scheduler is asked, at once first and then after pauses, for as long as
it takes. Meanwhile the last view stands: an outage of the schedulers does not stop the proxy, whose
own checks (failed connects, ejection) go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Final, Protocol

import structlog

from gateway.cluster.calls import Upstream
from gateway.cluster.methods import method_of
from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.backoff import Backoff
from quorate.v1 import service_pb2 as pb

log = structlog.get_logger(__name__)

# Seconds before a stream is opened again, doubled each time without a snapshot.
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
# Seconds without an answer after which it is opened again: the cluster says something every 15 s, a
# frozen scheduler nothing.
SILENCE: Final = 40.0
# Services of one snapshot: more are a fault, not a cluster.
MAX_SERVICES: Final = 100_000

_WATCH: Final = method_of(pb.DESCRIPTOR.services_by_name["ServiceRegistry"], "WatchServices")


class ViewTaker(Protocol):
    """Whoever lives by the view."""

    def replace(self, services: Iterable[pb.Service]) -> None:
        """All of it, anew."""

    def apply(self, changed: Iterable[pb.Service], removed: Iterable[str]) -> None:
        """What changed since."""


class ServiceView:
    """Keeps a `ViewTaker` up to date.

    Args:
        on_state: called with whether a stream is up, each time that changes.
    """

    def __init__(
        self,
        upstream: Upstream,
        taker: ViewTaker,
        *,
        names: Sequence[str] = (),
        on_state: Callable[[bool], None] = lambda up: None,
    ) -> None:
        self._upstream = upstream
        self._taker = taker
        self._request = pb.WatchServicesRequest(names=names)
        self._on_state = on_state
        self.live = False
        """A stream is up and its snapshot was complete."""
        self.revision = 0
        """Of the last message taken."""
        self.snapshots = 0

    async def run(self) -> None:
        """Runs until cancelled."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            before = self.snapshots
            try:
                await self._follow()
            except TimeoutError:
                log.info("service_watch_silent", seconds=SILENCE)
            except QuorateError as error:
                log.info("service_watch_failed", reason=error.reason, detail=error.message)
            finally:
                self._set_live(False)
            if self.snapshots > before:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _follow(self) -> None:
        snapshot: dict[str, pb.Service] | None = {}
        answers = self._upstream.stream(_WATCH, self._request)
        assert isinstance(answers, AsyncGenerator)
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(answers) as stream, asyncio.timeout(SILENCE) as silence:
            async for message in stream:
                silence.reschedule(loop.time() + SILENCE)
                assert isinstance(message, pb.WatchServicesResponse)
                self.revision = message.revision
                if snapshot is None:
                    self._taker.apply(message.services, message.removed)
                    continue
                for service in message.services:
                    snapshot[service.name] = service
                for name in message.removed:
                    snapshot.pop(name, None)
                if len(snapshot) > MAX_SERVICES:
                    log.error("service_snapshot_too_large", limit=MAX_SERVICES)
                    return
                if message.snapshot_complete:
                    self._taker.replace(snapshot.values())
                    snapshot = None
                    self.snapshots += 1
                    self._set_live(True)

    def _set_live(self, live: bool) -> None:
        if live != self.live:
            self.live = live
            self._on_state(live)
