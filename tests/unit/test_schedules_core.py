"""What becomes of ticks: fire once, wait, or are missed for a reason that is on record."""

from __future__ import annotations

import pytest

from quorate.internal.v1.records_pb2 import ScheduleRecord, TaskRecord
from quorate.runtime.ids import QueueName
from quorate.v1 import task_pb2
from scheduler.core.jobs.schedules import rules
from scheduler.core.jobs.schedules.stamp import stamped
from scheduler.core.model import events as e
from scheduler.core.model.effects import PutSchedule, PutTask
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.schedules import Cause, MissReason, Overlap, ScheduleName
from scheduler.core.values import TaskState
from scheduler.storage import keys, records
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_schedules import BEGIN, Schedules, at, refused, schedule_spec
from tests.support.same_state import differences

HOUR = 3_600.0
WINDOW, COUNT = MissReason.CATCH_UP_WINDOW, MissReason.CATCH_UP_COUNT


def schedules(**limits: object) -> Schedules:
    return Schedules(Cluster(log=Log(replayable=True), limits=Limits(**limits)))  # type: ignore[arg-type]


def finish_all(s: Schedules) -> None:
    """A node runs everything that waits, and is gone."""
    node = s.cluster.node("n", credit=100)
    while node.has:
        node.succeed(next(iter(node.has)))
    node.lose()


def recorded(s: Schedules, task: str) -> tuple[TaskRecord, task_pb2.TaskSpec]:
    """A task's record, and its spec."""
    log = s.cluster.log
    assert log is not None
    log.flush()
    record = TaskRecord.FromString(log.kept[keys.task_key("default", task)])
    return record, task_pb2.TaskSpec.FromString(record.spec)


def fail_over(s: Schedules) -> None:
    """Another process leads, with what is on record."""
    assert s.cluster.log is not None
    s.cluster.lead(s.cluster.log.followed())


def test_a_tick_and_its_task_are_one_txn() -> None:
    s = schedules()
    s.create("r", every=60)
    s.look()
    s.jump_to(60)
    out = s.step("r")
    assert [type(write) for write in out.writes] == [PutTask, PutSchedule]
    task = s.tasks("r")[0]
    assert s.cluster.state_of(task) is TaskState.PENDING
    assert s.row("r").cursor == at(60)


def test_nothing_fires_before_its_instant_nor_at_the_creation() -> None:
    s = schedules()
    s.create("r", every=60)
    s.run_to(59.999)
    assert s.ticks("r") == []
    s.run_to(60)
    assert s.ticks("r") == [60]


def test_the_runs_task_says_which_schedule_and_tick() -> None:
    s = schedules()
    s.create("r", every=60)
    s.run_to(60)
    record, spec = recorded(s, s.tasks("r")[0])
    assert list(spec.command.argv) == ["report"]
    assert spec.schedule.name == "r"
    assert spec.schedule.tick_time.seconds == BEGIN + 60
    assert spec.schedule.cause == task_pb2.SCHEDULE_CAUSE_TICK
    assert record.created_by == "submitter:ci"
    # Found by a search, here and at a standby.
    assert "schedule=r" in s.cluster.row(s.tasks("r")[0]).text.split()


@pytest.mark.parametrize("tick", [0, 1, 999_999, 1_000_000, at(0.25), -1, 1 << 52])
def test_the_stamp_is_what_protobuf_writes(tick: int) -> None:
    base = task_pb2.TaskSpec(name="x")
    made = stamped(
        records.task_spec(base, base.SerializeToString()),
        ScheduleName("näme" * 40),
        tick,
        Cause.BY_HAND,
    )
    expected = task_pb2.TaskSpec(name="x")
    expected.schedule.name = "näme" * 40
    expected.schedule.tick_time.FromMicroseconds(tick)
    expected.schedule.cause = task_pb2.SCHEDULE_CAUSE_BY_HAND
    assert task_pb2.TaskSpec.FromString(made.spec) == expected
    assert made.schedule == "näme" * 40


# -- failover and clocks


@pytest.mark.parametrize("when", ["before the tick", "at the tick", "after its Txn"])
def test_each_tick_fires_once_through_a_change_of_leaders(when: str) -> None:
    s = schedules()
    s.create("r", every=1, overlap=Overlap.ALLOW)
    s.run_to(2)
    s.jump_to(2.5 if when == "before the tick" else 3)
    if when == "after its Txn":
        s.step("r")
    fail_over(s)
    s.run_to(6)
    assert s.ticks("r") == [1, 2, 3, 4, 5, 6]
    assert s.row("r").miss_count == 0


def test_a_tick_whose_txn_was_lost_with_its_leader_fires_under_the_next_one() -> None:
    s = schedules()
    s.create("r", every=10)
    s.look()
    log = s.cluster.log
    assert log is not None
    s.jump_to(10)
    s.cluster.log = None
    s.step("r")
    s.cluster.log = log
    fail_over(s)
    assert s.ticks("r") == []
    s.look()
    assert s.ticks("r") == [10]


def test_a_clock_that_goes_back_an_hour_fires_nothing_twice() -> None:
    s = schedules()
    s.create("r", every=600, overlap=Overlap.ALLOW)
    s.run_to(HOUR)
    fired = s.ticks("r")
    s.jump_to(0)
    s.run_to(HOUR + 599)
    assert s.ticks("r") == fired
    s.run_to(HOUR + 600)
    assert s.ticks("r") == [*fired, HOUR + 600]


def test_a_clock_that_jumps_forward_an_hour_catches_up() -> None:
    s = schedules()
    s.create("r", every=900, overlap=Overlap.ALLOW)
    s.look()
    s.jump_to(HOUR)
    s.look()
    assert s.ticks("r") == [900, 1_800, 2_700, 3_600]


def test_a_new_leader_whose_clock_is_behind_waits_for_the_next_tick() -> None:
    s = schedules()
    s.create("r", every=60)
    s.run_to(60)
    fail_over(s)
    s.wall = 30
    s.look()
    assert s.ticks("r") == [60]
    finish_all(s)
    s.run_to(120)
    assert s.ticks("r") == [60, 120]


# -- catch-up


def test_what_is_older_than_the_window_is_missed() -> None:
    s = schedules()
    s.create("r", every=900, overlap=Overlap.ALLOW)
    s.look()
    s.jump_to(3 * HOUR)
    s.look()
    assert s.ticks("r") == [7_200, 8_100, 9_000, 9_900, 10_800]
    assert s.missed("r") == [(900, 6_300, 7, WINDOW)]
    assert s.row("r").miss_count == 7


def test_of_more_ticks_than_the_count_the_newest_run() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW, count=2)
    s.look()
    s.jump_to(600)
    s.look()
    assert s.ticks("r") == [540, 600]
    assert s.missed("r") == [(60, 480, 8, COUNT)]


def test_years_of_missed_seconds_take_a_few_steps_and_are_not_counted() -> None:
    s = schedules()
    s.create("r", cron="* * * * * *", overlap=Overlap.ALLOW, count=3, window=60)
    s.look()
    s.jump_to(3 * 365 * 86_400)
    assert s.look() < 10
    assert [tick - s.wall for tick in s.ticks("r")] == [-2, -1, 0]
    (first, _, total, reason), *_ = s.missed("r")
    assert (first, total, reason) == (1, -1, WINDOW)


def test_every_tick_of_an_outage_within_the_window_runs_once() -> None:
    s = schedules()
    s.create("r", every=1, overlap=Overlap.ALLOW)
    s.run_to(2)
    s.jump_to(80)
    s.look()
    assert s.row("r").run_count == 80
    assert s.row("r").miss_count == 0


# -- overlap


def overlapping(policy: Overlap, to: float = 300, **spec: object) -> Schedules:
    """A run every minute that does not end."""
    s = schedules()
    s.create("r", every=60, overlap=policy, **spec)
    s.run_to(to)
    return s


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


# -- blackouts, start, end, limits of runs


def test_no_tick_runs_in_a_blackout() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW, blackouts=((100, 200),))
    s.run_to(300)
    assert s.ticks("r") == [60, 240, 300]
    assert s.missed("r") == [(120, 180, 2, MissReason.BLACKOUT)]


def test_a_blackout_may_come_again_and_again() -> None:
    s = schedules()
    s.create("r", every=HOUR, overlap=Overlap.ALLOW, blackouts=(("30 9 * * *", 2 * HOUR),))
    s.run_to(36 * HOUR)
    assert [tick / HOUR for tick in s.ticks("r")][-3:] == [32, 33, 36]


def test_start_and_end_bound_the_ticks() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW, start=120, end=240)
    s.run_to(600)
    assert s.ticks("r") == [120, 180, 240]
    assert rules.next_decided(s.row("r")) is None
    assert s.row("r").miss_count == 0


def test_a_schedule_ends_after_so_many_runs() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.QUEUE_ALL, max_runs=2)
    s.run_to(600)
    finish_all(s)
    s.run_to(900)
    assert s.ticks("r") == [60, 120]
    assert s.cluster.state.schedules.next_due() is None


def test_one_instant_fires_once() -> None:
    s = schedules()
    s.create("r", once=90)
    s.run_to(1_000)
    assert s.ticks("r") == [90]
    assert s.cluster.state.schedules.next_due() is None


def test_jitter_is_the_same_on_every_leader_and_never_reaches_the_next_tick() -> None:
    s = schedules()
    s.create("r", every=60, jitter=600)
    row = s.row("r")
    delays = [
        rules.fires_at(row.spec, row.name, at(60 * number)) - at(60 * number)
        for number in range(1, 200)
    ]
    assert all(0 <= delay < 60_000_000 for delay in delays)
    assert len(set(delays)) > 190
    s.run_to(60)
    fail_over(s)
    s.run_to(60 + delays[0] / 1e6 - 0.001)
    assert s.ticks("r") == []
    s.run_to(60 + delays[0] / 1e6)
    assert s.ticks("r") == [60]


def test_a_tick_that_jitter_makes_late_is_not_missed() -> None:
    s = schedules()
    s.create("r", every=86_400, jitter=80_000, window=1)
    s.run_to(5 * 86_400)
    assert s.ticks("r") == [86_400]
    assert [miss[3] for miss in s.missed("r")] == [MissReason.OVERLAP]


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


# -- tasks that cannot be created


def test_a_tick_waits_for_its_quota_within_the_window() -> None:
    s = schedules(caller_quota=Quota(live_tasks=1))
    blocker = s.cluster.submit(creator="submitter:ci")
    s.create("r", every=600, overlap=Overlap.ALLOW)
    s.run_to(660)
    assert s.ticks("r") == []
    assert s.row("r").blocked == "TOO_MANY_LIVE_TASKS"
    s.cluster.cancel(blocker)
    s.run_to(662)
    assert s.ticks("r") == [600]
    assert s.row("r").blocked == ""


def test_a_tick_whose_queue_is_gone_is_missed_for_that_reason() -> None:
    s = schedules()
    s.cluster.queue("gone")
    s.create("r", every=600, queue="gone", overlap=Overlap.ALLOW, window=300)
    s.cluster.call(lambda token: e.QueueDeleteAsked(QueueName("gone"), e.Request(), token))
    s.run_to(1_000)
    assert s.ticks("r") == []
    assert s.missed("r") == [(600, 600, 1, MissReason.NOT_CREATED)]
    assert s.row("r").misses[0].detail == "QUEUE_NOT_FOUND"
    s.cluster.queue("gone")
    s.run_to(1_200)
    assert s.ticks("r") == [1_200]


def test_without_space_in_etcd_ticks_wait() -> None:
    s = schedules()
    s.create("r", every=60, overlap=Overlap.ALLOW)
    s.refused = "ETCD_SPACE_LOW"
    s.run_to(130)
    assert s.row("r").blocked == "ETCD_SPACE_LOW"
    s.refused = ""
    s.run_to(132)
    assert s.ticks("r") == [60, 120]


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


def test_a_spec_is_read_once_from_many_records() -> None:
    s = schedules()
    s.create("r", cron="H * * * *", zone="Europe/Berlin")
    row = s.row("r")
    data = records.schedule_record(row).SerializeToString()
    assert records.schedule_row(data, row).spec is row.spec
    assert records.schedule_row(data).spec == row.spec


def test_idle_schedules_are_looked_at_once() -> None:
    s = schedules()
    for number in range(50):
        s.create(f"r{number}", cron="0 0 1 1 *")
    assert s.look() == 50
    s.jump_to(HOUR)
    assert s.look() == 0


def test_a_standby_knows_what_the_leader_knows() -> None:
    s = overlapping(Overlap.QUEUE_ALL, pause_on_failure=True)
    s.pause("r", until=10_000)
    s.create("q", cron="H * * * *", zone="Europe/Berlin", blackouts=(("0 0 * * *", 60.0),))
    s.backfill("q", 0, 100, Overlap.ALLOW)
    log = s.cluster.log
    assert log is not None
    for fold in (log.replayed(), log.loaded()):
        assert differences(s.cluster.state, fold.state) == []


def test_a_record_keeps_what_a_newer_version_wrote() -> None:

    s = schedules()
    s.create("r", every=60)
    data = records.schedule_record(s.row("r")).SerializeToString() + b"\xfa\x7f\x03new"
    row = records.schedule_row(data)
    assert records.schedule_record(row).SerializeToString() == data
    # A time zone that only a newer list has: no ticks rather than wrong ones.
    record = ScheduleRecord.FromString(data)
    record.spec.cron, record.spec.time_zone = "* * * * *", "Mars/Olympus"
    strange = records.schedule_row(record.SerializeToString())
    assert rules.next_tick(strange.spec, 0) is None
    assert records.schedule_record(strange).spec.time_zone == "Mars/Olympus"
