"""Queues as callers see them."""

from __future__ import annotations

from quorate.telemetry.buckets import Buckets
from quorate.v1 import queue_pb2
from scheduler.api.rates import rate_view
from scheduler.api.views import instant
from scheduler.core.model.answers import QueueSeen
from scheduler.core.place_rules import USUAL_PLACE
from scheduler.core.values import NO_LIMITS, USUAL_ORDER, QueueLimits, QueuePause, TaskState


def queue(seen: QueueSeen) -> queue_pb2.Queue:
    """A queue with its counts."""
    counts = seen.by_state
    view = queue_pb2.Queue(
        name=seen.name,
        placement=seen.placement,  # type: ignore[arg-type]
        disconnect=seen.disconnect,  # type: ignore[arg-type]
        paused=seen.paused,
        create_time=instant(seen.create_time),
        counts=queue_pb2.QueueCounts(
            scheduled=counts[TaskState.SCHEDULED],
            pending=counts[TaskState.PENDING],
            running=counts[TaskState.RUNNING],
            succeeded=counts[TaskState.SUCCEEDED],
            failed=counts[TaskState.FAILED],
            cancelled=counts[TaskState.CANCELLED],
            expired=counts[TaskState.EXPIRED],
            paused=counts[TaskState.PAUSED],
            blocked=counts[TaskState.BLOCKED],
            finished_total=seen.finished_total,
        ),
    )
    view.retention.count = seen.retention_count
    view.retention.age.seconds = int(seen.retention_age)
    view.retention.age.nanos = int(seen.retention_age % 1 * 1e9)
    if seen.limits is not NO_LIMITS:
        _limits(view, seen.limits)
    if seen.pause is not None:
        _pause(view.pause, seen.pause)
    if seen.order is not USUAL_ORDER:
        view.weights.update(seen.order.weights)
        view.share = 0.0 if seen.order.share == 1.0 else seen.order.share
        if seen.order.aging:
            view.aging.FromNanoseconds(round(seen.order.aging * 1e9))
    if seen.place is not USUAL_PLACE:
        view.spread_label, view.score = seen.place.spread_label, seen.place.score
        view.filters.extend(seen.place.filters)
    view.takes_messages = seen.takes_messages
    if seen.events is not None:
        view.events.exchange, view.events.virtual_host = seen.events
    if seen.oldest_pending:
        view.oldest_pending_time.CopyFrom(instant(seen.oldest_pending))
    return view


def durations(view: queue_pb2.QueueDurations, wait: Buckets, run: Buckets) -> None:
    """How long tasks waited and ran; what nothing is known of stays unset."""
    view.waits, view.runs = wait.count, run.count
    for buckets, p50, p99 in (
        (wait, view.wait_p50, view.wait_p99),
        (run, view.run_p50, view.run_p99),
    ):
        if buckets.count:
            p50.FromNanoseconds(round(buckets.quantile(0.5) * 1e9))
            p99.FromNanoseconds(round(buckets.quantile(0.99) * 1e9))


def _pause(view: queue_pb2.QueuePause, pause: QueuePause) -> None:
    view.scope = int(pause.scope)  # type: ignore[assignment]
    view.paused_by, view.reason = pause.by, pause.reason
    if pause.since:
        view.pause_time.CopyFrom(instant(pause.since))
    if pause.until:
        view.until.CopyFrom(instant(pause.until))


def _limits(view: queue_pb2.Queue, limits: QueueLimits) -> None:
    if limits.max_running:
        view.max_running = limits.max_running
    if limits.rate is not None:
        view.rate.CopyFrom(rate_view(limits.rate))
    if limits.max_running_per_key:
        view.max_running_per_key = limits.max_running_per_key
    if limits.rate_per_key is not None:
        view.rate_per_key.CopyFrom(rate_view(limits.rate_per_key))
    if limits.max_length:
        view.max_length = limits.max_length
        view.length_policy = int(limits.length_policy)  # type: ignore[assignment]
