"""Schedules: how many there are, what became of their ticks, how late they are; of the leader."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from quorate.telemetry.families import gauge
from quorate.telemetry.labels import OTHER, Bounded
from scheduler.core.model.schedules import ScheduleIndex

# Schedules with series of their own; what became of the others' ticks is added up.
_MOST = 100


def schedule_metrics(index: ScheduleIndex, now: float) -> Iterator[Metric]:
    """The series of all schedules. The counts are on record: they go on under the next leader."""
    shown = Bounded(index.rows, _MOST)
    runs, missed = {OTHER: 0}, {OTHER: 0}
    paused = blocked = 0
    for row in index.rows.values():
        label = shown(row.name)
        runs[label] = runs.get(label, 0) + row.run_count
        missed[label] = missed.get(label, 0) + row.miss_count
        paused += row.pause is not None
        blocked += bool(row.blocked)
    states = GaugeMetricFamily("quorate_schedules", "Schedules, by state.", labels=("state",))
    states.add_metric(("paused",), paused)
    states.add_metric(("blocked",), blocked)
    states.add_metric(("active",), len(index.rows) - paused - blocked)
    yield states
    for name, words, values in (
        ("quorate_schedule_runs", "Runs of a schedule: tasks or jobs that it created.", runs),
        ("quorate_schedule_missed_ticks", "Ticks of a schedule that got no run.", missed),
    ):
        family = CounterMetricFamily(name, words, labels=("schedule",))
        for label, value in values.items():
            family.add_metric((label,), value)
        yield family
    due = index.next_due()
    late = 0.0 if due is None or not due[0] else max(0.0, now - due[0] / 1e6)
    yield gauge(
        "quorate_schedule_delay_seconds",
        "How late the leader is with the next schedule that is due; 0 if it is on time.",
        late,
    )
