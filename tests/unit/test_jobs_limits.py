"""Arrays under the limits of their queue and of their caller, and what KEDA sees of them."""

from __future__ import annotations

import pytest

from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.look import look
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.values import JobState, LengthPolicy, Rate, TaskState
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec, refused
from tests.support.core_log import Log
from tests.support.same_state import differences


@pytest.fixture
def cluster():
    log = Log()
    cluster = Cluster(log=log, limits=Limits(caller_quota=Quota(live_subtasks=100)))
    yield cluster
    log.flush()
    assert not differences(cluster.state, log.fold.state)
    assert not differences(cluster.state, log.loaded().state)


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


def test_a_chunk_holds_one_of_what_a_queue_may_run(cluster, jobs):
    cluster.queue("q", max_running=2)
    node = cluster.node("n1", credit=8, slots=8)
    job = jobs.create(50, queue="q")
    cluster.submit(queue="q")
    assert len(jobs.chunks(job)) == 2
    assert not cluster.state.queues["q"].counts[TaskState.RUNNING]
    jobs.succeed(node, jobs.chunks(job)[0])
    assert len(jobs.chunks(job)) == 2


def test_each_subtask_takes_a_start_of_a_rate_limit(cluster, jobs):
    cluster.queue("q", rate=Rate(2, 1.0, 2))
    node = cluster.node("n1", credit=8, slots=8)
    job = jobs.create(50, queue="q")
    assert [jobs.left(chunk) for chunk in jobs.chunks(job)] == [[(0, 0)], [(1, 1)]]
    for chunk in jobs.chunks(job):
        jobs.succeed(node, chunk, 1e-6)
    # However short they are: one at a time, as they come.
    assert not jobs.chunks(job)
    cluster.advance(1.0)
    assert jobs.row(job).array.out == 2


def test_a_subtask_that_never_began_gives_its_start_back(cluster, jobs):
    cluster.queue("q", rate=Rate(1, 10.0, 1))
    node = cluster.node("n1", credit=1)
    job = jobs.create(5, queue="q")
    (chunk,) = jobs.chunks(job)
    node.give_back(chunk)
    assert len(jobs.chunks(job)) == 1
    jobs.succeed(node, *jobs.chunks(job))
    assert not jobs.chunks(job)


def test_the_length_of_a_queue_counts_subtasks_and_drops_none(cluster, jobs):
    cluster.queue("q", max_length=10)
    assert refused(jobs.ask_create(11, queue="q")) == "QUEUE_FULL"
    job = jobs.create(8, queue="q")
    assert refused(jobs.ask_create(3, queue="q")) == "QUEUE_FULL"
    cluster.queue("d", max_length=10, length_policy=LengthPolicy.DROP_OLDEST)
    other = jobs.create(9, queue="d")
    for _ in range(4):
        cluster.submit(queue="d")
    assert jobs.states(job) == "P" * 8
    assert jobs.states(other) == "P" * 9


def test_live_subtasks_are_a_quota_of_their_own(cluster, jobs):
    job = jobs.create(60, creator="submitter:a")
    assert refused(jobs.ask_create(41, creator="submitter:a")) == "TOO_MANY_LIVE_SUBTASKS"
    assert isinstance(jobs.ask_create(100, creator="submitter:b"), JobKnown)
    cluster.submit(creator="submitter:a")
    jobs.cancel(job)
    assert isinstance(jobs.ask_create(100, creator="submitter:a"), JobKnown)
    assert refused(jobs.retry(job)) == "TOO_MANY_LIVE_SUBTASKS"


def test_an_autoscaler_sees_the_subtasks_that_wait(cluster, jobs):
    jobs.create(50, job_spec(cpu=2.0))
    jobs.create(50, job_spec(max_parallel=3))
    cluster.submit()
    demands = {demand.needs.cpu: demand.count for demand in look(cluster.state, Ask(), 0.0).demands}
    assert demands == {2.0: 50, 0.0: 4}


def test_reduces_to_come_count_as_live_from_the_start(cluster, jobs):
    node = cluster.node("n", credit=100)
    # 96 subtasks, 10 reduces of the first level and one of the second.
    refused_one = jobs.ask_create(96, job_spec(fan_in=10), creator="a")
    assert refused(refused_one) == "TOO_MANY_LIVE_SUBTASKS"
    job = jobs.create(80, job_spec(fan_in=10), creator="a")
    usage = cluster.state.callers["a"]
    assert usage.subtasks == 80 + 8 + 1
    most = usage.subtasks
    while not jobs.row(job).finished:
        for chunk in sorted(cluster.state.chunks):
            jobs.succeed(node, chunk)
            assert usage.subtasks <= most
            most = usage.subtasks
        if len(jobs.row(job).children) == 1:
            # The room of its last level is kept.
            left = 100 - usage.subtasks
            assert refused(jobs.ask_create(left + 1, creator="a")) == "TOO_MANY_LIVE_SUBTASKS"
    assert jobs.row(job).state is JobState.SUCCEEDED
    assert usage.subtasks == 0
