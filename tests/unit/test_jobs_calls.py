"""Callers end, pause, retry and append to arrays."""

from __future__ import annotations

import pytest

from scheduler.core.model import events as e
from scheduler.core.model.answers import JobItemsKnown, JobItemsOverlap, JobKnown
from scheduler.core.values import JobState
from tests.support.core_jobs import Jobs, followed_cluster, job_spec, refused


@pytest.fixture
def cluster():
    with followed_cluster() as cluster:
        yield cluster


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


def test_cancelling_ends_what_runs_and_cancels_the_rest(cluster, jobs):
    node = cluster.node("n1", credit=2)
    job = jobs.create(5)
    first, second = jobs.chunks(job)
    assert isinstance(jobs.cancel(job), JobKnown)
    assert jobs.states(job) == "OOCCC"
    assert {task for task, _ in node.ended} == {first, second}
    jobs.report(node, first, failed=[0], error="CANCELLED")
    jobs.end(node, first)
    assert jobs.row(job).state is JobState.ACTIVE
    jobs.succeed(node, second)
    assert jobs.row(job).state is JobState.CANCELLED
    assert jobs.states(job) == "CSCCC"
    assert isinstance(jobs.cancel(job), JobKnown)


def test_cancelling_a_job_that_waits_is_done_at_once(jobs):
    job = jobs.create(5)
    jobs.cancel(job)
    assert jobs.row(job).state is JobState.CANCELLED


def test_a_finished_job_is_not_cancelled(cluster, jobs):
    node = cluster.node("n1")
    job = jobs.create(2)
    jobs.finish(job, [node])
    assert refused(jobs.cancel(job)) == "JOB_FINISHED"
    assert refused(jobs.pause(job)) == "JOB_FINISHED"
    assert refused(jobs.retry(job)) == "NOTHING_TO_RETRY"


def test_too_many_failures_end_a_job_early(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(10, job_spec(max_failures=1))
    for position in (0, 1):
        (chunk,) = jobs.chunks(job)
        jobs.report(node, chunk, failed=[position])
        jobs.end(node, chunk)
    row = jobs.row(job)
    assert row.state is JobState.FAILED
    assert row.reason == "2 subtasks failed; max_failures is 1"
    assert jobs.states(job) == "FF" + "C" * 8


def test_a_share_of_failures_ends_a_job_early(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(4, job_spec(max_failure_share=0.25))
    for position in (0, 1):
        (chunk,) = jobs.chunks(job)
        jobs.report(node, chunk, failed=[position])
        jobs.end(node, chunk)
    assert jobs.row(job).state is JobState.FAILED
    assert jobs.states(job) == "FFCC"


def test_a_paused_job_starts_nothing_more_and_recalls_what_was_not_begun(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(200)
    jobs.succeed(node, *jobs.chunks(job), 1e-6)
    (chunk,) = jobs.chunks(job)
    jobs.pause(job)
    assert node.recalled == [chunk]
    jobs.report(node, chunk, succeeded=[(1, 1)], returned=[(2, 8)])
    jobs.end(node, chunk)
    assert not jobs.chunks(job)
    assert jobs.row(job).state is JobState.PAUSED
    jobs.pause(job, paused=False)
    assert jobs.chunks(job)
    jobs.finish(job, [node])


def test_a_retry_runs_again_what_did_not_succeed(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(3)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    assert refused(jobs.retry(job)) == "JOB_NOT_FINISHED"
    assert refused(jobs.delete(job)) == "JOB_NOT_FINISHED"
    jobs.finish(job, [node])
    assert jobs.states(job) == "FSS"
    jobs.retry(job)
    assert jobs.states(job) == "OSS"
    assert jobs.row(job).round == 1
    assert jobs.row(job).array.block(0).attempts_of(0) == 2
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED
    assert jobs.row(job).array.block(0).attempts_of(0) == 2


def test_a_standby_that_loads_reads_blocks_of_an_older_round_as_waiting(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(2, job_spec(attempts=2, backoff=1.0))
    for _ in range(3):
        for chunk in jobs.chunks(job):
            jobs.report(node, chunk, failed=[first for first, _ in jobs.left(chunk)])
            jobs.end(node, chunk)
        cluster.advance(3.0)
        for chunk in jobs.chunks(job):
            jobs.report(node, chunk, failed=[first for first, _ in jobs.left(chunk)])
            jobs.end(node, chunk)
        cluster.advance(3.0)
    assert jobs.row(job).state is JobState.FAILED
    node.credit(0)
    jobs.retry(job)
    assert jobs.states(job) == "PP"


def test_a_repeated_retry_runs_nothing_twice(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    request = e.Request("again", b"d")
    jobs.retry(job, request)
    jobs.finish(job, [node])
    assert isinstance(jobs.retry(job, request), JobKnown)
    assert jobs.row(job).round == 1


def test_items_are_appended_once_and_without_gaps(cluster, jobs):
    job = jobs.create(0, job_spec(items=True), open=True)
    assert jobs.add_items(job, 0, [b"a", b"b"]) == JobItemsKnown(job, 2)
    assert jobs.add_items(job, 0, [b"a", b"b"], checked=2) == JobItemsKnown(job, 2)
    assert jobs.add_items(job, 1, [b"b", b"c"], checked=2) == JobItemsKnown(job, 3)
    assert refused(jobs.add_items(job, 4, [b"e"])) == "ITEMS_MISSING"
    assert jobs.row(job).item_bytes == 3
    node = cluster.node("n1")
    jobs.close(job)
    assert refused(jobs.add_items(job, 3, [b"d"])) == "JOB_CLOSED"
    jobs.finish(job, [node])
    assert jobs.states(job) == "SSS"


def test_items_at_positions_that_are_taken_are_compared_first(cluster, jobs):
    job = jobs.create(0, job_spec(items=True), open=True)
    jobs.add_items(job, 0, [b"a"])
    assert jobs.add_items(job, 0, [b"x", b"y", b"z"]) == JobItemsOverlap(job, 1)
    # Another one appends while the first position is compared.
    jobs.add_items(job, 1, [b"b"])
    more = jobs.add_items(job, 0, [b"x", b"y", b"z"], checked=1)
    assert more == JobItemsOverlap(job, 2)
    assert jobs.row(job).array.count == 2
    assert jobs.add_items(job, 0, [b"x", b"y", b"z"], checked=2) == JobItemsKnown(job, 3)


def test_an_open_array_does_not_finish_and_grows_below_what_is_given_out(cluster, jobs):
    node = cluster.node("n1", credit=4)
    job = jobs.create(0, job_spec(items=True), open=True)
    jobs.add_items(job, 0, [b"a"])
    jobs.succeed(node, *jobs.chunks(job))
    assert jobs.row(job).state is JobState.ACTIVE
    jobs.add_items(job, 1, [b"b"])
    jobs.succeed(node, *jobs.chunks(job))
    jobs.close(job)
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_nothing_starts_before_the_items_of_its_creation_are_on_record(cluster, jobs):
    cluster.node("n1")
    job = jobs.create(0, job_spec(items=True), loading=True)
    jobs.add_items(job, 0, [b"a", b"b"], loads=True)
    assert not jobs.chunks(job)
    jobs.add_items(job, 2, [b"c"], loads=True, last=True)
    assert jobs.chunks(job)
    assert jobs.add_items(job, 2, [b"c"], loads=True, last=True) == JobItemsKnown(job, 3)


def test_an_idle_open_array_is_closed_and_an_abandoned_creation_cancelled(cluster, jobs):
    job = jobs.create(0, job_spec(items=True, close_after_idle={"seconds": 60}), open=True)
    half = jobs.create(0, job_spec(items=True), loading=True)
    cluster.advance(59.0)
    cluster.step(e.IdleJobsDue())
    assert jobs.row(job).open
    cluster.advance(2.0)
    cluster.step(e.IdleJobsDue())
    assert jobs.row(job).state is JobState.SUCCEEDED
    cluster.advance(1_000.0)
    cluster.step(e.IdleJobsDue())
    assert jobs.row(half).state is JobState.CANCELLED
