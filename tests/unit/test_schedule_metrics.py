"""What Prometheus sees of schedules: bounded, and never fewer series than are documented."""

from __future__ import annotations

from scheduler.core.model.schedules import Overlap
from scheduler.telemetry.schedule_metrics import schedule_metrics
from tests.support.core import Cluster
from tests.support.core_schedules import BEGIN, Schedules


def series(s: Schedules, wall: float) -> dict[str, float]:
    """Values by name and label."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in schedule_metrics(s.cluster.state.schedules, BEGIN + wall)
        for sample in family.samples
    }


def test_runs_missed_ticks_and_states_are_counted() -> None:
    s = Schedules(Cluster())
    s.create("r", every=60, overlap=Overlap.SKIP)
    s.create("p", every=60)
    s.pause("p")
    s.run_to(180)
    found = series(s, 180)
    assert found["quorate_schedule_runs_total r"] == 1
    assert found["quorate_schedule_missed_ticks_total r"] == 2
    assert found["quorate_schedules active"] == 1
    assert found["quorate_schedules paused"] == 1
    # The next tick is due at 240.
    assert found["quorate_schedule_delay_seconds"] == 0
    assert series(s, 250)["quorate_schedule_delay_seconds"] == 10


def test_series_are_bounded_and_there_from_the_start() -> None:
    s = Schedules(Cluster())
    assert series(s, 0)["quorate_schedule_runs_total other"] == 0
    for number in range(120):
        s.create(f"r{number:03}", every=60, overlap=Overlap.ALLOW)
    s.run_to(60)
    found = series(s, 60)
    runs = {key: value for key, value in found.items() if key.startswith("quorate_schedule_runs")}
    assert len(runs) == 101
    assert runs["quorate_schedule_runs_total other"] == 20
