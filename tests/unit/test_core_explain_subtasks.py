"""Explanations of subtasks: what of the job holds them, and what holds any task."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.jobs.subtasks import began
from scheduler.core.placement.explain import Why
from scheduler.core.placement.explain_subtask import explain_subtask
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec

Made = tuple[TaskId, int]


def paused(c: Cluster, jobs: Jobs) -> Made:
    c.node("n1", slots=1)
    job = jobs.create(9)
    c.call(lambda token: e.JobPauseAsked(job, True, e.Request(), token))
    return job, 8


def at_most_one(c: Cluster, jobs: Jobs) -> Made:
    c.node("n1", slots=4)
    return jobs.create(9, job_spec(max_parallel=1)), 8


def loading(c: Cluster, jobs: Jobs) -> Made:
    job = jobs.create(0, job_spec(items=True), loading=True)
    jobs.add_items(job, 0, [b"1"], loads=True)
    return job, 0


def failed_once(c: Cluster, jobs: Jobs) -> Made:
    node = c.node("n1", slots=1)
    job = jobs.create(1, job_spec(attempts=3, backoff=60.0))
    (chunk,) = jobs.chunks(job)
    jobs.report(node, chunk, failed=[0])
    return job, 0


def nowhere(c: Cluster, jobs: Jobs) -> Made:
    return jobs.create(1), 0


def limited(c: Cluster, jobs: Jobs) -> Made:
    c.set_limits(max_running=1)
    c.node("n1")
    c.submit()
    return jobs.create(1), 0


def behind(c: Cluster, jobs: Jobs) -> Made:
    c.node("n1", slots=1, credit=1)
    return jobs.create(9), 8


def assigned(c: Cluster, jobs: Jobs) -> Made:
    c.node("n1")
    return jobs.create(1), 0


def later_in_its_chunk(c: Cluster, jobs: Jobs) -> Made:
    node = c.node("n1", credit=1, slots=1)
    job = jobs.create(100)
    (chunk,) = jobs.chunks(job)
    jobs.succeed(node, chunk, 1e-6)
    return job, 5


def runs(c: Cluster, jobs: Jobs) -> Made:
    node = c.node("n1")
    job = jobs.create(1)
    (chunk,) = jobs.chunks(job)
    c.step(e.AttemptStarted(node.instance, chunk, 1, c.now))
    return job, 0


def stopping(c: Cluster, jobs: Jobs) -> Made:
    made = assigned(c, jobs)
    c.call(lambda token: e.JobCancelAsked(made[0], e.Request(), token))
    return made


def unreachable(c: Cluster, jobs: Jobs) -> Made:
    node = c.node("n1")
    job = jobs.create(1)
    node.close()
    return job, 0


REASONS: dict[Why, list[tuple[Callable[[Cluster, Jobs], Made], str]]] = {
    Why.JOB_PAUSED: [(paused, "waits until job ")],
    Why.MAX_PARALLEL: [(at_most_one, "waits for max_parallel of its job: 1 of 1 in use")],
    Why.JOB_LOADING: [(loading, "waits until the items of its job are written")],
    Why.BACKOFF: [(failed_once, "waits until 2023")],
    Why.NO_NODE: [(nowhere, "waits for a node: none is registered")],
    Why.LIMIT: [(limited, "waits for the limit of queue 'default': 1 of 1 in use")],
    Why.TURN: [(behind, "waits for its turn: 7 earlier subtasks of the job go first")],
    Why.ASSIGNED: [
        (assigned, "attempt 1 on node n1 was assigned at "),
        (later_in_its_chunk, "attempt 1 on node n1 was assigned at "),
    ],
    Why.RUNNING: [(runs, "attempt 1 on node n1 is running")],
    Why.STOPPING: [(stopping, "the job was cancelled, and attempt 1 on node n1 is being ended")],
    Why.NODE_UNREACHABLE: [(unreachable, "attempt 1 on node n1 may still run")],
}
CASES = [(why, *case) for why, cases in REASONS.items() for case in cases]
NAMES = [f"{why.name}-{number}" for number, (why, *_) in enumerate(CASES)]


@pytest.mark.parametrize(("why", "make", "sentence"), CASES, ids=NAMES)
def test_each_reason(why: Why, make: Callable[[Cluster, Jobs], Made], sentence: str):
    c = Cluster()
    jobs = Jobs(c)
    job, position = make(c, jobs)
    found = explain_subtask(c.state, c.state.jobs[job], position, c.now)
    assert found is not None
    (reason,) = (one for one in found.reasons if one.why is why)
    assert reason.sentence.startswith(sentence)
    if why is not Why.TURN:
        assert found.reasons[0].why is why


def test_of_a_finished_one_the_record_says_more():
    c = Cluster()
    jobs = Jobs(c)
    node = c.node("n1")
    job = jobs.create(1)
    (chunk,) = jobs.chunks(job)
    jobs.succeed(node, chunk)
    assert explain_subtask(c.state, c.state.jobs[job], 0, c.now) is None


def test_the_first_subtask_that_was_not_reported_runs_since_the_last_report():
    c = Cluster()
    jobs = Jobs(c)
    node = c.node("n1", credit=1, slots=1)
    job = jobs.create(100)
    jobs.succeed(node, jobs.chunks(job)[0], 1e-6)
    (chunk,) = jobs.chunks(job)
    row = c.state.chunks[chunk]
    assert [began(row, position) for position in (1, 2)] == [0.0, 0.0]
    c.step(e.AttemptStarted(node.instance, chunk, 1, c.now))
    start = c.now
    assert [began(row, position) for position in (1, 2)] == [start, 0.0]
    c.advance(5.0)
    jobs.report(node, chunk, succeeded=[(1, 1)], seconds=5.0)
    assert [began(row, position) for position in (2, 3)] == [start + 5.0, 0.0]
