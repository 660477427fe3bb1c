"""One subtask of an array, cancelled or retried by its id: events in, effects out, and the
standby's state equal to the leader's."""

from __future__ import annotations

import pytest

from quorate.internal.v1 import jobs_pb2 as r
from scheduler.core.model import events as e
from scheduler.core.model.answers import TaskKnown
from scheduler.core.values import JobState
from tests.support.core_jobs import Jobs, followed_cluster, job_spec, refused


@pytest.fixture
def cluster():
    with followed_cluster() as cluster:
        yield cluster


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


def running_chunk(cluster, jobs, **node):
    """A node with a chunk of eight of nine subtasks, 1 to 8; node, job and chunk."""
    agent = cluster.node("n1", credit=1, slots=1, **node)
    job = jobs.create(9)
    (first,) = jobs.chunks(job)
    jobs.succeed(agent, first, 1e-6)
    (chunk,) = jobs.chunks(job)
    assert jobs.left(chunk) == [(1, 8)]
    return agent, job, chunk


def begin(jobs, job):
    """The states of the first nine subtasks."""
    return jobs.states(job)[:9]


# -- cancel


def test_a_subtask_that_waits_is_cancelled_and_never_given_out(cluster, jobs):
    job = jobs.create(4)
    assert isinstance(jobs.cancel_one(job, 2), TaskKnown)
    assert jobs.states(job) == "PPCP"
    node = cluster.node("n1", credit=1)
    jobs.finish(job, [node])
    assert jobs.states(job) == "SSCS"
    row = jobs.row(job)
    assert row.state is JobState.FAILED
    assert row.reason == "1 subtask cancelled by a caller"
    # Asked again, it is as it was; one that has succeeded is not cancelled.
    assert isinstance(jobs.cancel_one(job, 2), TaskKnown)
    assert refused(jobs.cancel_one(job, 1)) == "TASK_FINISHED"


def test_the_last_one_that_is_cancelled_ends_the_job(jobs):
    job = jobs.create(2)
    jobs.cancel_one(job, 0)
    assert jobs.row(job).state is JobState.ACTIVE
    jobs.cancel_one(job, 1)
    assert jobs.row(job).state is JobState.FAILED
    assert jobs.row(job).count_up().cancelled == 2


def test_a_cancelled_subtask_is_no_failure(cluster, jobs):
    job = jobs.create(3, job_spec(max_failures=0))
    jobs.cancel_one(job, 0)
    node = cluster.node("n1", credit=1)
    jobs.finish(job, [node])
    assert jobs.states(job) == "CSS"


def test_one_that_waits_for_its_next_attempt_gets_none(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1, job_spec(attempts=3, backoff=2.0))
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    assert jobs.states(job) == "W"
    jobs.cancel_one(job, 0)
    cluster.advance(10.0)
    assert jobs.states(job) == "C"
    assert not jobs.chunks(job)


def test_of_a_chunk_that_runs_only_that_subtask_is_ended(cluster, jobs):
    node, job, chunk = running_chunk(cluster, jobs)
    jobs.cancel_one(job, 3)
    assert begin(jobs, job) == "SOOOOOOOO"
    assert node.ended_subtasks == [(chunk, [(3, 3)])]
    # The agent gives it back, as it had not begun; the rest goes on.
    jobs.report(node, chunk, returned=[(3, 3)])
    assert begin(jobs, job) == "SOOCOOOOO"
    jobs.cancel_one(job, 1)
    jobs.report(node, chunk, failed=[1], error="CANCELLED")
    assert begin(jobs, job) == "SCOCOOOOO"
    jobs.succeed(node, chunk)
    assert begin(jobs, job) == "SCSCSSSSS"
    assert jobs.row(job).array.blocks[0].attempts_of(1) == 1
    assert jobs.row(job).array.blocks[0].attempts_of(3) == 0


def test_what_succeeded_before_the_order_came_has_succeeded(cluster, jobs):
    node, job, chunk = running_chunk(cluster, jobs)
    jobs.cancel_one(job, 1)
    jobs.report(node, chunk, succeeded=[(1, 1)])
    assert begin(jobs, job).startswith("SSO")
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_a_cancelled_one_that_fails_by_itself_is_cancelled_all_the_same(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1, job_spec(attempts=5))
    (chunk,) = jobs.chunks(job)
    jobs.cancel_one(job, 0)
    jobs.report(node, chunk, failed=[0])
    jobs.end(node, chunk)
    assert jobs.states(job) == "C"


def test_a_lost_node_gives_back_all_but_what_is_cancelled(cluster, jobs):
    node, job, _chunk = running_chunk(cluster, jobs)
    jobs.cancel_one(job, 1)
    jobs.cancel_one(job, 5)
    node.lose()
    assert begin(jobs, job) == "SCPPPCPPP"
    # The one that ran is over: no other one is under suspicion.
    assert not jobs.row(job).array.blocks[0].suspects


def test_a_new_leader_asks_again(cluster, jobs):
    node, job, chunk = running_chunk(cluster, jobs)
    jobs.cancel_one(job, 4)
    cluster.lead(cluster.log.loaded().state)
    node.ended_subtasks.clear()
    node.register()
    node.open()
    assert node.ended_subtasks == [(chunk, [(4, 4)])]
    jobs.report(node, chunk, returned=[(4, 4)])
    assert begin(jobs, job) == "SOOOCOOOO"


def test_the_only_one_of_a_chunk_ends_with_it(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(1)
    (chunk,) = jobs.chunks(job)
    jobs.cancel_one(job, 0)
    assert node.ended == [(chunk, 1)]


def test_an_old_agent_gives_back_what_has_not_begun(cluster, jobs):
    node, job, chunk = running_chunk(cluster, jobs, ends_subtasks=False)
    jobs.cancel_one(job, 1)
    assert (node.recalled, node.ended_subtasks, node.ended) == ([chunk], [], [])
    # Once nothing else is left of the chunk, it is ended as a whole.
    jobs.report(node, chunk, returned=[(2, 8)])
    assert node.ended == [(chunk, 1)]


def test_subtasks_of_a_job_that_ends_are_cancelled_with_it(cluster, jobs):
    node, job, chunk = running_chunk(cluster, jobs)
    jobs.cancel(job)
    assert isinstance(jobs.cancel_one(job, 1), TaskKnown)
    assert refused(jobs.retry_one(job, 0)) == "TASK_NOT_RETRIABLE"
    jobs.report(node, chunk, failed=[1], error="CANCELLED")
    jobs.end(node, chunk)
    assert jobs.row(job).state is JobState.CANCELLED


def test_no_such_subtask(jobs):
    job = jobs.create(2)
    assert refused(jobs.cancel_one(job, 2)) == "TASK_NOT_FOUND"
    assert refused(jobs.retry_one(job, 2)) == "TASK_NOT_FOUND"


def test_a_repeated_call_changes_nothing(cluster, jobs):
    job = jobs.create(2)
    asked = e.Request("a", b"1")
    jobs.cancel_one(job, 0, asked)
    jobs.retry_one(job, 0)
    jobs.cancel_one(job, 0, asked)
    assert jobs.states(job) == "PP"


# -- retry


def failed_job(cluster, jobs, what=None):
    """A job of which 1 and 3 of five have failed; node and job."""
    node = cluster.node("n1", credit=1)
    job = jobs.create(5, what)
    for position in range(5):
        (chunk,) = jobs.chunks(job)
        if position in (1, 3):
            jobs.report(node, chunk, failed=[position])
            jobs.end(node, chunk)
        else:
            jobs.succeed(node, chunk, 1.0)
        if jobs.row(job).over:
            break
    return node, job


def test_a_failed_subtask_of_a_finished_job_runs_again_alone(cluster, jobs):
    node, job = failed_job(cluster, jobs)
    assert jobs.states(job) == "SFSFS"
    assert isinstance(jobs.retry_one(job, 3), TaskKnown)
    assert jobs.row(job).state is JobState.ACTIVE
    assert jobs.states(job) == "SFSOS"
    assert jobs.row(job).array.blocks[0].attempts_of(3) == 2
    assert refused(jobs.retry_one(job, 3)) == "TASK_NOT_RETRIABLE"
    assert refused(jobs.retry_one(job, 0)) == "TASK_NOT_RETRIABLE"
    jobs.finish(job, [node])
    assert jobs.states(job) == "SFSSS"
    assert jobs.row(job).state is JobState.FAILED
    jobs.retry_one(job, 1)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_the_others_of_a_cancelled_job_stay_cancelled(cluster, jobs):
    job = jobs.create(10_000)
    jobs.cancel_one(job, 4_100)
    jobs.cancel(job)
    jobs.retry_one(job, 4_100)
    jobs.retry_one(job, 7)
    states = jobs.states(job)
    assert (states.count("C"), states[7], states[4_100]) == (9_998, "P", "P")
    # A new leader reads the same: also of blocks that were never written.
    cluster.lead(cluster.log.loaded().state)
    assert jobs.states(job) == states
    assert jobs.row(job).count_up().live == 2
    # Cancelled again before these ran, they are not live when another one is retried.
    jobs.cancel(job)
    jobs.retry_one(job, 9_999)
    assert jobs.states(job).count("P") == 1
    node = cluster.node("n1", credit=1)
    jobs.finish(job, [node])
    assert jobs.states(job).count("S") == 1
    # A retry of the job is about all of them.
    jobs.retry(job)
    assert jobs.row(job).count_up().live == 9_999


def test_a_failed_subtask_of_a_live_job_runs_again(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(3, job_spec(attempts=2, backoff=1.0))
    for _ in range(2):
        (chunk,) = jobs.chunks(job)
        jobs.report(node, chunk, failed=[0])
        jobs.end(node, chunk)
        jobs.pause(job)
        cluster.advance(5.0)
        jobs.pause(job, paused=False)
    assert jobs.states(job)[0] in "FO"
    jobs.finish(job, [node])
    assert jobs.row(job).array.failed == 0 or isinstance(jobs.retry_one(job, 0), TaskKnown)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED


def test_a_retried_one_of_a_job_that_failed_too_often_runs_to_its_end(cluster, jobs):
    node, job = failed_job(cluster, jobs, job_spec(max_failures=1))
    assert jobs.row(job).state is JobState.FAILED
    assert jobs.states(job) == "SFSFC"
    jobs.retry_one(job, 1)
    jobs.finish(job, [node])
    assert jobs.states(job) == "SSSFC"


def test_errors_of_others_stay_when_one_is_retried_and_fails_again(cluster, jobs):
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(17)
    (chunk,) = jobs.chunks(job)
    jobs.succeed(node, chunk, 1e-6)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[1, 5], message="first")
    jobs.finish(job, [node])
    jobs.retry_one(job, 1)
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[1], message="second")
    jobs.end(node, chunk)
    cluster.log.flush()
    found = [
        [(list(one.positions), one.error.message) for one in record.failures]
        for key, value in sorted(cluster.log.kept.items())
        if key.startswith(b"job-errors/")
        for record in [r.JobErrorsRecord.FromString(value)]
    ]
    # The newest comes first.
    assert found == [[([1], "second")], [([1, 5], "first")]]


def test_results_that_were_read_before_a_retry_are_not_merged(cluster, jobs):
    node, job = failed_job(cluster, jobs)
    jobs.retry_one(job, 1)
    jobs.finish(job, [node])
    late = e.JobResultsRead(job, 0, 0, [[(0, 1, [b"1"])]], [], 3)
    assert not cluster.step(late).writes


def test_subtasks_of_reduces_belong_to_their_job(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(2, job_spec(reduce=True))
    while not jobs.row(job).children:
        for chunk in jobs.chunks(job):
            jobs.succeed(node, chunk)
    (level,) = jobs.row(job).children
    assert refused(jobs.cancel_one(level, 0)) == "PART_OF_JOB"
    assert refused(jobs.retry_one(level, 0)) == "PART_OF_JOB"


def test_a_map_with_a_cancelled_subtask_is_not_reduced_until_that_is_retried(cluster, jobs):
    node = cluster.node("n1", credit=1)
    job = jobs.create(2, job_spec(reduce=True))
    jobs.cancel_one(job, 1)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.FAILED
    assert not jobs.row(job).children
    jobs.retry_one(job, 1)
    jobs.finish(job, [node])
    assert jobs.row(job).state is JobState.SUCCEEDED
