"""Schedules through changes of leaders: each tick runs exactly once, however the leader went."""

from __future__ import annotations

import time
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.v1 import schedule_pb2, scheduler_pb2, task_pb2
from tests.support.cluster import Cluster
from tests.support.server import until


def every_second(file: Path) -> schedule_pb2.Schedule:
    """Each run writes the instant for which it is into a file."""
    schedule = schedule_pb2.Schedule(name="second")
    schedule.spec.cron = "* * * * * *"
    schedule.spec.overlap = schedule_pb2.OVERLAP_POLICY_ALLOW
    script = f'echo "$QUORATE_SCHEDULED_TIME" >> {file}'
    schedule.spec.task.command.argv.extend(("sh", "-c", script))
    return schedule


async def seen(cluster: Cluster) -> schedule_pb2.Schedule:
    request = schedule_pb2.GetScheduleRequest(name="second")
    found: schedule_pb2.Schedule = (await cluster.call(request)).schedule
    return found


async def runs_after(cluster: Cluster, count: int) -> None:
    """Until so many runs were started."""

    async def look() -> bool:
        return (await seen(cluster)).runs >= count

    await until(look, f"{count} runs")


async def on_the_second() -> None:
    """Until a whole second has just come."""
    await until(lambda: time.time() % 1.0 < 0.05, "the next second")


async def ticks(cluster: Cluster) -> list[int]:
    """The tick of each task on record, in order."""
    request = scheduler_pb2.ListTasksRequest(page_size=1_000)
    tasks: list[task_pb2.Task] = list((await cluster.call(request)).tasks)
    return sorted(task.spec.schedule.tick_time.seconds for task in tasks)


async def test_each_tick_runs_once_while_leaders_are_killed_on_it(tmp_path: Path) -> None:
    file = tmp_path / "ticks"
    async with Cluster(tmp_path, agents=1, slots=4) as cluster:
        await cluster.in_session("n1")
        create = schedule_pb2.CreateScheduleRequest(schedule=every_second(file), request_id="once")
        await cluster.call(create)
        await runs_after(cluster, 2)
        for _ in range(2):
            await cluster.standby()
            epoch, leader = await cluster.leader()
            await on_the_second()
            leader.kill()
            await leader.gone()
            await cluster.leader(after=epoch)
            await leader.start()
            await runs_after(cluster, (await seen(cluster)).runs + 2)
        paused = schedule_pb2.PauseScheduleRequest(name="second", request_id="pause")
        schedule: schedule_pb2.Schedule = (await cluster.call(paused)).schedule
        made = await ticks(cluster)
        assert made == list(range(made[0], made[0] + len(made))), "each second once, none left out"
        assert schedule.runs == len(made)
        assert schedule.missed_ticks == 0, schedule

        async def all_ran() -> bool:
            return file.exists() and len(file.read_text().split()) >= len(made)

        await until(all_ran, "every run has written its tick")
    expected = [Timestamp(seconds=tick).ToJsonString() for tick in made]
    assert sorted(file.read_text().split()) == expected
