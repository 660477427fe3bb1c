"""Topics `queues`, `nodes` and `cluster`: read once a second, sent as differences.

The leader is asked only while somebody is subscribed. What was last seen stands while it is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, cast

import structlog

from gateway.http.jsonwrite import dump, to_json
from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import (
    LIST_NODES,
    LIST_QUEUES,
    Cluster,
    pages,
    passes,
)
from gateway.live.cluster.leader import Leader
from gateway.live.cluster.watch import Holder, TaskWatch
from gateway.live.cluster.watches import Watches
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.feed import Subscriber
from gateway.live.topics.keyed import Entities, KeyedFeed
from gateway.live.topics.rates import Rates
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError, exhausted
from quorate.v1 import queue_pb2, scheduler_pb2

log = structlog.get_logger(__name__)

_TOPICS: Final = ("queues", "nodes", "cluster")
# The one entity of topic `cluster`.
_CLUSTER: Final = "cluster"


class Keyed:
    """The subscriptions to one topic of small entities, and their feeds."""

    def __init__(self, topic: str, throttle: Throttle) -> None:
        self.topic = topic
        self.entities = Entities()
        self._throttle = throttle
        self._now = asyncio.get_running_loop().time
        self._feeds: dict[NameFilter, KeyedFeed] = {}
        self._homes: dict[Subscriber, KeyedFeed] = {}

    def __bool__(self) -> bool:
        return bool(self._feeds)

    @property
    def names(self) -> frozenset[str]:
        """All that filters name."""
        return frozenset[str]().union(*(wanted.names for wanted in self._feeds))

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._homes

    def subscribe(
        self,
        subscriber: Subscriber,
        wanted: NameFilter,
        *,
        when: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin; `when` is called before the first answer. Raises QuorateError."""
        feed = self._feeds.get(wanted)
        if feed is None:
            if len(self._feeds) >= limits.FEEDS:
                raise exhausted(
                    "TOO_MANY_FILTERS",
                    f"{limits.FEEDS} different filters are in use, which is the limit; try "
                    "again later",
                    limit=limits.FEEDS,
                )
            feed = self._feeds[wanted] = KeyedFeed(self.topic, wanted, self.entities)
        feed.subscribers[subscriber] = None
        self._homes[subscriber] = feed
        subscriber.awaits_snapshot = True
        when()
        self._serve(feed)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End."""
        feed = self._homes.pop(subscriber)
        feed.subscribers.pop(subscriber, None)
        if not feed.subscribers:
            self._throttle.stop(feed)
            del self._feeds[feed.wanted]
        if not self._feeds:
            # It grows old from here on.
            self.entities.known = False

    def drained(self, subscriber: Subscriber) -> None:
        """Its client keeps up again."""
        self._serve(self._homes[subscriber])

    def replace(self, items: Mapping[str, bytes], revision: int = 0) -> None:
        """A whole new state, and the etcd revision up to which it has everything."""
        self.entities.revision = max(self.entities.revision, revision)
        self._spread(self.entities.replace(items))

    def spread(self, changed: set[str]) -> None:
        """Entities with these names changed."""
        self._spread(changed)

    def fail(self, error: QuorateError) -> None:
        """All subscriptions are over."""
        feeds, self._feeds = list(self._feeds.values()), {}
        self._homes.clear()
        for feed in feeds:
            self._throttle.stop(feed)
            feed.fail(error)

    def _spread(self, changed: set[str]) -> None:
        for feed in self._feeds.values():
            # Who waits for a snapshot needs no delta beside it.
            if feed.followed and feed.note(changed):
                self._throttle.touch(feed, lambda feed=feed: self._publish(feed))  # type: ignore[misc]
            self._serve(feed)

    def _publish(self, feed: KeyedFeed) -> None:
        feed.publish(self._now())
        self._serve(feed)

    @staticmethod
    def _serve(feed: KeyedFeed) -> None:
        if feed.loaded and feed.waited_for:
            feed.serve()


class Polled(Holder):
    """The topics and the one task that asks for them."""

    def __init__(
        self,
        cluster: Cluster,
        background: BackgroundTasks,
        throttle: Throttle,
        leader: Leader,
        watches: Watches,
    ) -> None:
        self.topics = {name: Keyed(name, throttle) for name in _TOPICS}
        self._cluster = cluster
        self._background = background
        self._leader = leader
        self._watches = watches
        self._asking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        # While somebody is subscribed to `cluster`.
        self._watch: TaskWatch | None = None
        self._rates = Rates(0.0)

    def subscribe(self, subscriber: Subscriber, topic: str, wanted: NameFilter) -> None:
        """Begin. Raises QuorateError."""
        self.topics[topic].subscribe(subscriber, wanted)
        if topic == "cluster" and self._watch is None:
            self._rates = Rates(self._loop.time())
            self._watch = self._watches.of("")
            self._watch.observers.append(self._observe)
            self._watches.hold(self._watch, self)
        if self._asking is None or self._asking.done():
            self._asking = self._background.spawn(self._ask(), "poll")

    def unsubscribe(self, subscriber: Subscriber, topic: str) -> None:
        """End."""
        self.topics[topic].unsubscribe(subscriber)
        if not self.topics["cluster"]:
            self._let_go()
        if not any(self.topics.values()) and self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _let_go(self) -> None:
        if self._watch is not None:
            self._watch.observers.remove(self._observe)
            self._watches.release(self._watch, self)
            self._watch = None

    def drained(self, subscriber: Subscriber, topic: str) -> None:
        """Its client keeps up again."""
        self.topics[topic].drained(subscriber)

    # -- Holder

    def on_events(self, watch: TaskWatch) -> None:
        """Nothing: `_observe` saw them."""

    def on_restart(self, watch: TaskWatch) -> None:
        """Nothing: rates forget by themselves."""

    def on_failure(self, watch: TaskWatch, error: QuorateError) -> None:
        """The cluster refuses the watch of tasks: rates stay zero until the next one subscribes."""
        self._let_go()

    def _observe(self, event: scheduler_pb2.TaskEvent) -> None:
        self._rates.observe(event, self._loop.time(), time.time())

    # -- asking

    async def _ask(self) -> None:
        while True:
            began = self._loop.time()
            try:
                await self._once()
            except QuorateError as error:
                if not passes(error):
                    log.error("live_poll_refused", error=str(error))
                    for topic in self.topics.values():
                        topic.fail(error)
                    self._let_go()
                    return
            await asyncio.sleep(max(0.05, began + limits.POLL - self._loop.time()))

    async def _once(self) -> None:
        queues: list[queue_pb2.Queue] = []
        revision = 0
        topics = self.topics
        if topics["queues"] or topics["cluster"]:
            queues, revision = await self._all(
                LIST_QUEUES, scheduler_pb2.ListQueuesRequest, "queues"
            )
        if topics["queues"]:
            topics["queues"].replace({one.name: dump(to_json(one)) for one in queues}, revision)
        if topics["nodes"]:
            nodes, revision = await self._all(LIST_NODES, scheduler_pb2.ListNodesRequest, "nodes")
            topics["nodes"].replace({one.name: dump(to_json(one)) for one in nodes}, revision)
        if topics["cluster"] and (leader := self._leader.seen) is not None:
            overview = {_CLUSTER: dump(self._overview(queues))}
            topics["cluster"].replace(overview, leader.revision)

    async def _all(
        self, method: Any, request: Callable[..., Any], field: str
    ) -> tuple[list[Any], int]:
        """All there are, and the revision of the first page: later pages have that, too."""
        found: list[Any] = []
        revision: int | None = None
        listing = pages(
            self._cluster,
            method,
            lambda size, token: request(page_size=size, page_token=token),
            limits.ENTITIES,
        )
        async with aclosing(cast("Any", listing)):
            async for page in listing:
                found += getattr(page, field)
                revision = page.revision if revision is None else revision
        return found, revision or 0

    def _overview(self, queues: list[queue_pb2.Queue]) -> dict[str, Any]:
        return {
            "cluster": to_json(cast("Any", self._leader.seen)),
            **self._rates.figures(self._loop.time()),
            "queues": [
                {"name": q.name, "pending": q.counts.pending, "running": q.counts.running}
                for q in queues
            ],
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
