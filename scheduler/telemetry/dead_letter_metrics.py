"""Dead letters in numbers: how many each queue has, and since when; of the leader alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from quorate.telemetry.families import gauges
from quorate.telemetry.labels import Bounded
from scheduler.core.model.state import State


def dead_letter_metrics(state: State, now: float) -> Iterator[Metric]:
    """A look at each group of failed tasks, of which there is a most (`DeadLetters`).

    Args:
        now: seconds since the epoch.
    """
    shown = Bounded(state.queues)
    # Also those that have none: a series that is absent fires no alert when it comes.
    counts = {shown(name): 0 for name in state.queues}
    ages = {shown(name): 0.0 for name in state.queues}
    for group in state.dead.groups():
        name = shown(group.queue)
        counts[name] = counts.get(name, 0) + len(group.rows)
        ages[name] = max(ages.get(name, 0.0), now - group.first.finish_time)
    yield gauges(
        "quorate_dead_letters",
        "Failed and expired tasks that nobody has retried or deleted, by queue.",
        ("queue",),
        counts,
    )
    yield gauges(
        "quorate_dead_letter_oldest_age_seconds",
        "Time since the oldest of these tasks failed or expired, by queue; 0 without any.",
        ("queue",),
        ages,
    )
