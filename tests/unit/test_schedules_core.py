"""What becomes of ticks: fire once, wait, or are missed for a reason that is on record."""

from __future__ import annotations

import pytest

from quorate.internal.v1.records_pb2 import ScheduleRecord
from quorate.runtime.ids import QueueName
from quorate.v1 import task_pb2
from scheduler.core.jobs.schedules import rules
from scheduler.core.jobs.schedules.stamp import stamped
from scheduler.core.model import events as e
from scheduler.core.model.effects import PutSchedule, PutTask
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.schedules import Cause, MissReason, Overlap, ScheduleName
from scheduler.core.values import TaskState
from scheduler.storage import records
from tests.support.core_schedules import (
    BEGIN,
    at,
    fail_over,
    finish_all,
    overlapping,
    recorded,
    schedules,
)
from tests.support.same_state import differences

HOUR = 3_600.0
WINDOW, COUNT = MissReason.CATCH_UP_WINDOW, MissReason.CATCH_UP_COUNT


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
