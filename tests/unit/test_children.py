"""Tasks that a running task adds to its job: who may, what the job waits for, repeats, standbys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import QueueName, TaskId
from quorate.security.identity import Caller, How, Role, set_caller
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.model import events as e
from scheduler.core.model.answers import TaskCreated
from scheduler.core.model.events.calls import Parent
from scheduler.core.values import JobState, MemberOf, TaskState
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec
from tests.support.core_jobs import refused as rejection
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec
from tests.support.same_state import differences
from tests.unit.test_jobs_api import Api, leading, refused


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    log = Log()
    cluster = Cluster(log=log)
    yield cluster
    log.flush()
    assert not differences(cluster.state, log.fold.state)
    assert not differences(cluster.state, log.loaded().state)


@pytest.fixture
def jobs(cluster: Cluster) -> Jobs:
    return Jobs(cluster)


def add(
    c: Cluster, job: TaskId, parent: Parent, request: e.Request | None = None
) -> TaskId | object:
    """A task is added; its id, or the rejection."""
    task, what = c.new_id(), spec()._replace(member=MemberOf(job))
    asked = request or e.Request()
    answer = c.call(
        lambda token: e.TaskSubmitted(QueueName("default"), task, what, asked, token, "", parent)
    )
    return answer.task if isinstance(answer, TaskCreated) else answer


def running(c: Cluster, jobs: Jobs) -> tuple[FakeNode, TaskId, TaskId, Parent]:
    """A job of one subtask that runs: its node, the job, the chunk, and what it knows of itself."""
    node = c.node("n1", credit=4, slots=4)
    job = jobs.create(1)
    (chunk,) = jobs.chunks(job)
    return node, job, chunk, Parent(f"{job}.0", 0, node.instance, chunk)


def test_the_job_is_not_finished_before_what_was_added(cluster: Cluster, jobs: Jobs) -> None:
    node, job, chunk, parent = running(cluster, jobs)
    child = add(cluster, job, parent)
    assert isinstance(child, str)
    jobs.succeed(node, chunk)
    assert jobs.row(job).state is JobState.ACTIVE
    node.succeed(TaskId(child))
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_a_child_that_fails_fails_the_job(cluster: Cluster, jobs: Jobs) -> None:
    node, job, chunk, parent = running(cluster, jobs)
    child = add(cluster, job, parent)
    jobs.succeed(node, chunk)
    node.fail(TaskId(str(child)), "ValueError")
    assert jobs.row(job).state is JobState.FAILED


def test_a_child_adds_children(cluster: Cluster, jobs: Jobs) -> None:
    node, job, chunk, parent = running(cluster, jobs)
    child = TaskId(str(add(cluster, job, parent)))
    row = cluster.row(child)
    assert row.state is TaskState.RUNNING
    grandchild = add(cluster, job, Parent(child, row.attempt, node.instance))
    jobs.succeed(node, chunk)
    node.succeed(child)
    assert jobs.row(job).state is JobState.ACTIVE
    node.succeed(TaskId(str(grandchild)))
    assert jobs.row(job).state is JobState.SUCCEEDED


@pytest.mark.parametrize("change", ["chunk", "instance", "ended", "position"])
def test_what_does_not_run_any_more_adds_nothing(cluster: Cluster, jobs: Jobs, change: str) -> None:
    node, job, chunk, parent = running(cluster, jobs)
    match change:
        case "chunk":
            parent = parent._replace(chunk="0" * 32)
        case "instance":
            parent = parent._replace(instance=node.instance + "x")  # type: ignore[arg-type]
        case "position":
            parent = parent._replace(task=f"{job}.1")
        case _:
            jobs.report(node, chunk, succeeded=[(0, 0)])
    why = rejection(add(cluster, job, parent))
    # The job is over with its last subtask.
    assert why == "PARENT_NOT_RUNNING"


def test_a_stale_attempt_of_a_task_adds_nothing(cluster: Cluster, jobs: Jobs) -> None:
    node, job, _, parent = running(cluster, jobs)
    child = TaskId(str(add(cluster, job, parent)))
    row = cluster.row(child)
    for stale in (
        Parent(child, row.attempt + 1, node.instance),
        Parent(child, row.attempt, node.instance + "x"),  # type: ignore[arg-type]
        Parent("f" * 32, 1, node.instance),
    ):
        assert rejection(add(cluster, job, stale)) == "PARENT_NOT_RUNNING"


def test_a_second_run_repeats_its_calls_and_doubles_nothing(cluster: Cluster, jobs: Jobs) -> None:
    node, job, chunk, parent = running(cluster, jobs)
    request = e.Request(f"{job}.0:0", b"digest")
    first = add(cluster, job, parent, request)
    jobs.report(node, chunk, returned=[(0, 0)])
    jobs.end(node, chunk)
    (again,) = jobs.chunks(job)
    second = add(cluster, job, parent._replace(chunk=again), request)
    assert getattr(second, "task", second) == first
    assert len(cluster.state.tasks) == 1


def test_nothing_is_added_to_a_job_that_is_cancelled(cluster: Cluster, jobs: Jobs) -> None:
    _, job, _, parent = running(cluster, jobs)
    jobs.cancel(job)
    assert rejection(add(cluster, job, parent)) == "JOB_FINISHED"


async def held(api: Api, agent: Any) -> tuple[job_pb2.Job, pb.ParentTask]:
    agent.hold.set()
    job = await api.create(count=1)
    while not agent.assigned:
        await asyncio.sleep(0.005)
    return job, pb.ParentTask(
        task_id=f"{job.id}.0", instance=agent.instance, chunk=agent.assigned[0].task_id
    )


async def test_a_call_says_which_attempt_makes_it() -> None:
    work = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    async with leading() as (api, agent):
        job, parent = await held(api, agent)
        request = pb.CreateTaskRequest(spec=work, parent=parent, request_id=f"{job.id}.0:0")
        child = (await api.call("CreateTask", request)).task
        assert (await api.call("GetTask", pb.GetTaskRequest(id=child.id))).task.job_id == job.id
        found = await api.call("ListTasks", pb.ListTasksRequest(job_id=job.id))
        assert [one.id for one in found.tasks] == [child.id]
        # A later attempt, which is another process: the same call.
        later = pb.CreateTaskRequest(spec=work, parent=parent, request_id=f"{job.id}.0:0")
        later.parent.instance = "elsewhere"
        assert (await api.call("CreateTask", later)).task.id == child.id
        other = pb.CreateTaskRequest(spec=work, parent=parent, request_id=f"{job.id}.0:0")
        other.spec.priority = 5
        with pytest.raises(QuorateError) as error:
            await api.call("CreateTask", other)
        assert error.value.code.name in ("ALREADY_EXISTS", "INVALID_ARGUMENT")
        agent.hold.clear()
        assert (await api.wait(job.id)).state == job_pb2.JOB_STATE_SUCCEEDED


async def test_bad_parents_are_refused() -> None:
    work = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))

    async def refusal(**changes: Any) -> tuple[str, str]:
        request = pb.CreateTaskRequest(spec=work, parent=parent)
        request.queue = changes.pop("queue", "")
        for name, value in changes.items():
            setattr(request.parent, name, value)
        with pytest.raises(QuorateError) as error:
            await api.call("CreateTask", request)
        return refused(error)

    async with leading() as (api, agent):
        _, parent = await held(api, agent)
        assert await refusal(task_id="") == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert await refusal(instance="") == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert await refusal(attempt=-1) == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert await refusal(chunk="x" * 300) == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert await refusal(queue="other") == ("INVALID_ARGUMENT", "INVALID_FIELD")
        assert await refusal(task_id="0" * 32) == ("NOT_FOUND", "TASK_NOT_FOUND")
        assert await refusal(chunk="0" * 32) == ("FAILED_PRECONDITION", "PARENT_NOT_RUNNING")
        plain = (await api.call("CreateTask", pb.CreateTaskRequest(spec=work))).task.id
        assert await refusal(task_id=plain) == ("FAILED_PRECONDITION", "TASK_IN_NO_JOB")


async def test_who_is_bound_to_a_queue_learns_of_no_parents_in_others() -> None:
    work = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    async with leading() as (api, agent):
        _, parent = await held(api, agent)
        plain = (await api.call("CreateTask", pb.CreateTaskRequest(spec=work))).task.id
        set_caller(Caller("mail", Role.SUBMITTER, How.TOKEN, ("mail",)))
        for task in (parent.task_id, plain):
            request = pb.CreateTaskRequest(spec=work, queue="mail", parent=parent)
            request.parent.task_id = task
            with pytest.raises(QuorateError) as error:
                await api.call("CreateTask", request)
            assert refused(error) == ("NOT_FOUND", "TASK_NOT_FOUND")
            assert "default" not in error.value.message
        set_caller(Caller("both", Role.SUBMITTER, How.TOKEN, ("mail", "default")))
        request = pb.CreateTaskRequest(spec=work, queue="mail", parent=parent)
        with pytest.raises(QuorateError, match="is in queue 'default'"):
            await api.call("CreateTask", request)


def test_a_task_of_a_reduce_is_not_live_in_a_job_that_is_over(cluster: Cluster, jobs: Jobs) -> None:
    node = cluster.node("n1", credit=4, slots=4)
    job = jobs.create(1, job_spec(reduce=True))
    (chunk,) = jobs.chunks(job)
    jobs.succeed(node, chunk)
    (level,) = jobs.row(job).children
    (chunk,) = jobs.chunks(level)
    added = add(cluster, level, Parent(f"{level}.0", 0, node.instance, chunk))
    assert isinstance(added, str)
    child = TaskId(added)
    jobs.succeed(node, chunk)
    node.fail(child)
    assert jobs.row(job).state is JobState.FAILED
    record = cluster.recorded.of(child)
    answer = cluster.call(lambda token: e.TaskRetryAsked(child, record, e.Request(), token))
    assert rejection(answer) == "PART_OF_JOB"
