"""Queues in numbers: what they hold and for how long it has waited; of the leader alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from quorate.telemetry.families import counters, gauge, gauges
from quorate.telemetry.labels import Bounded
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskState


def queue_metrics(state: State, now: float) -> Iterator[Metric]:
    """A look at each queue, and at the first tasks of each of its lanes."""
    shown = Bounded(state.queues)
    counts: dict[tuple[str, str], int] = {}
    ages: dict[str, float] = {}
    paused_ages: dict[str, float] = {}
    done: dict[str, int] = {}
    paused = 0
    for name, queue in state.queues.items():
        label = shown(name)
        for kind in TaskState:
            key = (label, kind.name.lower())
            counts[key] = counts.get(key, 0) + queue.counts[kind]
        waits = max((now - _due(row) for row in queue.pending.first_rows()), default=0.0)
        held = max((now - _due(row) for row in queue.pending.first_rows_aside()), default=0.0)
        if queue.paused:
            waits, held = 0.0, max(waits, held)
        ages[label] = max(ages.get(label, 0.0), waits)
        paused_ages[label] = max(paused_ages.get(label, 0.0), held)
        done[label] = done.get(label, 0) + queue.finished_total
        paused += queue.paused
    yield gauges(
        "quorate_queue_tasks", "Stored tasks, by queue and state.", ("queue", "state"), counts
    )
    yield gauges(
        "quorate_queue_oldest_task_age_seconds",
        "How long a PENDING task has waited since it was due, by queue: the longest time.",
        ("queue",),
        ages,
    )
    yield gauges(
        "quorate_queue_oldest_paused_task_age_seconds",
        "The same of tasks that a pause holds back, by queue.",
        ("queue",),
        paused_ages,
    )
    yield counters("quorate_queue_finished_tasks", "Tasks finished, by queue.", ("queue",), done)
    yield gauge("quorate_queues", "Queues.", len(state.queues))
    yield gauge("quorate_queues_paused", "Queues that are paused.", paused)


def _due(row: TaskRow) -> float:
    """When it could have started: it was created, or its delay or backoff was over."""
    return max(row.create_time, row.not_before)
