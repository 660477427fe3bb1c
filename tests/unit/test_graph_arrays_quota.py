"""What an accepted graph with arrays still brings counts against quotas, and for how long."""

from __future__ import annotations

import pytest

from scheduler.core.graphs.members import Coming
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import DEFAULT_QUEUE
from tests.support.core import Cluster
from tests.support.core_graphs import Graphs, Shape
from tests.support.core_jobs import Jobs, job_spec, refused
from tests.support.core_log import Log
from tests.support.same_state import differences

CI = "submitter:ci"
TASKS: dict[str, tuple[str, ...]] = {"a": ()}
SHAPES = {"a": (6, job_spec(name="a"))}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(log=Log(), limits=Limits(caller_quota=Quota(live_subtasks=10)))


@pytest.fixture
def graphs(cluster: Cluster) -> Graphs:
    return Graphs(cluster)


def coming(cluster: Cluster) -> int:
    queue = cluster.state.queues[DEFAULT_QUEUE].usage
    assert queue.coming_units >= 0
    assert queue.coming_subtasks == cluster.state.callers[CI].coming_subtasks
    return queue.coming_subtasks


def test_two_graphs_do_not_take_the_same_room_for_subtasks(
    cluster: Cluster, graphs: Graphs
) -> None:
    job = graphs.ask(TASKS, arrays=SHAPES, creator=CI)
    assert isinstance(job, JobKnown)
    assert coming(cluster) == 6
    again = graphs.ask(TASKS, arrays=SHAPES, creator=CI)
    assert refused(again) == "TOO_MANY_LIVE_SUBTASKS"
    graphs.add(job.job, TASKS, arrays=SHAPES)
    assert coming(cluster) == 0
    assert cluster.state.callers[CI].subtasks == 6
    assert refused(graphs.ask(TASKS, arrays=SHAPES, creator=CI)) == "TOO_MANY_LIVE_SUBTASKS"


def test_a_graph_that_is_given_up_brings_nothing(cluster: Cluster, graphs: Graphs) -> None:
    job = graphs.ask(TASKS, arrays=SHAPES, creator=CI)
    assert isinstance(job, JobKnown)
    graphs.cancel(job.job)
    assert coming(cluster) == 0
    assert isinstance(graphs.ask(TASKS, arrays=SHAPES, creator=CI), JobKnown)


def test_items_that_follow_are_refused_with_the_graph_or_not_at_all(cluster: Cluster) -> None:
    """Else the graph would stay half-way."""
    graphs, jobs = Graphs(cluster), Jobs(cluster)

    def shapes(count: int) -> dict[str, Shape]:
        return {"a": (count, job_spec(name="a", items=True))}

    def ask(count: int) -> object:
        return graphs.ask(TASKS, arrays=shapes(count), creator=CI)

    assert refused(ask(11)) == "TOO_MANY_LIVE_SUBTASKS"
    known = ask(8)
    assert isinstance(known, JobKnown)
    assert coming(cluster) == 8
    # Others take what is left meanwhile, and no more.
    jobs.create(2, creator=CI)
    assert refused(jobs.ask_create(1, creator=CI)) == "TOO_MANY_LIVE_SUBTASKS"
    graphs.add(known.job, TASKS, arrays=shapes(8))
    task = graphs.task(known.job, "a")
    jobs.add_items(task, 0, [b"1"] * 5, loads=True)
    assert coming(cluster) == 3
    jobs.add_items(task, 5, [b"1"] * 3, loads=True, last=True)
    cluster.call(lambda token: e.GraphTasksAdded(known.job, 1, [], True, token))
    assert coming(cluster) == 0
    assert cluster.state.callers[CI].subtasks == 10
    row: JobRow = graphs.row(known.job)
    assert row.members is not None
    assert row.members.coming == Coming()
    log = cluster.log
    assert log is not None
    log.flush()
    assert not differences(cluster.state, log.fold.state)
