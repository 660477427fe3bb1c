"""The calls about schedules: bad input names its field, and nothing is half-applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import schedule_pb2 as pb
from quorate.v1 import scheduler_pb2, task_pb2
from tests.support.one_leader import PREFIX, Leader, leading

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


def spec(**fields: Any) -> pb.ScheduleSpec:
    message = pb.ScheduleSpec(**fields)
    if message.WhichOneof("timing") is None:
        message.cron = "0 * * * *"
    if message.WhichOneof("work") is None:
        message.task.command.argv.append("true")
    return message


async def create(leader: Leader, name: str = "r", **fields: Any) -> pb.Schedule:
    request = pb.CreateScheduleRequest(schedule=pb.Schedule(name=name, spec=spec(**fields)))
    answer: pb.CreateScheduleResponse = await leader.call("CreateSchedule", request)
    return answer.schedule


async def get(leader: Leader, name: str = "r") -> pb.Schedule:
    answer: pb.GetScheduleResponse = await leader.call(
        "GetSchedule", pb.GetScheduleRequest(name=name)
    )
    return answer.schedule


def stamp(seconds: float) -> Any:
    return {"seconds": int(seconds)}


PYTHON = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="m:f", json="{"))
PLAIN = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
CYCLE = {"name": "a", "task": PLAIN, "depends_on": [{"task": "a"}]}
LATER = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), not_before=stamp(1e10))
BLOB = task_pb2.TaskSpec(
    python=task_pb2.PythonWork(entrypoint="m:f", pickle=b""),
    payload_blob=task_pb2.BlobRef(sha256="0" * 64, upload="0" * 32, size=1 << 20),
)
MADE = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
MADE.schedule.name = "x"
LARGE = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"], stdin=b"x" * 65_536))

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a minute that no hour has": ({"cron": "61 * * * *"}, "cron", "INVALID_CRON"),
    "a day that no month has": ({"cron": "0 0 30 2 *"}, "cron", "SCHEDULE_NEVER_FIRES"),
    "too few fields": ({"cron": "* *"}, "cron", "INVALID_CRON"),
    "an unknown zone": ({"time_zone": "Europe/Atlantis"}, "time_zone", "UNKNOWN_TIME_ZONE"),
    "a zone that is a path": ({"time_zone": "../etc/passwd"}, "time_zone", "UNKNOWN_TIME_ZONE"),
    "no time at all": ({"interval": {}}, "interval.every", "INVALID_FIELD"),
    "an interval of nanoseconds": (
        {"interval": {"every": {"seconds": 1, "nanos": 1}}},
        "interval.every",
        "INVALID_FIELD",
    ),
    "an interval below a second": (
        {"interval": {"every": {"nanos": 500_000_000}}},
        "interval.every",
        "INVALID_FIELD",
    ),
    "an instant that has passed": ({"at": stamp(1)}, "at", "SCHEDULE_NEVER_FIRES"),
    "an end that has passed": ({"end_time": stamp(1)}, "end_time", "SCHEDULE_NEVER_FIRES"),
    "an end before the start": (
        {"start_time": stamp(9e9), "end_time": stamp(8e9)},
        "end_time",
        "INVALID_FIELD",
    ),
    "a bad queue name": ({"queue": "A B"}, "queue", "INVALID_FIELD"),
    "a task without work": ({"task": task_pb2.TaskSpec(name="x")}, "task.work", "INVALID_FIELD"),
    "arguments that are no JSON": ({"task": PYTHON}, "task.python.json", "INVALID_FIELD"),
    "a task that waits for an instant": ({"task": LATER}, "task.not_before", "INVALID_FIELD"),
    "a task of another schedule": ({"task": MADE}, "task.schedule", "INVALID_FIELD"),
    "a task with a large value": ({"task": BLOB}, "task.payload_blob", "INVALID_FIELD"),
    "a graph of too many tasks": (
        {"job": {"graph": {"tasks": [{"name": f"t{n}", "task": PLAIN} for n in range(49)]}}},
        "job.graph.tasks",
        "INVALID_FIELD",
    ),
    "a graph with a cycle": (
        {"job": {"graph": {"tasks": [CYCLE]}}},
        "job.graph.tasks[0].depends_on",
        "GRAPH_CYCLE",
    ),
    "a graph with a task that waits for an instant": (
        {"job": {"graph": {"tasks": [{"name": "a", "task": LATER}]}}},
        "job.graph.tasks[0].task.not_before",
        "INVALID_FIELD",
    ),
    "a graph with a large value": (
        {"job": {"graph": {"tasks": [{"name": "a", "task": BLOB}]}}},
        "job.graph.tasks[0].task.payload_blob",
        "INVALID_FIELD",
    ),
    "an empty graph": ({"job": {"graph": {}}}, "job.graph.tasks", "INVALID_FIELD"),
    "a graph that is an array, too": (
        {"job": {"template": PLAIN, "graph": {"tasks": [{"name": "a", "task": PLAIN}]}}},
        "job.template",
        "INVALID_FIELD",
    ),
    "a job with a large value": (
        {"job": {"template": BLOB}},
        "job.template.payload_blob",
        "INVALID_FIELD",
    ),
    "a job without a template": ({"job": {"count": 3}}, "job.template", "INVALID_FIELD"),
    "a job that is open": ({"job": {"template": PLAIN, "open": True}}, "job.open", "INVALID_FIELD"),
    "a job of too many subtasks": (
        {"job": {"template": PLAIN, "count": 10**8}},
        "job.count",
        "INVALID_FIELD",
    ),
    "a job with an item that is not there": (
        {"job": {"template": {"command": {"argv": ["echo", "{}"]}}, "count": 3}},
        "job.template.command.argv[1]",
        "INVALID_FIELD",
    ),
    "a job whose subtasks wait": ({"job": {"template": LATER}}, "job.template.not_before", ""),
    "an unknown overlap policy": ({"overlap": 17}, "overlap", "INVALID_FIELD"),
    "an unknown gap policy": ({"dst_gap": 17}, "dst_gap", "INVALID_FIELD"),
    "an unknown fold policy": ({"dst_fold": 17}, "dst_fold", "INVALID_FIELD"),
    "too short a window": (
        {"catch_up_window": {"nanos": 1_000}},
        "catch_up_window",
        "INVALID_FIELD",
    ),
    "too much catching up": ({"catch_up_count": 101}, "catch_up_count", "INVALID_FIELD"),
    "more than a day of jitter": ({"jitter": {"seconds": 86_401}}, "jitter", "INVALID_FIELD"),
    "a negative number of runs": ({"max_runs": -1}, "max_runs", "INVALID_FIELD"),
    "too many blackouts": (
        {"blackouts": [{"start_time": stamp(1), "end_time": stamp(2)}] * 17},
        "blackouts",
        "INVALID_FIELD",
    ),
    "a blackout without an end": (
        {"blackouts": [{"start_time": stamp(1)}]},
        "blackouts[0].end_time",
        "INVALID_FIELD",
    ),
    "a blackout with a bad expression": (
        {"blackouts": [{"cron": "x", "duration": {"seconds": 1}}]},
        "blackouts[0].cron",
        "INVALID_CRON",
    ),
    "a blackout without a length": (
        {"blackouts": [{"cron": "0 0 * * *"}]},
        "blackouts[0].duration",
        "INVALID_FIELD",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_names_the_field_and_makes_nothing(leader: Leader, case: str) -> None:
    fields, field, reason = BAD[case]
    with pytest.raises(QuorateError) as caught:
        await create(leader, **fields)
    error = caught.value
    assert (error.code, error.reason) == (INVALID, reason or "INVALID_FIELD"), error
    assert error.field == f"schedule.spec.{field}"
    assert error.message.startswith(f"schedule.spec.{field}: ")
    assert not leader.driver.state.schedules.rows


async def test_a_spec_that_is_too_large_says_the_limit(leader: Leader) -> None:
    with pytest.raises(QuorateError) as caught:
        await create(leader, task=LARGE)
    assert (caught.value.reason, caught.value.field) == ("PAYLOAD_TOO_LARGE", "schedule.spec")
    assert caught.value.metadata["limit"] == "65536"


async def test_a_schedule_is_read_back_with_its_next_ticks(leader: Leader) -> None:
    made = await create(leader, cron="30 2 * * *", time_zone="Europe/Berlin", max_runs=3)
    assert made.state == pb.SCHEDULE_STATE_ACTIVE
    assert len(made.next_ticks) == 3
    assert made.remaining_runs == 3
    assert await get(leader) == made
    await create(leader, "q", interval={"every": {"seconds": 60}})
    listed = await leader.call("ListSchedules", pb.ListSchedulesRequest(page_size=1))
    assert [one.name for one in listed.schedules] == ["q"]
    assert len(listed.schedules[0].next_ticks) == 1
    rest = await leader.call(
        "ListSchedules", pb.ListSchedulesRequest(page_token=listed.next_page_token)
    )
    assert [one.name for one in rest.schedules] == ["r"]
    none = await leader.call("ListSchedules", pb.ListSchedulesRequest(queue="other"))
    assert not none.schedules


async def test_an_interval_without_an_anchor_counts_from_now(leader: Leader) -> None:
    made = await create(leader, interval={"every": {"seconds": 90}})
    assert made.spec.interval.HasField("anchor")
    assert made.next_ticks[0].seconds == made.spec.interval.anchor.seconds + 90


async def test_an_update_changes_what_the_mask_names(leader: Leader) -> None:
    made = await create(leader, cron="0 1 * * *", queue="")
    change = pb.UpdateScheduleRequest(
        schedule=pb.Schedule(name="r", etag=made.etag, spec=pb.ScheduleSpec(cron="0 2 * * *"))
    )
    changed = (await leader.call("UpdateSchedule", change)).schedule
    assert changed.spec.cron == "0 2 * * *"
    assert changed.spec.task == made.spec.task
    assert changed.etag != made.etag
    with pytest.raises(QuorateError) as caught:
        await leader.call("UpdateSchedule", change)
    assert caught.value.code is grpc.StatusCode.ABORTED
    for path, bad in (("spec.cron", "INVALID_CRON"), ("spec.nothing", "INVALID_FIELD_MASK")):
        change = pb.UpdateScheduleRequest(
            schedule=pb.Schedule(name="r", spec=pb.ScheduleSpec(cron="never"))
        )
        change.update_mask.paths.append(path)
        with pytest.raises(QuorateError) as caught:
            await leader.call("UpdateSchedule", change)
        assert caught.value.reason == bad
    assert (await get(leader)).spec.cron == "0 2 * * *"


async def test_what_is_not_there_is_not_found(leader: Leader) -> None:
    for method, request in (
        ("GetSchedule", pb.GetScheduleRequest(name="x")),
        ("DeleteSchedule", pb.DeleteScheduleRequest(name="x")),
        ("PauseSchedule", pb.PauseScheduleRequest(name="x")),
        ("ResumeSchedule", pb.ResumeScheduleRequest(name="x")),
        ("RunSchedule", pb.RunScheduleRequest(name="x")),
        ("UpdateSchedule", pb.UpdateScheduleRequest(schedule=pb.Schedule(name="x"))),
    ):
        with pytest.raises(QuorateError) as caught:
            await leader.call(method, request)
        assert caught.value.code is grpc.StatusCode.NOT_FOUND, method
        assert caught.value.reason == "SCHEDULE_NOT_FOUND"


async def test_a_queue_that_is_not_there_says_how_to_make_it(leader: Leader) -> None:
    with pytest.raises(QuorateError, match='"quorate queues create later"') as caught:
        await create(leader, queue="later")
    assert caught.value.reason == "QUEUE_NOT_FOUND"


async def test_a_pause_says_why_by_whom_and_until_when(leader: Leader) -> None:
    await create(leader)
    until = int(leader.clock.wall()) + 600
    request = pb.PauseScheduleRequest(name="r", reason="moving house", until=stamp(until))
    paused = (await leader.call("PauseSchedule", request)).schedule
    assert paused.state == pb.SCHEDULE_STATE_PAUSED
    assert (paused.pause_reason, paused.pause_until.seconds) == ("moving house", until)
    assert all(tick.seconds > until for tick in paused.next_ticks)
    resumed = (await leader.call("ResumeSchedule", pb.ResumeScheduleRequest(name="r"))).schedule
    assert resumed.state == pb.SCHEDULE_STATE_ACTIVE
    for bad in (
        pb.PauseScheduleRequest(name="r", until=stamp(until - 10_000)),
        pb.PauseScheduleRequest(name="r", reason="x" * 257),
    ):
        with pytest.raises(QuorateError) as caught:
            await leader.call("PauseSchedule", bad)
        assert caught.value.code is INVALID


async def test_a_run_now_makes_a_task_that_names_its_schedule(leader: Leader) -> None:
    await create(leader)
    request = pb.RunScheduleRequest(name="r", request_id="once")
    task = (await leader.call("RunSchedule", request)).task
    assert (await leader.call("RunSchedule", request)).task == task
    found = await leader.call("GetTask", scheduler_pb2.GetTaskRequest(id=task))
    assert found.task.spec.schedule.name == "r"
    shown = await get(leader)
    assert [(run.task, run.cause) for run in shown.last_runs] == [
        (task, task_pb2.SCHEDULE_CAUSE_BY_HAND)
    ]
    assert shown.live_runs == 1
    assert shown.last_runs[0].state == task_pb2.TASK_STATE_PENDING


async def test_a_run_may_be_a_job(leader: Leader) -> None:
    made = await create(leader, job={"template": PLAIN, "count": 5})
    assert made.spec.job.count == 5
    job = (await leader.call("RunSchedule", pb.RunScheduleRequest(name="r"))).job
    assert leader.driver.state.jobs[TaskId(job)].array.count == 5
    shown = await get(leader)
    assert [(run.job, run.task, run.state) for run in shown.last_runs] == [
        (job, "", task_pb2.TASK_STATE_PENDING)
    ]
    assert shown.live_runs == 1


async def test_a_run_may_be_a_graph(leader: Leader) -> None:
    tasks = [
        {"name": "a", "task": PLAIN},
        {"name": "b", "task": PLAIN, "depends_on": [{"task": "a"}], "array": {"count": 3}},
    ]
    made = await create(leader, job={"name": "g", "graph": {"tasks": tasks}})
    assert [task.name for task in made.spec.job.graph.tasks] == ["a", "b"]
    job = (await leader.call("RunSchedule", pb.RunScheduleRequest(name="r"))).job
    row = leader.driver.state.jobs[TaskId(job)]
    assert row.members is not None
    assert [node.of.name for node in row.members.nodes] == ["a", "b"]
    shown = await get(leader)
    assert [(run.job, run.state) for run in shown.last_runs] == [(job, task_pb2.TASK_STATE_PENDING)]
    assert shown.live_runs == 1


async def test_ticks_fire_by_the_wall_clock_while_the_leader_leads(leader: Leader) -> None:
    await create(leader, interval={"every": {"seconds": 3_600}}, overlap=5)
    leader.clock.advance(7_200)
    # Something changes: the duty looks at once, not within the second in which it notices a jump.
    await leader.call("RunSchedule", pb.RunScheduleRequest(name="r"))
    while (shown := await get(leader)).runs < 3:
        pass
    causes = [run.cause for run in shown.last_runs]
    assert causes.count(task_pb2.SCHEDULE_CAUSE_TICK) == 2


async def test_schedules_are_refused_while_a_scheduler_is_older(leader: Leader) -> None:
    old = CandidateRecord(name="s2", version="0.1.0")
    await leader.etcd.put(PREFIX + b"election/scheduler/2", old.SerializeToString())
    with pytest.raises(QuorateError) as caught:
        await create(leader)
    assert caught.value.reason == "SCHEDULER_TOO_OLD"
    assert caught.value.metadata["schedulers"] == "s2"


async def test_no_schedule_is_made_while_etcd_is_nearly_full(leader: Leader) -> None:
    leader.full = "etcd is nearly full"
    with pytest.raises(QuorateError) as caught:
        await create(leader)
    assert caught.value.reason == "ETCD_SPACE_LOW"


async def test_a_long_list_leaves_the_loop_to_others_between_two_schedules(leader: Leader) -> None:
    for number in range(20):
        await create(leader, f"s{number}")
    request = pb.ListSchedulesRequest()
    listing = asyncio.ensure_future(leader.call("ListSchedules", request))
    turns = 0
    while not listing.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(listing.result().schedules) == 20
    assert turns >= 20


async def test_a_schedule_that_is_deleted_while_it_is_listed_is_left_out(leader: Leader) -> None:
    for name in ("a", "b", "c"):
        await create(leader, name)
    listing = asyncio.ensure_future(leader.call("ListSchedules", pb.ListSchedulesRequest()))
    # It begins before.
    await asyncio.sleep(0)
    await leader.call("DeleteSchedule", pb.DeleteScheduleRequest(name="c"))
    names = [one.name for one in (await listing).schedules]
    assert names[:2] == ["a", "b"]
