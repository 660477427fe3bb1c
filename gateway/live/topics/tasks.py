"""Topic `tasks`: which feeds there are, on which watches; how they are loaded, how clients resume.

    subscription --> feed (one a filter) --> watch (one a queue) --> WatchTasks
                       |  load: ListTasks once             |
                       '- deltas, snapshots <- journal ----'

A client that resumes gets what its token lacks: from the watch's journal; else, when the token is
another gateway's or older, from a WatchTasks of its own that ends where the journal is; else, when
the cluster no longer knows it, a snapshot. So does everybody who filters by state or label: which
tasks stopped matching can only be sent to clients of which it is known what they have.

While there is no leader, loading waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import Cluster, passes
from gateway.live.cluster.entries import Specs
from gateway.live.cluster.tokens import Token, read_token
from gateway.live.cluster.watch import Holder, TaskWatch
from gateway.live.cluster.watches import Watches
from gateway.live.messages.filters import TaskFilter
from gateway.live.topics.feed import Subscriber
from gateway.live.topics.taskfeed import TaskFeed
from gateway.live.topics.taskreads import TaskReads
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError, exhausted
from quorate.v1 import task_pb2

# Between tries to load a feed while the cluster does not answer.
_AGAIN = 0.25


class _Live(Holder):
    """A feed on its watch."""

    def __init__(self, topic: Tasks, wanted: TaskFilter, watch: TaskWatch) -> None:
        self.topic = topic
        self.watch = watch
        self.feed = TaskFeed(wanted, watch.journal, topic.specs)
        self.loading: asyncio.Task[None] | None = None
        self.resolving: asyncio.Task[None] | None = None

    def on_events(self, watch: TaskWatch) -> None:
        if self.feed.subscribers:
            self.topic.throttle.touch(self.feed, self.publish)

    def on_progress(self, said: Sequence[task_pb2.Task]) -> None:
        feed = self.feed
        if feed.subscribers and feed.wanted.progress and feed.on_progress(said):
            self.topic.throttle.touch(feed, self.publish)

    def on_restart(self, watch: TaskWatch) -> None:
        self.feed.begin()
        self.topic.serve(self)

    def on_failure(self, watch: TaskWatch, error: QuorateError) -> None:
        self.topic.fail(self, error)

    def publish(self) -> None:
        self.feed.publish(self.topic.now())
        self.topic.after_flush(self)


class Tasks:
    """Every subscription to tasks."""

    def __init__(self, cluster: Cluster, background: BackgroundTasks, throttle: Throttle) -> None:
        self.specs = Specs()
        self.throttle = throttle
        self.now = asyncio.get_running_loop().time
        self.watches = Watches(cluster, background, self.specs)
        self._reads = TaskReads(cluster, self.specs)
        self._background = background
        self._feeds: dict[TaskFilter, _Live] = {}
        self._homes: dict[Subscriber, _Live] = {}
        # What those who resume are fetched; at most one for each of them.
        self._catching: dict[Subscriber, asyncio.Task[None]] = {}
        # Loads at the same time, and catch-ups: clients that come back do not hold up loads.
        self._turns = asyncio.Semaphore(limits.READS)
        self._catch_ups = asyncio.Semaphore(limits.CATCH_UPS)

    # -- subscriptions

    def subscribe(self, subscriber: Subscriber, wanted: TaskFilter, resume: str) -> None:
        """Begin. Raises QuorateError."""
        token = read_token(resume) if resume else None
        if wanted.partial:
            # Which of the tasks that stopped matching the client has is not known.
            token = None
        live = self._feeds.get(wanted)
        if live is None:
            if len(self._feeds) >= limits.FEEDS:
                raise exhausted(
                    "TOO_MANY_FILTERS",
                    f"{limits.FEEDS} different filters are in use, which is the limit; try "
                    "again later",
                    limit=limits.FEEDS,
                )
            live = _Live(self, wanted, self.watches.of(wanted.queue, token))
            self._feeds[wanted] = live
            self.watches.hold(live.watch, live)
        live.feed.subscribers[subscriber] = None
        self._homes[subscriber] = live
        if token is None:
            subscriber.awaits_snapshot = True
            self.serve(live)
        else:
            subscriber.joining = True
            task = self._background.spawn(self._resume(live, subscriber, token), "resume")
            self._catching[subscriber] = task
            task.add_done_callback(lambda _: self._catching.pop(subscriber, None))

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End."""
        live = self._homes.pop(subscriber)
        self._stop_catching(subscriber)
        live.feed.subscribers.pop(subscriber, None)
        if not live.feed.subscribers:
            self._drop(live)

    def drained(self, subscriber: Subscriber) -> None:
        """Its client keeps up again."""
        self.serve(self._homes[subscriber])

    def fail(self, live: _Live, error: QuorateError) -> None:
        """The feed cannot be: all its subscriptions are over."""
        for subscriber in live.feed.subscribers:
            self._homes.pop(subscriber, None)
            self._stop_catching(subscriber)
        self._drop(live)
        live.feed.fail(error)

    def _stop_catching(self, subscriber: Subscriber) -> None:
        task = self._catching.get(subscriber)
        if task is not None:
            _cancel(task)

    def _drop(self, live: _Live) -> None:
        if self._feeds.get(live.feed.wanted) is live:
            del self._feeds[live.feed.wanted]
        for task in (live.loading, live.resolving):
            if task is not None:
                _cancel(task)
        self.throttle.stop(live.feed)
        self.watches.release(live.watch, live)

    # -- snapshots

    def serve(self, live: _Live) -> None:
        """Give a snapshot to whoever waits for one; load it first where needed."""
        if live.feed.loaded:
            live.feed.serve()
        elif live.feed.waited_for and (live.loading is None or live.loading.done()):
            live.loading = self._background.spawn(self._load(live), "load")

    def after_flush(self, live: _Live) -> None:
        """Do what a flush left to do."""
        if live.feed.waited_for:
            self.serve(live)
        if live.feed.unresolved and (live.resolving is None or live.resolving.done()):
            live.resolving = self._background.spawn(self._resolve(live), "resolve")

    async def _load(self, live: _Live) -> None:
        while True:
            try:
                await live.watch.started()
                if not live.feed.started:
                    live.feed.begin()
                async with self._turns:
                    mark = live.watch.journal.head
                    tasks, more = await self._reads.newest(live.feed.wanted)
                if live.feed.load(tasks, mark, more=more):
                    break
            except QuorateError as error:
                if not passes(error):
                    self.fail(live, error)
                    return
            await asyncio.sleep(_AGAIN)
        live.feed.serve()
        # What was committed while it was loaded.
        self.throttle.touch(live.feed, live.publish)

    async def _resolve(self, live: _Live) -> None:
        """Read the labels of tasks that changed and whose specs are not known."""
        feed = live.feed
        while feed.unresolved:
            ids = [feed.unresolved.pop() for _ in range(min(limits.READS, len(feed.unresolved)))]
            try:
                tasks = await self._reads.by_id(frozenset(ids))
            except QuorateError as error:
                if not passes(error):
                    self.fail(live, error)
                    return
                feed.unresolved.update(ids)
                await asyncio.sleep(_AGAIN)
                continue
            for task in tasks:
                self.specs.put(task)
            feed.recheck(task.id for task in tasks)
            self.throttle.touch(feed, live.publish)

    # -- resuming

    async def _resume(self, live: _Live, subscriber: Subscriber, token: Token) -> None:
        watch, feed = live.watch, live.feed
        try:
            await watch.started()
        except QuorateError as error:
            # It failed before this feed was on it: the feed was not notified.
            if self._homes.get(subscriber) is live:
                self.fail(live, error)
            return
        if not feed.started:
            feed.begin()
        rest = None
        position = watch.journal.position_of(token)
        if position is not None:
            rest = feed.missed(position, ())
        else:
            position = watch.journal.head
            try:
                async with asyncio.timeout(limits.CATCH_UP), self._catch_ups:
                    fetched = await self._reads.between(watch, token)
            except (QuorateError, TimeoutError):
                # Compacted, never given out, or no leader now: a snapshot says it all.
                fetched = None
            if fetched is not None:
                seen = watch.journal.token.revision
                rest = feed.missed(position, [one for one in fetched if one.revision <= seen])
        if self._homes.get(subscriber) is not live:
            return
        subscriber.joining = False
        if rest is None or not subscriber.ready():
            subscriber.awaits_snapshot = True
            self.serve(live)
        else:
            subscriber.awaits_snapshot = False
            subscriber.send(rest)
            if (besides := feed.besides()) is not None:
                subscriber.send(besides)


def _cancel(task: asyncio.Task[None]) -> None:
    """End it, unless it is the one that demands this."""
    if task is not asyncio.current_task():
        task.cancel()
