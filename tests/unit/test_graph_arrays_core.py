"""Arrays as tasks of a graph: when they start, what each subtask waits for, and how they end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.arrays.spec import GraphArray
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.values import JobState, MemberOf, TaskState
from tests.support.core import Cluster
from tests.support.core_graphs import Graphs
from tests.support.core_jobs import Jobs, job_spec, refused
from tests.support.core_log import Log
from tests.support.core_specs import spec
from tests.support.same_state import differences


class World:
    """A cluster with one node, and graphs with arrays."""

    def __init__(self) -> None:
        self.log = Log()
        self.cluster = Cluster(log=self.log)
        self.node = self.cluster.node("n1", credit=100)
        self.graphs = Graphs(self.cluster)
        self.jobs = Jobs(self.cluster)

    def create(self, tasks, *, size=4, arrays=(), **fields):
        """A graph of which these are arrays."""
        shapes = {name: (size, job_spec(name=name, **fields)) for name in arrays}
        return self.graphs.create(tasks, arrays=shapes)

    def array(self, job, name):
        return self.cluster.state.jobs[self.graphs.task(job, name)]

    def report(self, job, name, *, succeeded=(), failed=()):
        """Subtasks that are out, wherever; a chunk of which nothing is left has ended."""
        for chunk in self.jobs.chunks(self.array(job, name).id):
            self.jobs.report(self.node, chunk, succeeded=[(n, n) for n in succeeded], failed=failed)
            if not self.jobs.left(chunk):
                self.jobs.end(self.node, chunk)
        self.check()

    def finish(self, job, name):
        self.jobs.finish(self.array(job, name).id, [self.node])
        self.check()

    def finish_chunks(self, job, name):
        """As `finish`, of an array that has more to wait for."""
        for chunk in self.jobs.chunks(self.array(job, name).id):
            self.jobs.succeed(self.node, chunk)
        self.check()

    def states(self, job, name):
        return self.jobs.states(self.array(job, name).id)

    def verdict(self, job):
        return self.graphs.row(job).state.name

    def check(self) -> None:
        """A standby knows what the leader knows, one that has just loaded, too."""
        self.log.flush()
        assert not differences(self.cluster.state, self.log.fold.state)
        assert not differences(self.cluster.state, self.log.loaded().state)


@pytest.fixture
def world() -> World:
    return World()


def test_an_array_starts_after_a_task_and_a_task_after_an_array(world):
    job = world.create({"a": (), "b": ("a",), "c": ("b",)}, arrays=["b"])
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "BLOCKED", "c": "BLOCKED"}
    queue = world.graphs.row(job).queue
    assert queue.subtasks[TaskState.BLOCKED] == 4
    assert not queue.subtasks[TaskState.PENDING]
    world.node.succeed(world.graphs.task(job, "a"))
    world.check()
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "b": "RUNNING", "c": "BLOCKED"}
    world.finish(job, "b")
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "RUNNING"}
    world.node.succeed(world.graphs.task(job, "c"))
    world.check()
    assert world.verdict(job) == "SUCCEEDED"


def test_an_array_that_fails_is_a_failure_of_the_graph(world):
    job = world.create({"a": (), "b": ("a",), "h": (("a", "failure"),)}, arrays=["a", "b"])
    world.report(job, "a", succeeded=[0, 1, 2], failed=[3])
    assert world.graphs.states(job) == {"a": "FAILED", "b": "SKIPPED", "h": "RUNNING"}
    assert world.array(job, "b").reason == '"b" runs only if "a" succeeds, and that is FAILED'
    world.node.succeed(world.graphs.task(job, "h"))
    world.check()
    assert world.verdict(job) == "FAILED"


def test_max_failures_of_the_array_ends_it_and_of_the_graph_ends_that(world):
    shapes = {"a": (50, job_spec(name="a", max_failures=0, max_parallel=1))}
    job = world.graphs.create({"a": (), "b": (), "c": ("b",)}, arrays=shapes, max_failures=0)
    world.report(job, "a", failed=[0])
    for chunk in world.jobs.chunks(world.array(job, "a").id):
        world.jobs.end(world.node, chunk)
    world.check()
    assert world.array(job, "a").state is JobState.FAILED
    assert world.graphs.row(job).ending is JobState.FAILED
    assert world.graphs.states(job)["c"] == "CANCELLED"
    world.node.fail(world.graphs.task(job, "b"), "CANCELLED")
    assert world.verdict(job) == "FAILED"


def test_each_subtask_waits_for_the_same_one_of_the_other_array(world):
    job = world.create({"a": (), "b": (("a", "each"),)}, arrays=["a", "b"])
    assert world.states(job, "b") == "PPPP"
    assert world.array(job, "b").tally.blocked == 4
    world.report(job, "a", succeeded=[2])
    assert world.states(job, "b") == "PPOP"
    world.report(job, "a", succeeded=[0])
    assert world.states(job, "b")[0] == "O"
    world.report(job, "a", succeeded=[1, 3])
    assert world.graphs.states(job)["a"] == "SUCCEEDED"
    world.finish(job, "b")
    assert world.verdict(job) == "SUCCEEDED"


def test_a_subtask_whose_counterpart_failed_is_skipped_and_the_array_is_failed(world):
    job = world.create({"a": (), "b": (("a", "each"),), "c": ("b",)}, arrays=["a", "b"])
    world.report(job, "a", succeeded=[0, 1, 2])
    for chunk in world.jobs.chunks(world.array(job, "b").id):
        world.jobs.succeed(world.node, chunk)
    world.check()
    assert world.graphs.states(job)["b"] == "RUNNING"
    world.report(job, "a", failed=[3])
    assert world.states(job, "b") == "SSSC"
    assert world.graphs.states(job) == {"a": "FAILED", "b": "FAILED", "c": "SKIPPED"}
    reason = '1 of 4 subtasks were skipped: the same ones of "a" did not succeed'
    assert world.array(job, "b").reason == reason
    # Retried, only what did not succeed runs again.
    world.graphs.retry(job)
    world.check()
    assert (world.states(job, "a"), world.states(job, "b")) == ("SSSO", "SSSP")
    world.report(job, "a", succeeded=[3])
    assert world.states(job, "b") == "SSSO"
    world.finish(job, "b")
    world.node.succeed(world.graphs.task(job, "c"))
    world.check()
    assert world.verdict(job) == "SUCCEEDED"


def test_an_array_of_which_nothing_may_run_is_skipped(world):
    job = world.create({"a": (), "b": (("a", "each"),), "c": (("b", "each"),)}, arrays="abc")
    world.report(job, "a", failed=[0, 1, 2, 3])
    assert world.graphs.states(job) == {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED"}
    assert world.verdict(job) == "FAILED"
    world.graphs.retry(job)
    world.check()
    for name in "abc":
        world.finish(job, name)
    assert world.verdict(job) == "SUCCEEDED"


def test_each_waits_for_its_other_dependencies_first(world):
    job = world.create({"a": (), "t": (), "b": (("a", "each"), "t")}, arrays=["a", "b"])
    world.report(job, "a", succeeded=[0, 1])
    assert world.states(job, "b") == "PPPP"
    world.node.succeed(world.graphs.task(job, "t"))
    world.check()
    assert world.states(job, "b") == "OOPP"


def test_empty_arrays_succeed_at_once(world):
    job = world.create({"a": (), "b": (("a", "each"),), "c": ("b",)}, arrays=["a", "b"], size=0)
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "RUNNING"}
    world.check()


def test_pause_and_resume_reach_arrays_and_write_nothing_of_them(world):
    job = world.create({"a": (), "b": ("a",)}, arrays=["b"])
    world.graphs.pause(job)
    world.check()
    world.node.succeed(world.graphs.task(job, "a"))
    world.check()
    assert world.graphs.states(job)["b"] == "BLOCKED"
    assert world.array(job, "b").state is JobState.ACTIVE
    world.graphs.pause(job, paused=False)
    world.check()
    assert world.graphs.states(job)["b"] == "RUNNING"


def test_a_paused_graph_gives_out_nothing_more_of_an_array_that_runs(world):
    job = world.create({"a": (), "b": (("a", "each"),)}, arrays=["a", "b"])
    world.graphs.pause(job)
    world.report(job, "a", succeeded=[0, 1])
    assert world.states(job, "b") == "PPPP"
    world.report(job, "a", failed=[2, 3])
    assert world.graphs.states(job)["a"] == "FAILED"
    world.graphs.pause(job, paused=False)
    world.check()
    assert world.states(job, "b") == "OOPP"
    world.finish(job, "b")
    assert world.graphs.states(job)["b"] == "FAILED"


def test_cancel_ends_arrays_that_wait_and_that_run(world):
    job = world.create({"a": (), "b": ("a",), "c": ("b",)}, arrays=["a", "b"])
    world.graphs.cancel(job)
    world.check()
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "CANCELLED", "c": "CANCELLED"}
    for chunk in world.jobs.chunks(world.array(job, "a").id):
        world.jobs.end(world.node, chunk)
    world.check()
    assert world.graphs.states(job)["a"] == "CANCELLED"
    assert world.verdict(job) == "CANCELLED"


def test_arrays_are_controlled_by_their_graph_alone_and_deleted_with_it(world):
    job = world.create({"a": ()}, arrays=["a"])
    array = world.array(job, "a").id
    for ask in (world.jobs.cancel, world.jobs.pause, world.jobs.retry, world.jobs.delete):
        assert refused(ask(array)) == "PART_OF_JOB"
    assert refused(world.jobs.add_items(array, 0, [b"1"], loads=False, last=False))
    world.finish(job, "a")
    assert not isinstance(world.graphs.delete(job), Rejection)
    world.check()
    assert array not in world.cluster.state.jobs
    assert not [key for key in world.log.kept if array.encode() in key or job.encode() in key]


def test_a_retried_task_that_an_array_added_makes_its_graph_live_again(world):
    job = world.create({"a": (), "b": ("a",)}, arrays=["a"])
    array = world.array(job, "a").id
    added = world.cluster.submit(spec()._replace(member=MemberOf(array)))
    world.finish_chunks(job, "a")
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "BLOCKED"}
    world.node.fail(added, "ValueError")
    world.check()
    assert world.graphs.states(job) == {"a": "FAILED", "b": "SKIPPED"}
    assert world.verdict(job) == "FAILED"
    world.graphs.retry_task(added)
    world.check()
    assert world.verdict(job) == "ACTIVE"
    world.node.succeed(added)
    world.check()
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "b": "RUNNING"}
    world.node.succeed(world.graphs.task(job, "b"))
    assert world.verdict(job) == "SUCCEEDED"


def test_nothing_starts_before_the_items_of_all_arrays_are_on_record(world):
    tasks = {"a": (), "b": ()}
    shapes = {"b": (0, job_spec(name="b", items=True))}
    job = world.graphs.ask(tasks, arrays=shapes).job
    specs = [
        one._replace(loading=True) if isinstance(one, GraphArray) else one
        for one in world.graphs.specs(job, tasks, None, shapes)
    ]

    def add(first, some, last):
        world.cluster.call(lambda token: e.GraphTasksAdded(job, first, some, last, token))

    add(0, specs, False)
    array = world.array(job, "b").id
    world.jobs.add_items(array, 0, [b"x"], loads=True, last=False)
    world.check()
    assert set(world.graphs.states(job).values()) == {"BLOCKED"}
    assert not world.graphs.members(job).complete
    world.jobs.add_items(array, 1, [b"y"], loads=True, last=True)
    add(2, [], True)
    world.check()
    assert set(world.graphs.states(job).values()) == {"RUNNING"}
    assert world.states(job, "b") == "OO"
    add(2, [], True)
    world.check()


def test_a_graph_with_arrays_counts_for_jobs_subtasks_and_length(world):
    limits = world.cluster.machine.limits
    world.cluster.machine.limits = replace(limits, live_subtasks=5)
    shapes = {"a": (6, job_spec(name="a"))}
    answer = world.graphs.ask({"a": ()}, arrays=shapes)
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_LIVE_SUBTASKS"


def test_a_new_leader_goes_on_with_each(world):
    job = world.create({"a": (), "b": (("a", "each"),), "c": ("b",)}, arrays=["a", "b"])
    world.report(job, "a", succeeded=[1])
    world.log.flush()
    world.cluster.lead(world.log.loaded().state)
    world.node.register()
    world.node.open()
    world.node.credit(100)
    world.report(job, "a", succeeded=[0, 2, 3])
    world.finish(job, "b")
    world.node.succeed(world.graphs.task(job, "c"))
    assert world.verdict(job) == "SUCCEEDED"


def test_a_cancelled_subtask_keeps_the_one_that_waits_for_it_from_running(world):
    job = world.create({"a": (), "b": (("a", "each"),)}, arrays=["a", "b"])
    a, b = world.array(job, "a"), world.array(job, "b")
    # One that waits for another has nothing to cancel: that other one is meant.
    assert refused(world.jobs.cancel_one(b.id, 2)) == "SUBTASK_BLOCKED"
    world.jobs.cancel_one(a.id, 2)
    world.report(job, "a", failed=[2])
    world.report(job, "a", succeeded=[0])
    assert world.states(job, "a") == "SOCO"
    world.jobs.cancel_one(b.id, 0)
    world.report(job, "b", failed=[0])
    world.finish(job, "a")
    world.finish(job, "b")
    assert world.states(job, "b") == "CSCS"
    assert world.verdict(job) == "FAILED"
    # A finished array runs again with its graph.
    assert refused(world.jobs.retry_one(a.id, 2)) == "PART_OF_JOB"
