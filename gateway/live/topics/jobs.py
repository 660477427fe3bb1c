"""Topic `jobs`: the newest ones, and those that filters name; watched while somebody is subscribed.

Two watches of the cluster at most, for all who are subscribed: one of the newest jobs, and one of
the jobs that are named, however old, which begins anew when others are named. After a broken stream
the old view stands until the new one is complete; clients get the difference.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, cast

import structlog

from gateway.http.jsonwrite import dump, to_json
from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import WATCH_JOBS, Cluster, passes
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.feed import Subscriber
from gateway.live.topics.polled import Keyed
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.backoff import Backoff
from quorate.v1 import scheduler_pb2

log = structlog.get_logger(__name__)

# Seconds without an answer after which the stream is opened again; it has one every second.
SILENCE: Final = 20.0


class Jobs:
    """Every subscription to jobs."""

    def __init__(self, cluster: Cluster, background: BackgroundTasks, throttle: Throttle) -> None:
        self._newest = _Side(cluster, background, throttle)
        self._named = _Side(cluster, background, throttle)

    def subscribe(self, subscriber: Subscriber, wanted: NameFilter) -> None:
        """Begin. Raises QuorateError."""
        side = self._named if wanted.names else self._newest
        side.keyed.subscribe(subscriber, wanted, when=side.aim)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End."""
        side = self._side(subscriber)
        side.keyed.unsubscribe(subscriber)
        side.aim()

    def drained(self, subscriber: Subscriber) -> None:
        """Its client keeps up again."""
        self._side(subscriber).keyed.drained(subscriber)

    def _side(self, subscriber: Subscriber) -> _Side:
        return self._named if subscriber in self._named.keyed else self._newest


class _Side:
    """The subscriptions that one watch serves: those without names, or those with."""

    def __init__(self, cluster: Cluster, background: BackgroundTasks, throttle: Throttle) -> None:
        self.keyed = Keyed("jobs", throttle)
        self._cluster = cluster
        self._background = background
        self._watch: _Watch | None = None

    def aim(self) -> None:
        """Watch what is wanted now; more than that only until others are named."""
        watch = self._watch
        # The newest ones first.
        names = sorted(self.keyed.names, reverse=True)[: limits.JOB_IDS]
        if watch is not None and self.keyed and watch.has(names):
            return
        self._watch = None
        if watch is not None:
            watch.end()
        if self.keyed:
            request = scheduler_pb2.WatchJobsRequest(ids=names, newest=0 if names else limits.JOBS)
            # Who came with it waits until it is complete.
            self.keyed.entities.known = False
            self._watch = _Watch(request)
            self._watch.task = self._background.spawn(self._follow(self._watch), "jobs")

    async def _follow(self, watch: _Watch) -> None:
        backoff = Backoff(0.05, 1.0, spread=0.5)
        while True:
            try:
                await watch.read(self._cluster, self.keyed.replace)
                backoff.reset()
            except QuorateError as error:
                if not passes(error):
                    self._watch = None
                    self.keyed.fail(error)
                    return
            await asyncio.sleep(backoff.next(random.random()))


class _Watch:
    """One WatchJobs of the cluster."""

    def __init__(self, request: scheduler_pb2.WatchJobsRequest) -> None:
        self.task: asyncio.Task[None] | None = None
        self._request = request

    def has(self, names: list[str]) -> bool:
        """Whether it is of these jobs, too."""
        return set(names) <= set(self._request.ids)

    def end(self) -> None:
        """Not needed any more."""
        if self.task is not None:
            self.task.cancel()

    async def read(self, cluster: Cluster, publish: Callable[[Mapping[str, bytes]], None]) -> None:
        """Follow until the stream ends. Raises QuorateError."""
        loop = asyncio.get_running_loop()
        answers = cluster.stream(WATCH_JOBS, self._request, timeout=None)
        items: dict[str, bytes] = {}
        complete = False
        try:
            async with aclosing(cast("Any", answers)), asyncio.timeout(SILENCE) as silence:
                async for answer in answers:
                    silence.reschedule(loop.time() + SILENCE)
                    self._take(answer, items)
                    if answer.complete or (complete and (answer.jobs or answer.deleted)):
                        complete = True
                        publish(items)
        except TimeoutError:
            log.info("live_watch_silent", topic="jobs", seconds=SILENCE)

    def _take(self, answer: scheduler_pb2.WatchJobsResponse, items: dict[str, bytes]) -> None:
        for job_id in answer.deleted:
            items.pop(job_id, None)
        items |= {job.id: dump(to_json(job)) for job in answer.jobs}
        if not self._request.ids:
            # What newer ones push out; a leader of an earlier version answers with all.
            for job_id in sorted(items)[: -limits.JOBS]:
                del items[job_id]
