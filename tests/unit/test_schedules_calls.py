"""What callers do with schedules: pause, edit, delete, run by hand, backfill; refusals."""

from __future__ import annotations

from scheduler.core.model import events as e
from scheduler.core.model.schedules import Cause, MissReason, Overlap, ScheduleName
from scheduler.core.values import TaskState
from tests.support.core_schedules import (
    fail_over,
    finish_all,
    overlapping,
    refused,
    schedule_spec,
    schedules,
)

# -- pause, edit, delete


def test_ticks_of_a_pause_are_missed_and_those_after_it_run() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW)
    s.run_to(60)
    s.pause("r")
    s.run_to(200)
    fail_over(s)
    s.look()
    assert s.ticks("r") == [60]
    s.resume("r")
    s.run_to(240)
    assert s.ticks("r") == [60, 240]
    assert s.missed("r") == [(120, 180, 2, MissReason.PAUSED)]


def test_a_pause_ends_by_itself() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW)
    s.pause("r", until=150)
    s.run_to(180)
    assert s.row("r").pause is None
    assert s.ticks("r") == [180]
    assert s.missed("r") == [(60, 120, 2, MissReason.PAUSED)]


def test_a_pause_drops_what_waits_for_a_run() -> None:
    s = overlapping(Overlap.QUEUE_ALL, to=180)
    s.pause("r")
    finish_all(s)
    s.resume("r")
    s.look()
    assert s.ticks("r") == [60]
    assert s.missed("r") == [(120, 180, 2, MissReason.PAUSED)]


def test_a_failed_run_pauses_a_schedule_that_wants_it_once() -> None:
    s = schedules()
    s.create("r", every=60, pause_on_failure=True)
    s.run_to(60)
    node = s.cluster.node("n", credit=4)
    node.fail(s.tasks("r")[0])
    # The leader that saw the failure is gone before it looked.
    fail_over(s)
    s.look()
    pause = s.row("r").pause
    assert pause is not None
    assert pause.reason == f"run {s.tasks('r')[0]} failed"
    s.run_to(200)
    s.resume("r")
    s.run_to(240)
    assert s.ticks("r") == [60, 240]


def test_an_edit_starts_anew_from_now() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW)
    s.look()
    s.jump_to(150)
    s.update("r", every=100, overlap=Overlap.ALLOW)
    s.run_to(300)
    assert s.ticks("r") == [200, 300]
    assert s.missed("r") == [(60, 120, 2, MissReason.EDITED)]
    assert s.row("r").version == 2


def test_an_edit_that_changes_nothing_moves_nothing() -> None:
    s = schedules()
    s.create("r", every=60)
    s.look()
    s.jump_to(60)
    s.update("r", every=60)
    s.look()
    assert s.ticks("r") == [60]
    assert s.row("r").version == 1


def test_a_deleted_schedule_leaves_its_tasks() -> None:
    s = schedules()
    s.create("r", every=60)
    s.run_to(60)
    (task,) = s.tasks("r")
    s.delete("r")
    s.run_to(1_000)
    assert s.cluster.state_of(task) is TaskState.PENDING
    assert list(s.cluster.state.tasks) == [task]
    finish_all(s)
    assert refused(s.delete("r")) == "SCHEDULE_NOT_FOUND"


# -- by hand, and the past


def test_a_run_by_hand_is_answered_with_its_task() -> None:
    s = schedules()
    s.create("r", every=60)
    s.pause("r")
    answer = s.run_now("r")
    assert s.tasks("r") == [answer.task]  # type: ignore[attr-defined]
    assert s.row("r").runs[0].cause is Cause.BY_HAND
    assert s.row("r").fired == 0


def test_a_run_by_hand_that_is_repeated_is_one_run() -> None:
    s = schedules()
    s.create("r", every=60)
    request = e.Request("once", b"digest")
    assert s.run_now("r", request) == s.run_now("r", request)
    assert len(s.tasks("r")) == 1


def test_a_backfill_runs_the_ticks_of_the_past_one_after_the_other() -> None:
    s = schedules()
    s.create("r", every=60)
    s.pause("r")
    s.jump_to(1_000)
    s.backfill("r", 120, 240)
    s.look()
    assert s.ticks("r") == [120]
    assert refused(s.backfill("r", 0, 100)) == "BACKFILL_UNDER_WAY"
    fail_over(s)
    for expected in ([120, 180], [120, 180, 240]):
        finish_all(s)
        s.look()
        assert s.ticks("r") == expected
    finish_all(s)
    s.look()
    assert s.row("r").backfill is None
    assert s.row("r").runs[-1].cause is Cause.BACKFILL


def test_a_backfill_may_run_all_at_once_or_the_first_only() -> None:
    s = schedules()
    s.create("r", every=60)
    s.jump_to(50)
    s.backfill("r", -300, 0, Overlap.ALLOW)
    s.look()
    assert s.ticks("r") == [-300, -240, -180, -120, -60, 0]
    s.create("q", every=60)
    s.backfill("q", -300, 0, Overlap.SKIP)
    s.look()
    assert s.ticks("q") == [-300]
    assert s.missed("q") == [(-240, 0, 5, MissReason.OVERLAP)]


# -- refusals, bounds, and the next leader


def test_names_and_queues_are_checked() -> None:
    s = schedules(schedules=1)
    s.create("r", every=60)

    def create(name: str, **spec: object) -> object:
        what = schedule_spec(name, every=60, **spec)  # type: ignore[arg-type]
        return s.cluster.call(
            lambda token: e.ScheduleSubmitted(ScheduleName(name), what, 0, e.Request(), token)
        )

    assert refused(create("r")) == "SCHEDULE_ALREADY_EXISTS"
    assert refused(create("other")) == "TOO_MANY_SCHEDULES"
    s.delete("r")
    assert refused(create("r", queue="none")) == "QUEUE_NOT_FOUND"
    assert refused(s.run_now("r")) == "SCHEDULE_NOT_FOUND"


def test_the_specs_of_all_schedules_together_have_a_bound() -> None:
    s = schedules(schedule_bytes=80)
    s.create("r", every=60)
    what = schedule_spec("q", every=60, blackouts=((0, 10), (20, 30)))
    answer = s.cluster.call(
        lambda token: e.ScheduleSubmitted(ScheduleName("q"), what, 0, e.Request(), token)
    )
    assert refused(answer) == "TOO_MANY_SCHEDULES"
    # One that does not grow may be changed.
    s.update("r", every=90)
