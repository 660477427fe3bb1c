"""Which watches of tasks there are: at most one a queue, for as long as somebody holds it.

Beyond `limits.JOURNALS` the watch of all queues serves those that have none of their own.
"""

from __future__ import annotations

import asyncio

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import Cluster
from gateway.live.cluster.entries import Specs
from gateway.live.cluster.tokens import Token
from gateway.live.cluster.watch import Holder, TaskWatch


class Watches:
    """The watches of one hub, by queue."""

    def __init__(self, cluster: Cluster, background: BackgroundTasks, specs: Specs) -> None:
        self._cluster = cluster
        self._background = background
        self._specs = specs
        self._loop = asyncio.get_running_loop()
        self._watches: dict[str, TaskWatch] = {}

    def of(self, queue: str, start: Token | None = None) -> TaskWatch:
        """The watch of a queue, or of all of them when it is empty; `start` as in TaskWatch."""
        if queue not in self._watches and len(self._watches) >= limits.JOURNALS:
            # Feeds filter by queue themselves.
            queue = ""
        watch = self._watches.get(queue)
        # One that was refused may still be held by others; the cluster is asked again.
        if watch is None or watch.failed:
            watch = self._watches[queue] = TaskWatch(self._cluster, queue, self._specs, start)
            watch.task = self._background.spawn(watch.run(), f"watch {queue or 'all'}")
        return watch

    def hold(self, watch: TaskWatch, holder: Holder) -> None:
        """Keep a watch going."""
        watch.holders[holder] = None
        if watch.linger is not None:
            watch.linger.cancel()
            watch.linger = None

    def release(self, watch: TaskWatch, holder: Holder) -> None:
        """Not needed any more; it goes on for a while, since somebody may come back."""
        watch.holders.pop(holder, None)
        if not watch.holders and watch.linger is None:
            over = watch.task is None or watch.task.done() or watch.failed
            watch.linger = self._loop.call_later(0 if over else limits.LINGER, self._end, watch)

    def _end(self, watch: TaskWatch) -> None:
        if self._watches.get(watch.queue) is watch:
            del self._watches[watch.queue]
        if watch.task is not None:
            watch.task.cancel()
