"""Ticks while a run of their schedule is live: each policy, and what the next leader knows."""

from __future__ import annotations

from scheduler.core.model.schedules import MissReason, Overlap
from scheduler.core.values import TaskState
from scheduler.storage import records
from tests.support.core_schedules import (
    fail_over,
    finish_all,
    overlapping,
    recorded,
    schedules,
)

# -- overlap


def test_skip_leaves_out_ticks_while_a_run_is_live() -> None:
    s = overlapping(Overlap.SKIP)
    assert s.ticks("r") == [60]
    assert s.missed("r") == [(120, 300, 4, MissReason.OVERLAP)]
    finish_all(s)
    s.run_to(360)
    assert s.ticks("r") == [60, 360]


def test_queue_one_keeps_one_tick_until_the_run_has_ended() -> None:
    s = overlapping(Overlap.QUEUE_ONE)
    assert s.waiting("r") == [120]
    assert s.missed("r") == [(180, 300, 3, MissReason.OVERLAP)]
    finish_all(s)
    s.look()
    assert s.ticks("r") == [60, 120]
    assert s.waiting("r") == []


def test_queue_all_runs_them_one_after_the_other() -> None:
    s = overlapping(Overlap.QUEUE_ALL)
    assert s.waiting("r") == [120, 180, 240, 300]
    for expected in ([60, 120], [60, 120, 180], [60, 120, 180, 240]):
        finish_all(s)
        s.look()
        assert s.ticks("r") == expected
    assert s.row("r").miss_count == 0


def test_queue_all_keeps_a_hundred_ticks() -> None:
    s = overlapping(Overlap.QUEUE_ALL, to=60 * 105)
    assert len(s.waiting("r")) == 100
    assert s.missed("r") == [(60 * 102, 60 * 105, 4, MissReason.TOO_MANY_WAITING)]


def test_cancel_running_cancels_what_waits_and_fires() -> None:
    s = overlapping(Overlap.CANCEL_RUNNING, to=120)
    first, second = s.tasks("r")
    assert s.cluster.state_of(first) is TaskState.CANCELLED
    assert s.cluster.state_of(second) is TaskState.PENDING


def test_cancel_running_waits_until_the_run_has_ended_and_the_newest_tick_counts() -> None:
    s = schedules()
    node = s.cluster.node("n", credit=4)
    s.create("r", every=60, overlap=Overlap.CANCEL_RUNNING)
    s.run_to(180)
    (running,) = s.tasks("r")
    assert s.cluster.row(running).cancel_requested
    assert s.waiting("r") == [180]
    assert s.missed("r") == [(120, 120, 1, MissReason.OVERLAP)]
    node.fail(running, "CANCELLED")
    s.look()
    assert s.ticks("r") == [60, 180]


def test_allow_lets_runs_overlap() -> None:
    s = overlapping(Overlap.ALLOW)
    assert s.ticks("r") == [60, 120, 180, 240, 300]


def test_what_waits_is_known_to_the_next_leader() -> None:
    s = overlapping(Overlap.QUEUE_ALL, to=180)
    fail_over(s)
    assert s.waiting("r") == [120, 180]
    finish_all(s)
    s.look()
    assert s.ticks("r") == [60, 120]


def test_a_run_that_is_retried_by_hand_is_live_again() -> None:
    s = schedules()
    s.create("r", every=60)
    s.run_to(60)
    (task,) = s.tasks("r")
    s.cluster.cancel(task)
    _, spec = recorded(s, task)
    s.cluster.retry(task, records.task_spec(spec, spec.SerializeToString()))
    s.run_to(120)
    assert s.missed("r") == [(120, 120, 1, MissReason.OVERLAP)]
