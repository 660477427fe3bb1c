"""Bad input to jobs, graphs, schedules, limits and bulk calls: code, reason, field and limit, and
nothing half-applied. Large values: see `tests/e2e/test_large_values.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2, queue_pb2, schedule_pb2, task_pb2
from quorate.v1 import limit_pb2 as lpb
from quorate.v1 import scheduler_pb2 as pb
from tests.support import one_leader
from tests.support.chunk_agent import ChunkAgent
from tests.support.one_leader import PREFIX, Leader
from tests.unit.test_jobs_api import Api, leading

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@asynccontextmanager
async def alone() -> AsyncIterator[Leader]:
    """A leader that has written what it writes by itself."""
    async with one_leader.leading(MemoryEtcd()) as leader:
        await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="a")))
        yield leader


async def refused(api: Api | Leader, method: str, request: Any) -> QuorateError:
    with pytest.raises(QuorateError) as told:
        await api.call(method, request)
    # One sentence for people, whatever the call.
    assert told.value.message
    assert "\n" not in told.value.message
    return told.value


def about(error: QuorateError) -> tuple[str, str, str, str]:
    return error.reason, error.field, error.metadata["limit"], error.metadata["value"]


async def records(leader: Leader) -> list[tuple[bytes, bytes]]:
    found = await leader.etcd.range(Range(PREFIX, prefix_end(PREFIX)))
    return [(one.key, one.value) for one in found.kvs]


def command(**fields: Any) -> task_pb2.TaskSpec:
    spec = task_pb2.TaskSpec(**fields)
    spec.command.argv.append("true")
    return spec


async def begun(api: Api, agent: ChunkAgent, count: int = 3, queue: str = "") -> job_pb2.Job:
    """A job of which a chunk runs."""
    agent.hold.set()
    spec = job_pb2.JobSpec(count=count, template=command())
    request = pb.CreateJobRequest(spec=spec, queue=queue)
    job: job_pb2.Job = (await api.call("CreateJob", request)).job
    while not agent.assigned:
        await api.call("WaitJob", pb.WaitJobRequest(id=job.id, timeout={"nanos": 1_000_000}))
    return job


async def the_job(api: Api, job: str) -> job_pb2.Job:
    return (await api.call("GetJob", pb.GetJobRequest(id=job))).job  # type: ignore[no-any-return]


@pytest.mark.parametrize("count", [10**9, 10_000_001])
async def test_an_array_that_is_too_long_names_the_limit(count: int) -> None:
    async with alone() as leader:
        before = await records(leader)
        spec = job_pb2.JobSpec(count=count, template=command())
        error = await refused(leader, "CreateJob", pb.CreateJobRequest(spec=spec))
        assert error.code is INVALID
        assert about(error) == ("INVALID_FIELD", "spec.count", "10000000", str(count))
        assert await records(leader) == before


async def test_a_graph_that_is_too_large_names_the_limit() -> None:
    async with alone() as leader:
        before = await records(leader)
        spec = job_pb2.JobSpec()
        for number in range(10_001):
            spec.graph.tasks.add(name=f"t{number}", task=command())
        error = await refused(leader, "CreateJob", pb.CreateJobRequest(spec=spec))
        assert error.code is INVALID
        assert about(error) == ("INVALID_FIELD", "spec.graph.tasks", "10000", "10001")
        assert await records(leader) == before


async def test_an_item_that_is_too_large_among_appended_ones_appends_none_of_them() -> None:
    async with leading() as (api, agent):
        job = await api.create(open=True, items=[b"1"])
        items = [b"2", b"x" * ((1 << 20) + 1), b"4"]
        append = pb.AppendJobItemsRequest(id=job.id, first_position=1, items=items)
        error = await refused(api, "AppendJobItems", append)
        assert error.code is INVALID
        assert about(error) == ("PAYLOAD_TOO_LARGE", "items[1]", "1048576", "1048577")
        found = await the_job(api, job.id)
        assert (found.count, found.state) == (1, job_pb2.JOB_STATE_ACTIVE)
        # The stream goes on where it was.
        append = pb.AppendJobItemsRequest(id=job.id, first_position=1, items=[b"2"])
        assert (await api.call("AppendJobItems", append)).count == 2
        await api.call("CloseJob", pb.CloseJobRequest(id=job.id))
        assert (await api.wait(job.id)).counts == job_pb2.JobCounts(succeeded=2)
        assert sorted(agent.ran[job.id]) == [0, 1]


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        ({"cron": "61 * * * *"}, "cron", "INVALID_CRON"),
        ({"cron": "0 0 30 2 *"}, "cron", "SCHEDULE_NEVER_FIRES"),
        ({"cron": "0 0 * * *", "time_zone": "Mars/Base"}, "time_zone", "UNKNOWN_TIME_ZONE"),
    ],
)
async def test_a_schedule_that_cannot_be_leaves_no_record(
    bad: dict[str, Any], field: str, reason: str
) -> None:
    async with alone() as leader:
        before = await records(leader)
        spec = schedule_pb2.ScheduleSpec(task=command(), **bad)
        wanted = schedule_pb2.Schedule(name="r", spec=spec)
        request = schedule_pb2.CreateScheduleRequest(schedule=wanted)
        error = await refused(leader, "CreateSchedule", request)
        assert (error.code, error.reason) == (INVALID, reason)
        assert error.field == f"schedule.spec.{field}"
        assert await records(leader) == before


async def test_a_limit_of_0_is_refused_new_or_changed() -> None:
    async with alone() as leader:
        limit = lpb.Limit(name="licence", max_running=2)
        await leader.call("CreateLimit", lpb.CreateLimitRequest(limit=limit))
        before = await records(leader)
        for method, request, field in (
            (
                "CreateLimit",
                lpb.CreateLimitRequest(limit={"name": "x", "max_running": 0}),
                "limit.max_running",
            ),
            (
                "UpdateLimit",
                lpb.UpdateLimitRequest(limit={"name": "licence", "max_running": 0}),
                "limit.max_running",
            ),
            (
                "CreateLimit",
                lpb.CreateLimitRequest(limit={"name": "x", "rate": {"count": 0}}),
                "limit.rate.count",
            ),
            (
                "UpdateQueue",
                pb.UpdateQueueRequest(queue={"name": "default", "max_running": 0}),
                "queue.max_running",
            ),
        ):
            error = await refused(leader, method, request)
            assert error.code is INVALID
            assert about(error) == ("INVALID_FIELD", field, "1", "0")
        assert await records(leader) == before


async def test_a_limit_that_is_not_there_is_named_and_no_task_of_the_batch_is_made() -> None:
    async with alone() as leader:
        before = await records(leader)
        specs = [command(), command(limits=["none"])]
        error = await refused(leader, "BatchCreateTasks", pb.BatchCreateTasksRequest(specs=specs))
        assert (error.code, error.reason) == (PRECONDITION, "LIMIT_NOT_FOUND")
        assert error.metadata["limit"] == "none"
        for method, request in (
            ("UpdateLimit", lpb.UpdateLimitRequest(limit={"name": "none", "max_running": 1})),
            ("DeleteLimit", lpb.DeleteLimitRequest(name="none")),
        ):
            error = await refused(leader, method, request)
            assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "LIMIT_NOT_FOUND")
        assert await records(leader) == before


async def test_a_unique_key_of_10_kib_names_the_limit() -> None:
    async with alone() as leader:
        before = await records(leader)
        spec = command(unique={"key": "k" * 10_240})
        error = await refused(leader, "CreateTask", pb.CreateTaskRequest(spec=spec))
        assert error.code is INVALID
        assert about(error) == ("INVALID_FIELD", "spec.unique.key", "256", "10240")
        assert await records(leader) == before


async def test_what_was_redriven_is_not_redriven_again() -> None:
    def fail(*_: Any) -> task_pb2.TaskError:
        return task_pb2.TaskError(type="ValueError")

    async with leading(fail) as (api, agent):
        job = await api.create(count=1)
        await api.wait(job.id)
        agent.hold.set()
        again = (await api.call("RetryJob", pb.RetryJobRequest(id=job.id))).job
        assert again.round == 1
        error = await refused(api, "RetryJob", pb.RetryJobRequest(id=job.id))
        assert (error.code, error.reason) == (PRECONDITION, "JOB_NOT_FINISHED")
        assert (await the_job(api, job.id)).round == 1
        agent.hold.clear()
        # A task: one that waits again is not retried, and counted by a call for many.
        await api.call("PauseQueue", pb.PauseQueueRequest(name="default"))
        task = (await api.call("CreateTask", pb.CreateTaskRequest(spec=command()))).task.id
        await api.call("CancelTask", pb.CancelTaskRequest(id=task))
        await api.call("RetryTask", pb.RetryTaskRequest(id=task))
        error = await refused(api, "RetryTask", pb.RetryTaskRequest(id=task))
        assert (error.code, error.reason) == (PRECONDITION, "TASK_NOT_RETRIABLE")
        assert error.metadata["task"] == task
        many = await api.call("RetryTasks", pb.RetryTasksRequest(ids=[task]))
        assert (many.retried, many.not_finished) == (0, 1)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("CancelTasks", pb.CancelTasksRequest()),
        ("RetryTasks", pb.RetryTasksRequest()),
        ("DeleteTasks", pb.DeleteTasksRequest()),
        (
            "UpdateTasks",
            pb.UpdateTasksRequest(
                task={"spec": {"priority": 1}}, update_mask={"paths": ["spec.priority"]}
            ),
        ),
    ],
)
async def test_a_filter_that_matches_everything_is_to_be_said(method: str, request_: Any) -> None:
    async with alone() as leader:
        await leader.call("CreateTask", pb.CreateTaskRequest(spec=command()))
        before = await records(leader)
        error = await refused(leader, method, request_)
        assert (error.code, error.reason, error.field) == (INVALID, "INVALID_FIELD", "ids")
        assert "set states to" in error.message
        assert await records(leader) == before


async def test_a_job_that_runs_is_not_retried_and_goes_on() -> None:
    async with leading() as (api, agent):
        job = await begun(api, agent)
        error = await refused(api, "RetryJob", pb.RetryJobRequest(id=job.id))
        assert (error.code, error.reason) == (PRECONDITION, "JOB_NOT_FINISHED")
        assert error.metadata["job"] == job.id
        agent.hold.clear()
        done = await api.wait(job.id)
        assert (done.round, done.counts.succeeded) == (0, 3)


async def test_a_queue_with_a_running_job_is_not_deleted_and_the_job_goes_on() -> None:
    async with leading() as (api, agent):
        await api.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q")))
        job = await begun(api, agent, queue="q")
        error = await refused(api, "DeleteQueue", pb.DeleteQueueRequest(name="q"))
        assert (error.code, error.reason) == (PRECONDITION, "QUEUE_NOT_EMPTY")
        assert error.metadata["queue"] == "q"
        assert "1 jobs" in error.message
        agent.hold.clear()
        assert (await api.wait(job.id)).counts.succeeded == 3
        assert (await api.call("GetQueue", pb.GetQueueRequest(name="q"))).queue.name == "q"


async def test_results_that_are_read_while_the_job_runs_are_those_that_are_there() -> None:
    async with leading() as (api, agent):
        job = await begun(api, agent)
        # None of them is shown as a result that is not there yet.
        answers = await api.call("ReadJobResults", pb.ReadJobResultsRequest(id=job.id))
        assert not [run for answer in answers for run in answer.runs]
        others = [one.state for answer in answers for one in answer.others]
        assert job_pb2.SUBTASK_STATE_SUCCEEDED not in others
        assert (await the_job(api, job.id)).state == job_pb2.JOB_STATE_ACTIVE
        agent.hold.clear()
        assert (await api.wait(job.id)).counts.succeeded == 3
        answers = await api.call("ReadJobResults", pb.ReadJobResultsRequest(id=job.id))
        assert answers[-1].next_position == 3
