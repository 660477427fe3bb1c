"""WatchServices: services as their watchers see them, from the leader's memory.

```
 driver: a service was touched --> changed --build--> barrier --> views --> each watcher's names
                                            (at most 20 times a second)          |
                                                  its messages <-- views as they are by then
```

What is built is shown only when a fenced Txn behind it has committed, so no pending write is
seen. A watcher holds names, not messages: however slow it reads, it costs at most one name for
each service, and gets each service's newest view only. The feed owns all of it for one term;
when that ends, watchers get UNAVAILABLE and watch again at the next leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from quorate.etcd.generation import FIRST_GENERATION, scoped
from quorate.runtime.errors import QuorateError, exhausted, leader_lost, unavailable
from quorate.v1 import service_pb2 as pb
from scheduler.api.services import views
from scheduler.core.handlers.services.services import see_service
from scheduler.core.values import ServiceName
from scheduler.engine.driver import Driver

MAX_WATCHES: Final = 512
# Seconds between two publications: no service is published more than 20 times a second.
INTERVAL: Final = 0.05
KEEPALIVE: Final = 15.0
_BYTES_AT_ONCE: Final = 1 << 20
_SERVICES_AT_ONCE: Final = 500
# Services looked at between two turns of the event loop.
_SLICE: Final = 100


class _Watcher:
    """One open watch: what was not sent to it yet."""

    def __init__(self, names: Sequence[str]) -> None:
        self._only = frozenset(names)
        self.pending: dict[str, None] = {}
        self.wake = asyncio.Event()

    def notify(self, names: Sequence[str]) -> None:
        for name in names:
            if not self._only or name in self._only:
                self.pending[name] = None
                self.wake.set()


class ServiceFeed:
    """Follows the services of one term and serves their watchers.

    Args:
        keepalive: seconds of silence after which an empty message is sent.
        generation: of the cluster; it makes the revisions in answers grow over restores too.
    """

    def __init__(
        self, driver: Driver, keepalive: float | None = None, *, generation: int = FIRST_GENERATION
    ) -> None:
        self._driver = driver
        self._generation = generation
        self._keepalive = KEEPALIVE if keepalive is None else keepalive
        self._changed: dict[ServiceName, None] = dict.fromkeys(driver.state.services)
        self._wake = asyncio.Event()
        self._touched = asyncio.Event()
        # What is committed and may be sent, by name.
        self._views: dict[str, pb.Service] = {}
        self._revision = 0
        # Publications begun, and the last one that was finished.
        self._started = 0
        self._done = 0
        self._published = asyncio.Event()
        self._closed = False
        # A dict for its order; at most MAX_WATCHES.
        self._watchers: dict[_Watcher, None] = {}
        driver.observe_services(self._touch)

    def _touch(self, service: ServiceName) -> None:
        self._changed[service] = None
        self._wake.set()
        # Everybody who waits holds the old event; later comers get the new one.
        self._touched.set()
        self._touched = asyncio.Event()

    async def until(self, condition: Callable[[], bool], within: float) -> None:
        """Wait until `condition` holds; it is looked at when a service was touched.

        Raises:
            QuorateError: UNAVAILABLE: it did not within that many seconds.
        """
        try:
            async with asyncio.timeout(within):
                while not condition():
                    if self._closed:
                        raise leader_lost()
                    await self._touched.wait()
        except TimeoutError:
            raise unavailable(
                "ETCD_UNAVAILABLE", f"etcd did not report the change within {within:g} s"
            ) from None

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            changed, self._changed = self._changed, {}
            self._wake.clear()
            self._started += 1
            try:
                await self._publish(changed)
                self._done = self._started
                self._published.set()
                self._published = asyncio.Event()
            except QuorateError:
                # Not trusted for a moment, or the end of the term, which cancels us.
                self._changed = changed | self._changed
            await asyncio.sleep(INTERVAL)
            if not self._changed:
                await self._wake.wait()

    async def _publish(self, changed: dict[ServiceName, None]) -> None:
        state = self._driver.state
        built: dict[str, pb.Service | None] = {}
        for place, name in enumerate(changed, 1):
            row = state.services.get(name)
            view = views.service(see_service(state, row)) if row is not None else None
            if view != self._views.get(name):
                built[name] = view
            if place % _SLICE == 0:
                await asyncio.sleep(0)
        if built or not self._done:
            self._revision = await self._driver.barrier()
            for changed_name, view in built.items():
                if view is None:
                    self._views.pop(changed_name, None)
                else:
                    self._views[changed_name] = view
            for watcher in self._watchers:
                watcher.notify(list(built))

    async def _caught_up(self) -> None:
        """Wait until all that had changed when this was called may be sent."""
        needed = self._started + bool(self._changed or not self._started)
        while self._done < needed and not self._closed:
            await self._published.wait()

    async def follow(self, names: Sequence[str]) -> AsyncGenerator[pb.WatchServicesResponse, None]:
        """Answer one call: a snapshot, then what changes; only `names`, or all when empty.

        Raises:
            QuorateError: RESOURCE_EXHAUSTED past the bound; UNAVAILABLE when the term ends.
        """
        if len(self._watchers) >= MAX_WATCHES:
            raise exhausted(
                "TOO_MANY_WATCHES",
                f"{MAX_WATCHES} watches are open, which is the limit; close some or try again "
                "later",
                limit=MAX_WATCHES,
            )
        watcher = _Watcher(names)
        self._watchers[watcher] = None
        try:
            # Who watches sees in the snapshot what was answered to them before.
            await self._caught_up()
            watcher.notify(sorted(self._views))
            # Told first in, first out: what changes meanwhile comes behind the snapshot.
            left = len(watcher.pending)
            while not self._closed:
                before = len(watcher.pending)
                message = self._message(watcher)
                left -= before - len(watcher.pending)
                message.snapshot_complete = left <= 0
                yield message
                if left <= 0:
                    break
            while True:
                if not watcher.pending and not self._closed:
                    await self._news(watcher)
                if self._closed:
                    raise leader_lost()
                yield self._message(watcher)
        finally:
            del self._watchers[watcher]

    async def _news(self, watcher: _Watcher) -> None:
        """Wait until there is something to send, or for as long as silence may last."""
        watcher.wake.clear()
        try:
            async with asyncio.timeout(self._keepalive):
                await watcher.wake.wait()
        except TimeoutError:
            return

    def _message(self, watcher: _Watcher) -> pb.WatchServicesResponse:
        """What is pending, up to the bounds of one message; empty when nothing is."""
        message = pb.WatchServicesResponse(revision=scoped(self._generation, self._revision))
        size = 0
        while watcher.pending and len(message.services) < _SERVICES_AT_ONCE:
            name = next(iter(watcher.pending))
            view = self._views.get(name)
            if view is None:
                message.removed.append(name)
            else:
                size += view.ByteSize()
                if message.services and size > _BYTES_AT_ONCE:
                    break
                message.services.append(view)
            del watcher.pending[name]
        return message

    def close(self) -> None:
        """The term is over: end all watches."""
        self._closed = True
        self._published.set()
        self._touched.set()
        for watcher in self._watchers:
            watcher.wake.set()
