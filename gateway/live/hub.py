"""What all clients share: one watch or poll of the cluster for all who are subscribed to the same.

Owns the topics and their background tasks. `run` lasts as long as the gateway; the leader is asked
for only while somebody is connected.
"""

from __future__ import annotations

import asyncio

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import Cluster
from gateway.live.cluster.leader import Leader
from gateway.live.messages import frames
from gateway.live.messages.filters import LogFilter, TaskFilter
from gateway.live.session import TRY_AGAIN, UNAUTHENTICATED, Session, Subscription
from gateway.live.topics.jobs import Jobs
from gateway.live.topics.logs import LogTail
from gateway.live.topics.polled import Polled
from gateway.live.topics.services import Services
from gateway.live.topics.tasks import Tasks
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError, exhausted


class Hub:
    """Everything that is subscribed to in one gateway. Lives in one event loop."""

    def __init__(self, cluster: Cluster, instance: str) -> None:
        self.instance = instance
        self.sessions: dict[Session, None] = {}
        self.refused = False
        """The cluster does not know the token."""
        self.leader = Leader(cluster, self._report_leader, self._refuse)
        self._cluster = cluster
        self._background = BackgroundTasks()
        throttle = Throttle()
        self.tasks = Tasks(cluster, self._background, throttle)
        self._polled = Polled(cluster, self._background, throttle, self.leader, self.tasks.watches)
        # Those that have a watch of their own.
        self._watched: dict[str, Jobs | Services] = {
            "jobs": Jobs(cluster, self._background, throttle),
            "services": Services(cluster, self._background, throttle),
        }
        self._tails = 0
        self._looking: asyncio.Task[None] | None = None

    @property
    def has_leader(self) -> bool:
        """Whether the cluster has a leader."""
        return self.leader.present

    @property
    def busy(self) -> bool:
        """Whether anything runs in the background."""
        return self._background.busy

    async def close(self) -> None:
        """End all background tasks."""
        await self._background.close()

    def on_sessions(self) -> None:
        """Somebody came, or left."""
        if self.sessions and self._looking is None:
            self._looking = self._background.spawn(self.leader.watch(), "leader")
        elif not self.sessions and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def subscribe(self, subscription: Subscription, resume: str) -> None:
        """Begin. Raises QuorateError."""
        wanted = subscription.filter
        if isinstance(wanted, TaskFilter):
            self.tasks.subscribe(subscription, wanted, resume)
        elif isinstance(wanted, LogFilter):
            self._tail(subscription, wanted, resume)
        elif (watched := self._watched.get(subscription.topic)) is not None:
            watched.subscribe(subscription, wanted)
        else:
            self._polled.subscribe(subscription, subscription.topic, wanted)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End."""
        wanted = subscription.filter
        if isinstance(wanted, TaskFilter):
            self.tasks.unsubscribe(subscription)
        elif isinstance(wanted, LogFilter):
            if subscription.task is not None:
                subscription.task.cancel()
        elif (watched := self._watched.get(subscription.topic)) is not None:
            watched.unsubscribe(subscription)
        else:
            self._polled.unsubscribe(subscription, subscription.topic)

    def drained(self, subscription: Subscription) -> None:
        """Its client keeps up again."""
        if isinstance(subscription.filter, LogFilter):
            subscription.on_drained()
        elif subscription.awaits_snapshot:
            if isinstance(subscription.filter, TaskFilter):
                self.tasks.drained(subscription)
            elif (watched := self._watched.get(subscription.topic)) is not None:
                watched.drained(subscription)
            else:
                self._polled.drained(subscription, subscription.topic)

    def _tail(self, subscription: Subscription, wanted: LogFilter, resume: str) -> None:
        if self._tails >= limits.LOG_TAILS:
            raise exhausted(
                "TOO_MANY_LOGS",
                f"{limits.LOG_TAILS} logs are followed, which is the limit; try again later",
                limit=limits.LOG_TAILS,
            )
        tail = LogTail(wanted, resume)
        subscription.task = self._background.spawn(tail.run(self._cluster, subscription), "log")
        subscription.task.add_done_callback(self._on_tail_done)
        self._tails += 1

    def _on_tail_done(self, task: asyncio.Task[None]) -> None:
        self._tails -= 1

    @property
    def proven(self) -> bool:
        """The cluster has answered a call with the token."""
        return self.leader.seen is not None and not self.refused

    @property
    def caller(self) -> str:
        """Whose the token is, as the cluster has said; empty while it has not."""
        return self.leader.caller if self.proven else ""

    def dismiss(self, why: str) -> None:
        """Send everybody away for now."""
        for session in list(self.sessions):
            session.wire.close(TRY_AGAIN, why)

    def _refuse(self, error: QuorateError) -> None:
        """The token of all who are connected here is not, or no longer, good."""
        self.refused = True
        for session in list(self.sessions):
            session.wire.close(UNAUTHENTICATED, error.message[:100])

    def _report_leader(self, present: bool, message: str) -> None:
        rest = frames.status(present, message)
        for session in list(self.sessions):
            session.send_status(rest)
