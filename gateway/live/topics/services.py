"""Topic `services`: one WatchServices of the cluster, while somebody is subscribed.

After a broken stream the old view stands until the new snapshot is complete; clients get the
difference.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Any, cast

import structlog

from gateway.cluster.service_view import SILENCE
from gateway.http.jsonwrite import dump, to_json
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import WATCH_SERVICES, Cluster, passes
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.feed import Subscriber
from gateway.live.topics.polled import Keyed
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.backoff import Backoff
from quorate.v1 import service_pb2

log = structlog.get_logger(__name__)


class Services:
    """Every subscription to services."""

    def __init__(self, cluster: Cluster, background: BackgroundTasks, throttle: Throttle) -> None:
        self._keyed = Keyed("services", throttle)
        self._cluster = cluster
        self._background = background
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, subscriber: Subscriber, wanted: NameFilter) -> None:
        """Begin. Raises QuorateError."""
        self._keyed.subscribe(subscriber, wanted)
        if self._task is None or self._task.done():
            self._task = self._background.spawn(self._follow(), "services")

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End."""
        self._keyed.unsubscribe(subscriber)
        if not self._keyed and self._task is not None:
            self._task.cancel()
            self._task = None

    def drained(self, subscriber: Subscriber) -> None:
        """Its client keeps up again."""
        self._keyed.drained(subscriber)

    async def _follow(self) -> None:
        backoff = Backoff(0.05, 1.0, spread=0.5)
        while True:
            try:
                await self._watch()
                backoff.reset()
            except QuorateError as error:
                if not passes(error):
                    self._keyed.fail(error)
                    return
            await asyncio.sleep(backoff.next(random.random()))

    async def _watch(self) -> None:
        entities = self._keyed.entities
        snapshot: dict[str, bytes] | None = {}
        request = service_pb2.WatchServicesRequest()
        answers = self._cluster.stream(WATCH_SERVICES, request, timeout=None)
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(cast("Any", answers)), asyncio.timeout(SILENCE) as silence:
                async for answer in answers:
                    silence.reschedule(loop.time() + SILENCE)
                    items = {one.name: dump(to_json(one)) for one in answer.services}
                    entities.revision = max(entities.revision, answer.revision)
                    if snapshot is None:
                        self._keyed.spread(entities.update(items, answer.removed))
                        continue
                    snapshot.update(items)
                    if answer.snapshot_complete:
                        self._keyed.replace(snapshot)
                        snapshot = None
        except TimeoutError:
            log.info("live_watch_silent", topic="services", seconds=SILENCE)
