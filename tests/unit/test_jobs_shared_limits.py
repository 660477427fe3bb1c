"""Arrays under shared limits, limit keys and fairness keys: what their templates name."""

from __future__ import annotations

import pytest

from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.look import look
from scheduler.core.model.answers import Done
from scheduler.core.model.limits.permits import of_share
from scheduler.core.values import Rate, TaskState
from tests.support.core_jobs import Jobs, followed_cluster, job_spec, refused
from tests.support.core_specs import spec


@pytest.fixture
def cluster():
    with followed_cluster() as cluster:
        yield cluster


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


def test_a_chunk_holds_a_permit_of_each_limit_that_its_job_names(cluster, jobs):
    cluster.limit("licence", 2)
    node = cluster.node("n1", credit=8, slots=8)
    job = jobs.create(50, job_spec(limits=["licence"]))
    task = cluster.submit(spec(limits=["licence"]))
    assert len(jobs.chunks(job)) == 2
    assert cluster.state_of(task) is TaskState.PENDING
    permits = cluster.state.permits
    assert (permits.running, permits.live) == ({"licence": 2}, {"licence": 2})
    # What waits for a permit holds back nobody else.
    assert cluster.state_of(cluster.submit()) is TaskState.RUNNING
    jobs.succeed(node, jobs.chunks(job)[0])
    assert permits.running == {"licence": 2}
    jobs.cancel(job)
    for chunk in jobs.chunks(job):
        jobs.end(node, chunk)
    assert cluster.state_of(task) is TaskState.RUNNING
    node.succeed(task)
    assert (permits.running, permits.live) == ({}, {})


def test_a_limit_that_a_job_names_must_exist_and_stays_while_the_job_lives(cluster, jobs):
    unknown = jobs.ask_create(5, job_spec(limits=["nowhere"]))
    assert refused(unknown) == "LIMIT_NOT_FOUND"
    assert unknown.field == "spec.template.limits"
    cluster.limit("licence", 2)
    job = jobs.create(5, job_spec(limits=["licence"]))
    assert refused(cluster.delete_limit("licence")) == "LIMIT_IN_USE"
    jobs.cancel(job)
    assert cluster.delete_limit("licence") == Done()


def test_chunks_of_a_full_key_are_passed_over(cluster, jobs):
    cluster.queue("q", max_running_per_key=1)
    node = cluster.node("n1", credit=8, slots=8)
    first = jobs.create(20, job_spec(key="a"), queue="q")
    second = jobs.create(20, job_spec(key="a"), queue="q")
    other = jobs.create(20, job_spec(key="b"), queue="q")
    assert [len(jobs.chunks(job)) for job in (first, second, other)] == [1, 0, 1]
    while not jobs.row(first).finished:
        jobs.succeed(node, jobs.chunks(first)[0])
    assert len(jobs.chunks(second)) == 1


def test_each_subtask_takes_a_start_of_a_shared_rate(cluster, jobs):
    cluster.limit("api", 0, Rate(2, 1.0, 2))
    node = cluster.node("n1", credit=8, slots=8)
    job = jobs.create(50, job_spec(limits=["api"]))
    assert [jobs.left(chunk) for chunk in jobs.chunks(job)] == [[(0, 0)], [(1, 1)]]
    # One comes back before it began, and another one starts in its place.
    node.give_back(jobs.chunks(job)[0])
    assert jobs.row(job).array.out == 2
    cluster.advance(1.0)
    assert jobs.row(job).array.out == 4


def test_the_rest_of_a_chunk_is_left_to_it_while_its_limit_lets_nothing_start(cluster, jobs):
    cluster.limit("licence", 1)
    node = cluster.node("n1", credit=4, slots=4)
    job = jobs.create(1_000, job_spec(limits=["licence"]))
    while jobs.row(job).array.pending:
        jobs.succeed(node, jobs.chunks(job)[0], 1e-3)
    (last,) = jobs.chunks(job)
    cluster.advance(1.0)
    assert not cluster.state.chunks[last].chunk.recalled
    cluster.update_limit("licence", 2, None)
    cluster.advance(1.0)
    assert cluster.state.chunks[last].chunk.recalled


def test_an_autoscaler_sees_what_a_limit_lets_through(cluster, jobs):
    cluster.limit("licence", 3)
    jobs.create(50, job_spec(limits=["licence"]))
    assert sum(demand.count for demand in look(cluster.state, Ask(), 0.0).demands) == 3


def test_a_reduce_has_limits_of_its_own(cluster, jobs):
    cluster.limit("licence", 1)
    node = cluster.node("n1", credit=8, slots=8)
    job = jobs.create(12, job_spec(limits=["licence"], fan_in=3))
    while not jobs.row(job).children:
        jobs.succeed(node, jobs.chunks(job)[0])
    (level,) = jobs.row(job).children.values()
    assert len(level.chunks) == 1
    assert cluster.state.permits.live == {"licence": 2}


def test_arrays_of_tenants_share_a_queue(cluster, jobs):
    node = cluster.node("n1", credit=2, slots=2)
    flood = jobs.create(5_000, job_spec(tenant="flood", fan_in=10))
    for _ in range(20):
        chunk = jobs.chunks(flood)[0]
        size = cluster.state.chunks[chunk].chunk.size
        cluster.advance(size * 0.01)
        jobs.succeed(node, chunk, size * 0.01)
    few = jobs.create(40, job_spec(tenant="few"))
    done = 0
    while not jobs.row(few).finished:
        assert cluster.state.chunks
        for chunk in sorted(cluster.state.chunks):
            row = cluster.state.chunks[chunk]
            size = row.chunk.size
            done += size * (row.job.id == flood)
            cluster.advance(size * 0.01)
            jobs.succeed(node, chunk, size * 0.01)
    # As much as the others had meanwhile, and what they had begun.
    assert done <= 70
    assert cluster.state.permits.arrivals[of_share("default", "few")] > 0.0
