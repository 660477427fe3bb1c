"""UpdateJob: what follows from each change, its bounds and errors, records, and who shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.arrays.spec import JobSpec
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.rows import PauseRow
from scheduler.core.values import JobState
from scheduler.storage.records import jobs as records
from tests.support.core import Cluster
from tests.support.core_jobs import NO_REQUEST, Jobs, job_spec
from tests.support.core_jobs import refused as rejection
from tests.support.core_log import Log
from tests.support.same_state import differences
from tests.unit.test_jobs_api import leading, refused


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


def test_a_higher_priority_goes_before_what_was_there_first(cluster: Cluster, jobs: Jobs) -> None:
    first = jobs.create(1)
    last = jobs.create(1)
    assert isinstance(jobs.update(last, priority=5), JobKnown)
    cluster.node("n1", credit=1)
    assert jobs.chunks(last)
    assert not jobs.chunks(first)


def relabelled(**labels: str) -> Callable[[JobSpec], JobSpec]:
    def make(old: JobSpec) -> JobSpec:
        spec = job_pb2.JobSpec.FromString(old.spec)
        spec.labels.clear()
        spec.labels.update(labels)
        return records.job_spec(spec, spec.SerializeToString(), items=old.items)

    return make


def test_pauses_and_neighbours_go_by_the_labels_that_it_has_now(
    cluster: Cluster, jobs: Jobs
) -> None:
    pause = PauseRow("p", labels=(("app", "mail"),))
    cluster.call(lambda token: e.PauseSubmitted(pause, NO_REQUEST, token))
    job = jobs.create(1)

    def update(job: TaskId, **labels: str) -> None:
        make = relabelled(**labels)
        cluster.call(lambda token: e.JobUpdateAsked(job, make, (), NO_REQUEST, token))

    update(job, app="mail")
    node = cluster.node("n1", credit=1)
    assert not jobs.chunks(job)
    update(job, app="web")
    (running,) = jobs.chunks(job)
    update(job, app="mail", rank="first")
    allocation = cluster.state.allocations[node.instance]
    assert allocation.labels == {("app", "mail"): 1, ("rank", "first"): 1}
    jobs.succeed(node, running)
    assert not allocation.labels


def test_max_parallel_is_raised_and_lowered_for_what_starts_next(
    cluster: Cluster, jobs: Jobs
) -> None:
    node = cluster.node("n1", credit=4, slots=4)
    job = jobs.create(9, job_spec(max_parallel=1))
    assert len(jobs.chunks(job)) == 1
    jobs.update(job, max_parallel=3)
    assert len(jobs.chunks(job)) == 3
    jobs.update(job, max_parallel=1)
    assert len(jobs.chunks(job)) == 3
    for chunk in jobs.chunks(job)[:2]:
        jobs.succeed(node, chunk)
    assert len(jobs.chunks(job)) == 1


def test_a_lower_bound_of_failures_ends_the_job_at_once(cluster: Cluster, jobs: Jobs) -> None:
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(9)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    jobs.update(job, max_failures=0)
    assert jobs.row(job).ending is JobState.FAILED
    assert jobs.row(job).reason == "1 subtasks failed; max_failures is 0"
    (chunk,) = jobs.chunks(job)
    jobs.end(node, chunk)
    assert jobs.row(job).state is JobState.FAILED


def test_a_job_that_is_over_is_not_changed(cluster: Cluster, jobs: Jobs) -> None:
    job = jobs.create(1)
    jobs.cancel(job)
    assert rejection(jobs.update(job, priority=1)) == "JOB_FINISHED"
    assert rejection(jobs.update(cluster.new_id(), priority=1)) == "JOB_NOT_FOUND"


def asking(job: str, *paths: str, **spec: Any) -> pb.UpdateJobRequest:
    return pb.UpdateJobRequest(
        job=job_pb2.Job(id=job, spec=job_pb2.JobSpec(**spec)), update_mask=FieldMask(paths=paths)
    )


async def test_the_job_shows_what_was_changed_and_keeps_the_rest() -> None:
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(
            count=100, name="old", labels={"a": "1"}, max_parallel=2, max_failures=3
        )
        request = asking(
            job.id,
            *("spec.name", "spec.labels", "spec.template.priority", "spec.max_failures"),
            name="new",
            labels={"b": "2"},
            template={"priority": 7},
        )
        spec = (await api.call("UpdateJob", request)).job.spec
        assert (spec.name, dict(spec.labels), spec.template.priority) == ("new", {"b": "2"}, 7)
        assert not spec.HasField("max_failures")
        assert spec.max_parallel == 2
        whole = (await api.call("GetJob", pb.GetJobRequest(id=job.id))).job.spec
        assert whole.template.priority == 7
        assert whole.template.python.entrypoint == "m:f"
        # Without a mask what is set is meant.
        spec = (await api.call("UpdateJob", asking(job.id, max_parallel=9))).job.spec
        assert (spec.max_parallel, spec.name) == (9, "new")
        found = await api.call("ListJobs", pb.ListJobsRequest(text="new"))
        assert [one.id for one in found.jobs] == [job.id]


@pytest.mark.parametrize(
    ("paths", "spec", "reason", "field"),
    [
        ([], {}, "INVALID_FIELD", "update_mask"),
        (["spec.count"], {}, "INVALID_FIELD_MASK", "update_mask"),
        (["spec.name"] * 1 + [f"spec.x{n}" for n in range(25)], {}, "INVALID_FIELD", "mask"),
        ([], {"max_parallel": -1}, "INVALID_FIELD", "job.spec.max_parallel"),
        ([], {"max_failures": -1}, "INVALID_FIELD", "job.spec.max_failures"),
        ([], {"max_failure_share": 2}, "INVALID_FIELD", "job.spec.max_failure_share"),
        ([], {"name": "n" * 200}, "INVALID_FIELD", "job.spec.name"),
        ([], {"labels": {"": "x"}}, "INVALID_FIELD", "job.spec.labels"),
        ([], {"close_after_idle": {"nanos": 1}}, "INVALID_FIELD", "job.spec.close_after_idle"),
        ([], {"template": {"priority": 9_999}}, "INVALID_FIELD", "job.spec.template.priority"),
    ],
)
async def test_bad_input_names_its_field(
    paths: list[str], spec: dict[str, Any], reason: str, field: str
) -> None:
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=2)
        with pytest.raises(QuorateError) as error:
            await api.call("UpdateJob", asking(job.id, *paths, **spec))
        assert refused(error) == ("INVALID_ARGUMENT", reason)
        assert field in error.value.message


async def test_errors_of_a_job_that_is_not_there_or_over() -> None:
    async with leading() as (api, _):
        with pytest.raises(QuorateError) as error:
            await api.call("UpdateJob", asking("", max_parallel=1))
        assert refused(error)[0] == "INVALID_ARGUMENT"
        with pytest.raises(QuorateError) as error:
            await api.call("UpdateJob", asking("0" * 32, max_parallel=1))
        assert refused(error) == ("NOT_FOUND", "JOB_NOT_FOUND")
        job = await api.create(count=1)
        await api.wait(job.id)
        with pytest.raises(QuorateError) as error:
            await api.call("UpdateJob", asking(job.id, max_parallel=1))
        assert refused(error) == ("FAILED_PRECONDITION", "JOB_FINISHED")


async def test_of_a_graph_name_labels_and_failures_can_be_changed() -> None:
    async with leading() as (api, _):
        spec = job_pb2.JobSpec(max_failures=1)
        spec.graph.tasks.add(name="a").task.command.argv.append("true")
        job = (await api.call("CreateJob", pb.CreateJobRequest(spec=spec))).job
        shown = (await api.call("UpdateJob", asking(job.id, name="etl", max_failures=3))).job.spec
        assert (shown.name, shown.max_failures, shown.HasField("graph")) == ("etl", 3, True)
        with pytest.raises(QuorateError) as error:
            await api.call("UpdateJob", asking(job.id, "spec.max_parallel", max_parallel=3))
        assert refused(error) == ("INVALID_ARGUMENT", "INVALID_FIELD_MASK")
