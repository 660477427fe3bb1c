"""Counts what became of attempts: about 0.4 us for each that ends."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from node_agent.core.attempts import Outcome, Result
from quorate.telemetry.buckets import LONG_SECONDS, Buckets
from quorate.telemetry.families import counter, counters, histogram


class AttemptMetrics:
    """What became of attempts. Owned by the event loop."""

    def __init__(self) -> None:
        self.succeeded = self.failed = self.returned = 0
        # Waits for other tasks that failed, as too many waited already.
        self.wait_refused = 0
        # Subtasks of chunks that ended, and those of them that failed.
        self.subtasks = self.subtasks_failed = 0
        self.seconds = Buckets(LONG_SECONDS)

    def exited(self, outcome: Outcome) -> None:
        """An attempt ended."""
        value = outcome.value
        if value is None:
            self.returned += 1
        elif type(value) is Result:
            self.succeeded += 1
        else:
            self.failed += 1
        if outcome.start:
            self.seconds.add(outcome.seconds)

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield counters(
            "quorate_agent_attempts_ended",
            "Attempts that ended here.",
            ("outcome",),
            {"succeeded": self.succeeded, "failed": self.failed, "returned": self.returned},
        )
        yield histogram(
            "quorate_agent_attempt_seconds", "How long attempts ran here.", self.seconds
        )
        yield counters(
            "quorate_agent_subtasks_ended",
            "Subtasks of arrays that ended here.",
            ("outcome",),
            {"succeeded": self.subtasks - self.subtasks_failed, "failed": self.subtasks_failed},
        )
        yield counter(
            "quorate_agent_waits_refused",
            "Waits for other tasks that failed at once, as too many tasks waited already.",
            self.wait_refused,
        )
