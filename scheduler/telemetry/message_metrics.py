"""Messages in numbers: what became of them, and what is in message queues now.

Clients create as many message queues as they like, so only `MOST_SHOWN` of them have series of
their own, under RabbitMQ's names. They are the first by virtual host and name, without those that
belong to a connection, among the `MOST_LOOKED_AT` oldest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import nsmallest
from itertools import islice
from typing import Final, NamedTuple

from prometheus_client.core import Metric

from quorate.telemetry.families import counter, counters, gauge, gauges
from scheduler.core.broker.queues.totals import Totals
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState

# Queues that one scrape looks at, on the event loop. With more of them, those that are not looked
# at count as they did the last time.
MOST_LOOKED_AT: Final = 5_000
# Message queues with series of their own.
MOST_SHOWN: Final = 200


class _Found(NamedTuple):
    """Messages that are ready in one queue. `unconsumed`: if it has no consumer."""

    ready: int = 0
    unconsumed: int = 0


class ReadyMessages:
    """What is ready in all message queues of one leader."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._found: dict[QueueUid, _Found] = {}
        self._waiting: deque[QueueUid] = deque()
        self.ready = self.unconsumed = 0

    def look(self) -> None:
        """Look at the queues, `MOST_LOOKED_AT` of them in turn."""
        if not self._waiting:
            # At those that are gone, too.
            self._waiting.extend({**self._found, **self._state.queues})
        for _ in range(min(len(self._waiting), MOST_LOOKED_AT)):
            uid = self._waiting.popleft()
            before = self._found.pop(uid, _Found())
            now = _Found()
            queue = self._state.queues.get(uid)
            if queue is not None:
                # A stream keeps its messages: none of them waits.
                ready = 0 if queue.is_stream else queue.ready
                now = self._found[uid] = _Found(ready, 0 if queue.consumers else ready)
            self.ready += now.ready - before.ready
            self.unconsumed += now.unconsumed - before.unconsumed


class MessageMetrics:
    """The broker's part of a scheduler's metrics: counts of the process, and the leader's state."""

    def __init__(self) -> None:
        # Of terms that are over.
        self._past = Totals()
        self._state: BrokerState | None = None
        self._ready: ReadyMessages | None = None

    def term_began(self, state: BrokerState) -> None:
        """This process leads."""
        self._state, self._ready = state, ReadyMessages(state)

    def term_ended(self) -> None:
        """It does not any more."""
        if self._state is not None:
            self._past.add(self._state.totals)
        self._state = self._ready = None

    def collect_counters(self) -> Iterator[Metric]:
        """What became of messages while this process led."""
        totals = Totals()
        totals.add(self._past)
        if self._state is not None:
            totals.add(self._state.totals)
        for name, words, count in (
            (
                "quorate_messages_published",
                "Messages stored, once for each message queue that they reached.",
                totals.published,
            ),
            (
                "quorate_messages_delivered",
                "Messages delivered to consumers, and messages taken without one.",
                totals.delivered,
            ),
            (
                "quorate_messages_redelivered",
                "Messages delivered that may have been delivered before.",
                totals.redelivered,
            ),
            (
                "quorate_messages_acknowledged",
                "Messages acknowledged by consumers, and messages taken without one.",
                totals.acknowledged,
            ),
            (
                "quorate_messages_tasks",
                "Tasks that messages became in task queues.",
                totals.tasks,
            ),
            (
                "quorate_messages_tasks_existing",
                "Messages that became no task, since another task has the unique key.",
                totals.tasks_known,
            ),
            (
                "quorate_messages_tasks_dropped",
                "Dead letters that could not become tasks.",
                totals.tasks_dropped,
            ),
            (
                "quorate_messages_cycles_dropped",
                "Dead letters that did not go back into a queue in which they were before, since "
                "no consumer had rejected them.",
                totals.cycles,
            ),
            (
                "quorate_events",
                "Messages about the ends of tasks and jobs, dropped ones included.",
                totals.announced,
            ),
        ):
            yield counter(name, words, count)
        yield counters(
            "quorate_events_dropped",
            "Messages about the ends of tasks and jobs that were dropped, by reason.",
            ("reason",),
            dict(totals.unannounced),
        )
        yield counters(
            "quorate_messages_dead_lettered",
            "Messages sent to the dead letter exchange of their queue, by reason.",
            ("reason",),
            {reason.value: count for reason, count in totals.dead_lettered.items()},
        )
        yield counters(
            "quorate_messages_dropped",
            "Messages rejected, expired or dropped without a dead letter exchange, by reason.",
            ("reason",),
            {reason.value: count for reason, count in totals.dropped.items()},
        )

    def collect_state(self) -> Iterator[Metric]:
        """What there is now; nothing of a process that does not lead."""
        if self._state is None or self._ready is None:
            return
        self._ready.look()
        consuming = self._state.consuming
        yield gauge(
            "quorate_messages_ready",
            "Messages that wait for a consumer, streams excluded.",
            self._ready.ready,
        )
        yield gauge(
            "quorate_messages_ready_unconsumed",
            "Messages that wait in message queues without a consumer.",
            self._ready.unconsumed,
        )
        yield gauge(
            "quorate_messages_unacknowledged",
            "Messages that consumers have and have not settled.",
            consuming.total.unsettled + consuming.of_streams.unsettled,
        )
        yield gauge(
            "quorate_message_queues", "Message queues and streams.", len(self._state.queues)
        )
        yield gauge("quorate_message_consumers", "Consumers of messages.", consuming.consumers)
        yield gauge("quorate_message_sessions", "Sessions of consumers.", len(consuming.sessions))
        yield from _of_queues(self._state)


def _of_queues(state: BrokerState) -> Iterator[Metric]:
    looked_at = islice(state.queues.values(), MOST_LOOKED_AT)
    kept = ((one.row.virtual_host, one.row.name, one) for one in looked_at if not one.row.owner)
    shown = nsmallest(MOST_SHOWN, kept, key=lambda found: found[:2])
    for name, words, value in (
        ("messages_ready", "Messages ready to be delivered to consumers.", "ready"),
        ("messages_unacked", "Messages delivered and not yet acknowledged.", "unacknowledged"),
        ("consumers", "Consumers on a queue.", "consumers"),
    ):
        values = {(queue, host): float(getattr(one, value)) for host, queue, one in shown}
        yield gauges(f"rabbitmq_queue_{name}", words, ("queue", "vhost"), values)
