"""Reduces in the core: when a level begins and ends, what calls do to it, and the standby's state
equal to the leader's."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import offset_id
from scheduler.core.arrays.levels import MOST_LEVELS, inputs, levels, size_of_next
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.jobs import moves
from scheduler.core.values import JobState, MemberOf
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec, refused
from tests.support.core_log import Log
from tests.support.core_specs import spec
from tests.support.same_state import differences


@pytest.fixture
def cluster():
    log = Log()
    cluster = Cluster(log=log)
    yield cluster
    log.flush()
    assert not differences(cluster.state, log.fold.state)
    assert not differences(cluster.state, log.loaded().state)


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


@pytest.mark.parametrize(
    ("count", "fan_in", "sizes"),
    [
        (4_500, 100, [45, 1]),
        (100, 100, [1]),
        (101, 100, [2, 1]),
        (0, 100, [1]),
        (1, 2, [1]),
        (5, 2, [3, 2, 1]),
        (10_000_000, 0, [1]),
    ],
)
def test_levels_have_fewer_and_fewer_reduces(count, fan_in, sizes):
    found: list[int] = []
    left = count
    while not found or left > 1:
        left = size_of_next(left, fan_in)
        found.append(left)
    assert found == sizes
    assert levels(count, fan_in) == len(sizes)


def test_no_job_has_more_levels_than_ids_are_kept_for():
    assert levels(10_000_000, 2) == MOST_LEVELS


def test_each_result_goes_into_one_reduce():
    parts = [inputs(position, 100, 450) for position in range(5)]
    assert parts == [(0, 100), (100, 200), (200, 300), (300, 400), (400, 450)]
    assert inputs(0, 0, 450) == (0, 450)
    assert inputs(0, 100, 0) == (0, 0)


def _levels(jobs, job):
    return list(jobs.row(job).children)


def test_a_reduce_follows_the_last_subtask_in_the_same_step(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(1, job_spec(reduce=True))
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, succeeded=[(0, 0)])
    assert not _levels(jobs, job)
    jobs.end(node, chunk)
    (level,) = _levels(jobs, job)
    assert level == offset_id(job, 1)
    assert jobs.row(job).state is JobState.ACTIVE
    jobs.finish(job, [node])
    assert jobs.row(job).state is jobs.row(level).state is JobState.SUCCEEDED
    assert jobs.row(job).settled
    assert jobs.row(level).settled


def test_levels_follow_until_one_result_is_left(cluster, jobs):
    node = cluster.node("n1", credit=4)
    job = jobs.create(30, job_spec(fan_in=4))
    jobs.finish(job, [node])
    assert [jobs.row(level).array.count for level in _levels(jobs, job)] == [8, 2, 1]
    assert [jobs.row(level).level for level in _levels(jobs, job)] == [1, 2, 3]


def test_an_array_without_subtasks_has_one_reduce(cluster, jobs):
    node = cluster.node("n1", credit=4)
    job = jobs.create(0, job_spec(fan_in=10))
    assert [jobs.row(level).array.count for level in _levels(jobs, job)] == [1]
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_no_reduce_begins_when_a_subtask_has_failed(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(2, job_spec(reduce=True))
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.FAILED
    assert not _levels(jobs, job)
    # What failed runs again, and then the reduce.
    assert jobs.retry(job) == JobKnown(job)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED
    assert len(_levels(jobs, job)) == 1


def _in_level(cluster, jobs, number=1, **spec):
    """A job of 8 whose reduces of fan-in 4 are at a level; its node, its id, the level's."""
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(8, job_spec(fan_in=4, **spec))
    while len(_levels(jobs, job)) < number:
        (chunk,) = list(node.has)
        jobs.succeed(node, chunk)
    return node, job, _levels(jobs, job)[-1]


def test_a_failed_reduce_fails_the_job_and_ends_its_level(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    (chunk,) = jobs.chunks(level)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    assert jobs.states(level) == "FC"
    row = jobs.row(job)
    assert (row.state, row.reason) == (JobState.FAILED, "1 reduce of level 1 of 2 failed")
    # The array's results are there: only the level runs again.
    assert jobs.retry(job) == JobKnown(job)
    assert jobs.states(job) == "S" * 8
    assert jobs.row(level).state is JobState.ACTIVE
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED
    assert jobs.row(job).reason == ""
    assert len(_levels(jobs, job)) == 2


def test_a_reduce_is_tried_again_before_it_has_failed(cluster, jobs):
    node, job, level = _in_level(cluster, jobs, attempts=2)
    (chunk,) = jobs.chunks(level)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    assert jobs.row(job).state is JobState.ACTIVE
    cluster.advance(2.0)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_cancelling_ends_the_reduces(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    (chunk,) = jobs.chunks(level)
    assert jobs.cancel(job) == JobKnown(job)
    assert jobs.row(job).state is JobState.ACTIVE
    jobs.report(node, chunk, failed=[0], error="CANCELLED")
    jobs.end(node, chunk)
    assert jobs.row(job).state is jobs.row(level).state is JobState.CANCELLED
    assert jobs.retry(job) == JobKnown(job)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_cancelling_while_no_reduce_is_on_a_node_ends_at_once(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    jobs.pause(job)
    (chunk,) = jobs.chunks(level)
    jobs.report(node, chunk, returned=[(0, 0)])
    jobs.end(node, chunk)
    assert jobs.cancel(job) == JobKnown(job)
    assert jobs.row(job).state is jobs.row(level).state is JobState.CANCELLED


def test_a_cancel_between_two_levels_begins_no_further_one(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    (chunk,) = jobs.chunks(level)
    jobs.report(node, chunk, succeeded=[(0, 0)])
    jobs.end(node, chunk)
    (chunk,) = jobs.chunks(level)
    jobs.cancel(job)
    # It was late for this one.
    jobs.succeed(node, chunk)
    assert jobs.row(level).state is JobState.SUCCEEDED
    assert jobs.row(job).state is JobState.CANCELLED
    assert len(_levels(jobs, job)) == 1
    assert jobs.retry(job) == JobKnown(job)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED
    assert len(_levels(jobs, job)) == 2


def test_a_cancel_of_an_empty_array_waits_for_its_reduce(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(0, job_spec(reduce=True))
    (level,) = _levels(jobs, job)
    (chunk,) = jobs.chunks(level)
    jobs.cancel(job)
    assert jobs.row(job).state is JobState.ACTIVE
    jobs.report(node, chunk, failed=[0], error="CANCELLED")
    jobs.end(node, chunk)
    assert jobs.row(job).state is JobState.CANCELLED


def test_a_paused_job_begins_its_next_level_paused(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(1, job_spec(reduce=True))
    (chunk,) = jobs.chunks(job)
    jobs.pause(job)
    jobs.succeed(node, chunk)
    (level,) = _levels(jobs, job)
    assert jobs.row(level).state is JobState.PAUSED
    assert not jobs.chunks(level)
    jobs.pause(job, False)
    assert jobs.chunks(level)
    jobs.finish(job, [node])


def test_a_level_is_controlled_by_its_job_alone(cluster, jobs):
    _, job, level = _in_level(cluster, jobs)
    for answer in (
        jobs.cancel(level),
        jobs.pause(level),
        jobs.retry(level),
        jobs.delete(level),
        jobs.close(level),
        jobs.add_items(level, 2, [b"x"]),
    ):
        assert refused(answer) == "PART_OF_JOB"
        assert dict(answer.metadata) == {"parent": job}
    jobs.cancel(job)


def test_levels_go_with_their_job(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    jobs.finish(job, [node])
    other = jobs.create(1)
    jobs.delete(job)
    assert set(cluster.state.jobs) == {other}
    kept = [key for key in cluster.log.kept if level.encode() in key or job.encode() in key]
    assert kept == []


def test_retention_counts_a_job_and_its_levels_as_one(cluster, jobs):
    node, job, _level = _in_level(cluster, jobs)
    jobs.finish(job, [node])
    assert [row.id for row in jobs.row(job).queue.retained_jobs] == [job]
    cluster.now += 1e7
    cluster.retain()
    cluster.commit()
    assert not cluster.state.jobs


def test_a_new_leader_goes_on_in_the_level(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    cluster.log.flush()
    state = cluster.log.fold.state
    row = state.jobs[job]
    assert list(row.children) == [level]
    assert state.jobs[level].parent is row
    jobs.finish(job, [node])


def test_a_new_leader_begins_the_level_that_an_older_one_has_left():
    """An older scheduler leaves a job whose reduces are due as it is."""
    cluster = Cluster()
    jobs = Jobs(cluster)
    _node, job, level = _in_level(cluster, jobs)
    row = jobs.row(level)
    cluster.node("n1", credit=0)
    moves.drop(cluster.state, row)
    cluster.lead(cluster.state)
    assert _levels(jobs, job) == [level]
    assert jobs.row(level) is not row
    assert jobs.states(level) == "PP"


def test_an_agent_that_knows_no_reduces_gets_none(cluster, jobs):
    old = cluster.node("old", credit=4, takes_reduces=False)
    job = jobs.create(4, job_spec(reduce=True))
    for chunk in list(old.has):
        jobs.succeed(old, chunk)
    while not _levels(jobs, job):
        for chunk in list(old.has):
            jobs.succeed(old, chunk)
    (level,) = _levels(jobs, job)
    assert not jobs.chunks(level)
    new = cluster.node("new", credit=1)
    assert len(jobs.chunks(level)) == 1
    jobs.finish(job, [new])


def test_a_late_report_of_a_former_attempt_changes_no_level(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    (chunk,) = jobs.chunks(level)
    event = jobs.report(node, chunk, succeeded=[(0, 0)])
    before = jobs.states(level)
    cluster.step(event)
    assert jobs.states(level) == before
    jobs.end(node, chunk)
    jobs.finish(job, [node])
    assert len(_levels(jobs, job)) == 2


def test_an_update_of_the_job_counts_for_its_live_level(cluster, jobs):
    node, job, level = _in_level(cluster, jobs)
    assert refused(jobs.update(level, max_parallel=3)) == "PART_OF_JOB"
    assert jobs.update(job, max_parallel=3) == JobKnown(job)
    assert jobs.row(level).spec.max_parallel == 3
    jobs.finish(job, [node])


def test_tasks_that_were_added_to_the_array_end_before_its_reduce_begins(cluster, jobs):
    node = cluster.node("n1", credit=2, slots=2)
    job = jobs.create(1, job_spec(reduce=True))
    (chunk,) = jobs.chunks(job)
    task = cluster.submit(spec()._replace(member=MemberOf(job)))
    jobs.succeed(node, chunk)
    assert not _levels(jobs, job)
    node.succeed(task)
    assert len(_levels(jobs, job)) == 1
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED
