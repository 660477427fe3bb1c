"""Backfills of schedules: their bounds, and what is shown of them before they begin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import schedule_pb2 as pb
from quorate.v1 import scheduler_pb2, task_pb2
from tests.support.one_leader import Leader, leading
from tests.unit.test_schedules_api import INVALID, create, stamp


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


BACKFILLS = ("PreviewBackfill", pb.PreviewBackfillRequest), ("RunSchedule", pb.RunScheduleRequest)


@pytest.mark.parametrize(("method", "request_of"), BACKFILLS)
async def test_a_backfill_has_bounds_also_when_it_is_only_shown(
    leader: Leader, method: str, request_of: Any
) -> None:
    await create(leader, cron="0 0 * * *")
    now = int(leader.clock.wall())
    for field, bad in (
        ("backfill.start_time", pb.Backfill()),
        ("backfill.start_time", pb.Backfill(start_time=stamp(now))),
        ("backfill", pb.Backfill(start_time=stamp(1))),
        (
            "backfill.end_time",
            pb.Backfill(start_time=stamp(now - 86_400), end_time=stamp(now + 60)),
        ),
        (
            "backfill.overlap",
            pb.Backfill(start_time=stamp(now - 86_400), overlap=pb.OVERLAP_POLICY_CANCEL_RUNNING),
        ),
    ):
        with pytest.raises(QuorateError) as caught:
            await leader.call(method, request_of(name="r", backfill=bad))
        assert (caught.value.code, caught.value.field) == (INVALID, field)


async def test_a_backfill_is_shown_before_it_is_asked_for(leader: Leader) -> None:
    await create(leader, cron="0 0 * * *")
    now = int(leader.clock.wall())
    backfill = pb.Backfill(start_time=stamp(now - 5 * 86_400), overlap=pb.OVERLAP_POLICY_ALLOW)
    preview = pb.PreviewBackfillRequest(name="r", backfill=backfill)
    midnight = now - now % 86_400
    shown = (await leader.call("PreviewBackfill", preview)).ticks
    assert [tick.seconds for tick in shown] == [midnight - day * 86_400 for day in range(4, -1, -1)]
    # Nothing began: the range can still be asked for.
    request = pb.RunScheduleRequest(name="r", backfill=backfill)
    assert (await leader.call("RunSchedule", request)).ticks == 5


async def test_no_backfill_is_shown_while_one_is_under_way(leader: Leader) -> None:
    await create(leader, cron="0 0 * * *")
    backfill = pb.Backfill(start_time=stamp(leader.clock.wall() - 2 * 86_400))
    await leader.call("RunSchedule", pb.RunScheduleRequest(name="r", backfill=backfill))
    with pytest.raises(QuorateError) as caught:
        await leader.call("PreviewBackfill", pb.PreviewBackfillRequest(name="r", backfill=backfill))
    assert caught.value.reason == "BACKFILL_UNDER_WAY"


async def test_a_range_of_exactly_the_most_ticks_is_a_backfill(leader: Leader) -> None:
    await create(leader, interval={"every": {"seconds": 1}, "anchor": stamp(0)})
    now = int(leader.clock.wall())

    async def shown(seconds: int) -> Any:
        backfill = pb.Backfill(start_time=stamp(now - seconds), end_time=stamp(now - 1))
        request = pb.PreviewBackfillRequest(name="r", backfill=backfill)
        return (await leader.call("PreviewBackfill", request)).ticks

    assert len(await shown(1_000)) == 1_000
    with pytest.raises(QuorateError) as caught:
        await shown(1_001)
    assert caught.value.metadata["limit"] == "1000"


async def test_a_run_with_another_spec_is_still_the_run_of_its_schedule(leader: Leader) -> None:
    await create(leader)
    task = (await leader.call("RunSchedule", pb.RunScheduleRequest(name="r"))).task
    await leader.call("CancelTask", scheduler_pb2.CancelTaskRequest(id=task))
    full = scheduler_pb2.GetTaskRequest(id=task, view=task_pb2.TASK_VIEW_FULL)
    spec = (await leader.call("GetTask", full)).task.spec
    run = task_pb2.ScheduledRun.FromString(spec.schedule.SerializeToString())
    # As it was read, and without what the cluster set.
    for given in (run, None):
        spec.priority += 1
        spec.ClearField("schedule")
        if given is not None:
            spec.schedule.CopyFrom(given)
        await leader.call("RetryTask", scheduler_pb2.RetryTaskRequest(id=task, spec=spec))
        found = (await leader.call("GetTask", full)).task
        assert (found.spec.schedule, found.spec.priority) == (run, spec.priority)
        await leader.call("CancelTask", scheduler_pb2.CancelTaskRequest(id=task))
    spec.schedule.name = "another"
    with pytest.raises(QuorateError) as caught:
        await leader.call("RetryTask", scheduler_pb2.RetryTaskRequest(id=task, spec=spec))
    assert caught.value.field == "spec.schedule"
