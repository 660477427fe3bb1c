"""Schedules whose runs are jobs: one job for each tick, live until the job has finished."""

from __future__ import annotations

import pytest

from quorate.internal.v1.records_pb2 import TaskRecord
from quorate.v1 import job_pb2, task_pb2
from scheduler.core.jobs.schedules.stamp import stamped_job
from scheduler.core.model.effects import PutJob, PutJobItems, PutJobTemplate, PutSchedule
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.schedules import Cause, JobTemplate, MissReason, Overlap, ScheduleName
from scheduler.core.values import JobState, TaskState
from scheduler.storage.records.jobs import job_spec, kept_spec
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs
from tests.support.core_log import Log
from tests.support.core_schedules import BEGIN, Schedules, at
from tests.support.same_state import differences


def schedules(**limits: object) -> Schedules:
    return Schedules(Cluster(log=Log(replayable=True), limits=Limits(**limits)))  # type: ignore[arg-type]


def fail_over(s: Schedules) -> None:
    assert s.cluster.log is not None
    s.cluster.lead(s.cluster.log.followed())


def test_a_tick_and_its_job_are_one_txn() -> None:
    s = schedules()
    s.create("r", every=60, items=(b"a", b"b"))
    s.look()
    s.jump_to(60)
    out = s.step("r")
    kinds = [type(write) for write in out.writes]
    assert kinds == [PutJobTemplate, PutJob, PutJobItems, PutSchedule]
    (run,) = s.row("r").runs
    assert run.is_job
    job = s.cluster.state.jobs[run.task]
    assert (job.array.count, job.item_bytes, job.spec.items) == (2, 2, True)
    assert "schedule=r" in job.spec.text
    template = next(write for write in out.writes if isinstance(write, PutJobTemplate)).template
    said = task_pb2.TaskSpec.FromString(template).schedule
    assert (said.name, said.tick_time.seconds) == ("r", BEGIN + 60)


def test_the_stamp_of_a_job_is_merged_into_its_spec() -> None:
    message = job_pb2.JobSpec(count=3, name="x")
    message.template.command.argv.extend(("report", "{index}"))
    message.template.priority = 7
    kept = kept_spec(message)
    template = JobTemplate(
        job_spec(kept, kept.SerializeToString(), items=False),
        message.template.SerializeToString(),
        3,
    )
    made = stamped_job(template, ScheduleName("r"), at(60), Cause.TICK)
    read = job_pb2.JobSpec.FromString(made.spec.spec)
    assert (read.count, read.template.priority, read.template.schedule.name) == (3, 7, "r")
    assert read.template.schedule == task_pb2.TaskSpec.FromString(made.template).schedule
    assert job_spec(read, made.spec.spec, items=False) == made.spec


def test_a_run_has_the_reduce_of_its_job() -> None:
    message = job_pb2.JobSpec(count=3)
    message.template.command.argv.append("true")
    message.reduce.template.python.entrypoint = "m:f"
    message.reduce.fan_in = 2
    kept = kept_spec(message)
    reduce = message.reduce.template.SerializeToString()
    template = JobTemplate(
        job_spec(kept, kept.SerializeToString(), items=False), b"t", 3, reduce=reduce
    )
    made = stamped_job(template, ScheduleName("r"), at(60), Cause.TICK)
    assert made.reduce == reduce
    read = job_pb2.JobSpec.FromString(made.spec.spec)
    # The levels are those that a standby reads from the record.
    assert job_spec(read, made.spec.spec, items=False).reduce == made.spec.reduce
    assert made.spec.reduce is not None
    assert made.spec.reduce.fan_in == 2


def test_a_job_is_live_until_it_has_finished_and_its_outcome_is_noted() -> None:
    s = schedules()
    s.create("r", every=60, subtasks=3)
    s.run_to(120)
    assert s.ticks("r") == [60]
    assert s.missed("r") == [(120, 120, 1, MissReason.OVERLAP)]
    (job,) = s.tasks("r")
    Jobs(s.cluster).finish(job, [s.cluster.node("n", credit=8)])
    fail_over(s)
    s.run_to(180)
    assert s.ticks("r") == [60, 180]
    assert [run.state for run in s.row("r").runs] == [TaskState.SUCCEEDED, 0]


def test_a_job_is_cancelled_for_the_next_tick() -> None:
    s = schedules()
    s.create("r", every=60, subtasks=3, overlap=Overlap.CANCEL_RUNNING)
    s.run_to(120)
    first, second = s.tasks("r")
    assert s.cluster.state.jobs[first].state is JobState.CANCELLED
    assert s.cluster.state.jobs[second].state is JobState.ACTIVE


def test_a_failed_job_pauses_the_schedule() -> None:
    s = schedules()
    s.create("r", every=60, subtasks=1, pause_on_failure=True)
    s.run_to(60)
    (job,) = s.tasks("r")
    jobs, node = Jobs(s.cluster), s.cluster.node("n", credit=8)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    s.look()
    assert s.row("r").pause is not None


def test_a_job_over_its_quota_waits() -> None:
    s = schedules(caller_quota=Quota(live_subtasks=2))
    s.create("r", every=600, subtasks=3)
    s.run_to(660)
    assert s.row("r").blocked == "TOO_MANY_LIVE_SUBTASKS"
    assert not s.cluster.state.jobs


@pytest.mark.parametrize("items", [(), (b"a", b"bc")])
def test_a_standby_knows_what_the_leader_knows(items: tuple[bytes, ...]) -> None:
    s = schedules()
    s.create("r", every=60, subtasks=0 if items else 4, items=items, overlap=Overlap.ALLOW)
    s.run_to(180)
    (job, *_) = s.tasks("r")
    Jobs(s.cluster).cancel(job)
    s.look()
    log = s.cluster.log
    assert log is not None
    for fold in (log.replayed(), log.loaded()):
        assert differences(s.cluster.state, fold.state) == []


def pipeline() -> job_pb2.JobGraph:
    """a -> b, an array with items -> c, an array whose subtasks wait each for one of b."""
    graph = job_pb2.JobGraph()
    for name in "abc":
        graph.tasks.add(name=name).task.command.argv.append(name)
    a, b, c = graph.tasks
    b.depends_on.add(task="a")
    b.array.items.extend((b"x", b"y"))
    c.depends_on.add(task="b", condition=job_pb2.DEPENDENCY_CONDITION_EACH)
    c.array.count = 2
    a.task.name = "a"
    return graph


def test_a_tick_and_its_graph_are_one_txn_and_one_run() -> None:
    s = schedules()
    s.create("r", every=60, graph=pipeline())
    s.jump_to(60)
    s.look()
    (run,) = s.row("r").runs
    assert run.is_job
    assert s.cluster.log is not None
    s.cluster.log.flush()
    for fold in (s.cluster.log.replayed(), s.cluster.log.loaded()):
        assert not differences(s.cluster.state, fold.state)
    graph = s.cluster.state.jobs[run.task]
    assert graph.members is not None
    assert [node.of.name for node in graph.members.nodes] == ["a", "b", "c"]
    assert graph.members.complete
    assert list(s.cluster.state.schedules.owners) == [run.task]
    assert "schedule=r" in graph.spec.text
    array = graph.members.arrays[1]
    assert (array.array.count, array.item_bytes, array.loading) == (2, 2, False)
    record = s.cluster.log.kept[f"tasks/default/{graph.members.nodes[0].task}".encode()]
    said = task_pb2.TaskSpec.FromString(TaskRecord.FromString(record).spec).schedule
    assert (said.name, said.tick_time.seconds) == ("r", BEGIN + 60)


def test_a_graph_is_live_until_it_has_finished_at_the_next_leader_too() -> None:
    s = schedules()
    s.create("r", every=60, graph=pipeline())
    s.run_to(120)
    assert s.missed("r") == [(120, 120, 1, MissReason.OVERLAP)]
    fail_over(s)
    (run,) = s.row("r").runs
    cluster = s.cluster
    node = cluster.node("n9", credit=10)
    members = cluster.state.jobs[run.task].members
    assert members is not None
    node.succeed(members.nodes[0].task)
    jobs = Jobs(cluster)
    for place in (1, 2):
        jobs.finish(members.arrays[place].id, [node])
    assert cluster.state.jobs[run.task].state is JobState.SUCCEEDED
    s.run_to(180)
    assert s.ticks("r") == [60, 180]
    assert s.row("r").runs[0].state == TaskState.SUCCEEDED


def test_a_graph_over_its_quota_is_missed() -> None:
    s = schedules(live_tasks=0)
    s.create("r", every=60, graph=pipeline(), window=30)
    s.run_to(120)
    assert s.missed("r")[0][3] is MissReason.NOT_CREATED
    assert not s.cluster.state.jobs
