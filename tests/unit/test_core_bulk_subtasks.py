"""CancelTasks and RetryTasks of subtasks in the core: counts, parts and repeats; standbys know what
the leader knows."""

from __future__ import annotations

import pytest

from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.values import BulkAct, JobState, Origin, TaskState
from tests.support.core import Cluster
from tests.support.core_graphs import Graphs
from tests.support.core_jobs import Jobs, followed_cluster, job_spec
from tests.support.core_log import Log

ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/CancelTasks")
REQUEST = e.Request("bulk", b"digest", ALICE)


@pytest.fixture
def cluster():
    with followed_cluster() as cluster:
        yield cluster


@pytest.fixture
def jobs(cluster):
    return Jobs(cluster)


def step(cluster, ids, act=BulkAct.CANCEL, states=(), request=e.Request()):  # noqa: B008
    """The effects of a call, and its token."""
    token = cluster.token()
    event = e.BulkAsked(ids, frozenset(states), request, token, act=act)
    return cluster.step(event), token


def counts(cluster, token):
    answer = cluster.reply(token)
    assert isinstance(answer, BulkDone), answer
    return answer.counts


def ask(cluster, ids, act=BulkAct.CANCEL, states=(), request=e.Request()):  # noqa: B008
    return counts(cluster, step(cluster, ids, act, states, request)[1])


def cancel(cluster, job, *indexes, **more):
    return ask(cluster, [f"{job}.{index}" for index in indexes], **more)


def retry(cluster, job, *indexes, **more):
    return ask(cluster, [f"{job}.{index}" for index in indexes], BulkAct.RETRY, **more)


def begun(cluster, jobs, count):
    """An array of which the first subtask has succeeded and the others are out with a chunk."""
    node = cluster.node("n1", credit=1, slots=1)
    job = jobs.create(count)
    (first,) = jobs.chunks(job)
    jobs.succeed(node, first, 1e-6)
    (chunk,) = jobs.chunks(job)
    return node, job, chunk


def test_each_subtask_is_counted_as_what_became_of_it(cluster, jobs):
    node, job, chunk = begun(cluster, jobs, 9)
    task = cluster.submit()
    node.credit(0)
    waits = jobs.create(3)
    jobs.cancel_one(waits, 2)
    ids = [f"{job}.0", f"{job}.3", f"{waits}.1", f"{waits}.2", f"{job}.9", f"{job}.x", task]
    # Cancelled, stopping, finished, not found, skipped.
    assert ask(cluster, ids) == (2, 1, 2, 2, 0)
    assert jobs.states(waits) == "PCC"
    assert node.ended_subtasks == [(chunk, [(3, 3)])]
    assert cluster.state_of(task) is TaskState.CANCELLED


def test_states_leave_other_subtasks_alone(cluster, jobs):
    _node, job, _chunk = begun(cluster, jobs, 40)
    assert "P" in jobs.states(job)
    waiting, running = jobs.states(job).index("P"), jobs.states(job).index("O")
    assert cancel(cluster, job, waiting, running, states=[TaskState.PENDING]) == (1, 0, 0, 0, 1)
    states = jobs.states(job)
    assert (states[waiting], states[running]) == ("C", "O")


def test_what_subtasks_share_is_written_and_sent_once(cluster, jobs):
    node, job, chunk = begun(cluster, jobs, 9)
    out, token = step(cluster, [f"{job}.{index}" for index in range(1, 8)])
    assert counts(cluster, token) == (0, 7, 0, 0, 0)
    assert [type(write) for write in out.writes] == [fx.PutChunk]
    assert node.ended_subtasks == [(chunk, [(1, 7)])]
    node.credit(0)
    waits = jobs.create(5_000)
    out, token = step(cluster, [f"{waits}.{index}" for index in (0, 1, 2, 4_100, 4_101)])
    assert counts(cluster, token) == (5, 0, 0, 0, 0)
    assert [type(write) for write in out.writes] == [fx.PutJobBlock, fx.PutJobBlock]
    # All that is left of the chunk: the chunk ends.
    assert cancel(cluster, job, 8) == (0, 1, 0, 0, 0)
    assert node.ended == [(chunk, 1)]


def test_cancelling_all_subtasks_ends_the_job(cluster, jobs):
    job = jobs.create(3)
    assert cancel(cluster, job, 0, 1, 2) == (3, 0, 0, 0, 0)
    row = jobs.row(job)
    assert (row.state, row.reason) == (JobState.FAILED, "3 subtasks cancelled by a caller")


def test_retried_subtasks_make_their_job_live_again_and_leave_the_others(cluster, jobs):
    job = jobs.create(6)
    cancel(cluster, job, *range(6))
    assert jobs.row(job).finished
    # Retried, not finished, skipped, not found, over quota.
    assert retry(cluster, job, 1, 3, 6) == (2, 0, 0, 1, 0)
    assert jobs.states(job) == "CPCPCC"
    assert retry(cluster, job, 1, 5) == (1, 1, 0, 0, 0)
    assert retry(cluster, job, 0, states=[TaskState.FAILED]) == (0, 0, 1, 0, 0)
    jobs.finish(job, [cluster.node("n1", credit=1)])
    assert jobs.states(job) == "CSCSCS"
    assert jobs.row(job).state is JobState.FAILED
    assert retry(cluster, job, 1) == (0, 0, 1, 0, 0)
    assert retry(cluster, job, 0, 2, 4) == (3, 0, 0, 0, 0)


def test_a_quota_holds_within_one_call(cluster, jobs):
    job = jobs.create(4)
    cancel(cluster, job, 0, 1, 2, 3)
    cluster.call(
        lambda token: e.QuotaSubmitted(
            "queue", "default", Quota(live_subtasks=2), e.Request(), token
        )
    )
    assert retry(cluster, job, 0, 1, 2, 3) == (2, 0, 0, 0, 2)
    assert jobs.states(job) == "PPCC"


def test_subtasks_that_wait_for_another_array_are_skipped(cluster, jobs):
    graphs = Graphs(cluster)
    shapes = {"a": (2, job_spec()), "b": (2, job_spec())}
    job = graphs.create({"a": (), "b": (("a", "each"),)}, arrays=shapes)
    a, b = graphs.task(job, "a"), graphs.task(job, "b")
    assert cancel(cluster, b, 0) == (0, 0, 0, 0, 1)
    assert cancel(cluster, a, 0, 1) == (2, 0, 0, 0, 0)
    assert graphs.row(job).state is JobState.FAILED
    # It is live again with its graph alone.
    assert retry(cluster, a, 0) == (0, 0, 1, 0, 0)


def test_a_part_is_cut_where_many_jobs_end_with_it():
    log = Log()
    cluster = Cluster(log=log, limits=Limits(part_tasks=8))
    jobs = Jobs(cluster)
    made = [jobs.create(1) for _ in range(20)]
    cluster.hold_parts = True
    out, token = step(cluster, [f"{job}.0" for job in made], request=REQUEST)
    sizes = [len(out.writes)]
    while cluster.parts:
        sizes.append(len(cluster.step(cluster.parts.popleft()).writes))
    assert len(sizes) > 2
    # Two writes a task, the audit entry and the record of the call.
    assert max(sizes) <= 2 * 8 + 2
    assert counts(cluster, token) == (20, 0, 0, 0, 0)
    assert all(jobs.row(job).finished for job in made)
    assert len(cluster.state.audit) == 1


def test_the_next_leader_goes_on_behind_what_is_on_record():
    log = Log()
    cluster = Cluster(log=log, limits=Limits(part_tasks=4))
    jobs = Jobs(cluster)
    job = jobs.create(7)
    ids = [f"{job}.{index}" for index in range(7)]
    cluster.hold_parts = True
    step(cluster, ids, request=REQUEST)
    assert jobs.states(job) == "CCCCPPP"
    # One of those that were dealt with is live again: the repeat leaves it alone.
    jobs.retry_one(job, 0)
    cluster.parts.clear()
    cluster.lead(log.loaded().state)
    cluster.hold_parts = False
    assert ask(cluster, ids, request=REQUEST) == (7, 0, 0, 0, 0)
    assert jobs.states(job) == "PCCCCCC"
    assert ask(cluster, ids, request=REQUEST) == (7, 0, 0, 0, 0)
