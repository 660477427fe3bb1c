"""Counts what became of attempts: about 0.4 us for each that ends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

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
        # By hook and outcome.
        self.hooks = dict.fromkeys(product(("setup", "cleanup"), ("succeeded", "failed")), 0)

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
        if outcome.hooks is not None:
            for hook, end in zip(("setup", "cleanup"), outcome.hooks, strict=True):
                if end is not None:
                    self.hooks[hook, "failed" if end.error else "succeeded"] += 1

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield counters(
            "quorate_agent_attempts_ended",
            "Attempts that ended on this node, by outcome.",
            ("outcome",),
            {"succeeded": self.succeeded, "failed": self.failed, "returned": self.returned},
        )
        yield counters(
            "quorate_agent_hooks_ended",
            "Hooks that ended on this node, by hook and outcome.",
            ("hook", "outcome"),
            self.hooks,
        )
        yield histogram(
            "quorate_agent_attempt_seconds", "How long attempts ran on this node.", self.seconds
        )
        yield counters(
            "quorate_agent_subtasks_ended",
            "Subtasks of arrays that ended on this node, by outcome.",
            ("outcome",),
            {"succeeded": self.subtasks - self.subtasks_failed, "failed": self.subtasks_failed},
        )
        yield counter(
            "quorate_agent_waits_refused",
            "Waits for other tasks that failed because too many functions waited already.",
            self.wait_refused,
        )
