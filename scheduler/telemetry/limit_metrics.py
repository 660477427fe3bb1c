"""What is used of limits, as gauges; of the leader alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from quorate.telemetry.labels import Bounded
from scheduler.core.model.state import State
from scheduler.core.values import NO_LIMITS

# Limits, and queues with limits, that have series of their own; the others are left out.
_MOST = 100


def limit_metrics(state: State) -> Iterator[Metric]:
    """Shared limits with what is used of them, and the limits of queues."""
    permits = state.permits
    running = GaugeMetricFamily(
        "quorate_limit_running_tasks", "Running tasks that name a shared limit.", labels=("limit",)
    )
    live = GaugeMetricFamily(
        "quorate_limit_live_tasks", "Unfinished tasks that name a shared limit.", labels=("limit",)
    )
    most = GaugeMetricFamily(
        "quorate_limit_max_running",
        "Running tasks that a shared limit allows at a time.",
        labels=("limit",),
    )
    shown = Bounded(permits.shared, _MOST)
    for name, limit in permits.shared.items():
        if shown(name) != name:
            continue
        running.add_metric((name,), permits.running.get(name, 0))
        live.add_metric((name,), permits.live.get(name, 0))
        if limit.max_running:
            most.add_metric((name,), limit.max_running)
    yield GaugeMetricFamily(
        "quorate_pauses",
        "Pauses with a name, which hold back all tasks that match them.",
        value=len(state.pauses.rows),
    )
    yield GaugeMetricFamily(
        "quorate_reservations",
        "Nodes whose room is kept for a large task: 0 or 1.",
        value=0 if state.reservation is None else 1,
    )
    yield running
    yield live
    yield most
    limited = {
        str(name): queue.limits
        for name, queue in state.queues.items()
        if queue.limits is not NO_LIMITS
    }
    at_once = GaugeMetricFamily(
        "quorate_queue_max_running",
        "Running tasks that a queue allows at a time.",
        labels=("queue",),
    )
    length = GaugeMetricFamily(
        "quorate_queue_max_length", "Waiting tasks that a queue allows.", labels=("queue",)
    )
    shown = Bounded(limited, _MOST)
    for name, limits in limited.items():
        if shown(name) != name:
            continue
        if limits.max_running:
            at_once.add_metric((name,), limits.max_running)
        if limits.max_length:
            length.add_metric((name,), limits.max_length)
    yield at_once
    yield length
