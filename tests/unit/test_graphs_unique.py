"""Unique keys of tasks of graphs: all of a graph is created, or none of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from scheduler.core.handlers.limits import unique
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobItemsKnown, JobKnown, Rejection, TaskCreated
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import JobState, TaskSpec, TaskState
from tests.support.core import Cluster
from tests.support.core_graphs import Graphs, What
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec
from tests.support.same_state import differences

CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
REJECTS = spec(unique="k", rejects=True)
REPLACES = spec(unique="k", replaces=True)


@dataclass
class World:
    log: Log = field(default_factory=Log)
    cluster: Cluster = field(init=False)
    node: FakeNode = field(init=False)
    graphs: Graphs = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = Cluster(log=self.log)
        self.node = self.cluster.node("n1", credit=100)
        self.graphs = Graphs(self.cluster)

    def submit(self, what: TaskSpec) -> object:
        task = self.cluster.new_id()
        return self.cluster.call(
            lambda token: e.TaskSubmitted(DEFAULT_QUEUE, task, what, e.Request(), token)
        )

    def task(self, what: TaskSpec) -> TaskId:
        answer = self.submit(what)
        assert isinstance(answer, TaskCreated), answer
        return answer.task

    def chain(self, what: What = None, **options) -> TaskId:
        """A chain whose second task has the key."""
        return self.graphs.create(CHAIN, what=what or {"b": REJECTS}, **options)

    def run(self, job: TaskId, *names: str, error: str = "") -> None:
        for name in names:
            task = self.graphs.task(job, name)
            if error:
                self.node.fail(task, error)
            else:
                self.node.succeed(task)

    def error_of(self, task: TaskId) -> tuple[str, str]:
        self.log.flush()
        record = r.RunRecord.FromString(self.log.kept[f"runs/{DEFAULT_QUEUE}/{task}".encode()])
        return record.error.type, record.error.message

    def check(self) -> None:
        """Nothing is kept for graphs that are complete; standbys know what the leader knows."""
        assert self.cluster.state.queues[DEFAULT_QUEUE].coming_unique == {}
        self.log.flush()
        for state in (self.log.loaded().state, self.log.fold.state):
            assert differences(self.cluster.state, state) == []


@pytest.fixture
def world() -> World:
    return World()


def refused(answer: object, reason: str = "TASK_ALREADY_EXISTS") -> Rejection:
    assert isinstance(answer, Rejection), answer
    assert answer.reason == reason
    return answer


def test_a_task_of_a_graph_has_its_key_before_it_starts_and_until_it_is_finished(world: World):
    job = world.chain()
    other = world.graphs.task(job, "b")
    assert refused(world.submit(REJECTS)).name == other
    world.run(job, "a")
    assert refused(world.submit(REJECTS)).name == other
    world.run(job, "b")
    world.task(REJECTS)
    world.run(job, "c")
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    world.check()


@pytest.mark.parametrize("window", [0.0, 60.0])
def test_a_key_that_is_taken_refuses_the_whole_graph_and_names_the_task(
    world: World, window: float
):
    there = world.task(spec(unique="k", window=window))
    if window:
        world.node.succeed(there)
    before = dict(world.cluster.state.tasks)
    answer = refused(world.graphs.ask(CHAIN, what={"b": REJECTS}))
    assert answer.name == there
    assert answer.field == "spec.graph.tasks[1].task.unique"
    assert ("graph_task", "b") in answer.metadata
    assert "task 'b' of the graph" in answer.message
    assert not world.cluster.state.jobs
    assert world.cluster.state.tasks == before
    world.check()


def test_keys_are_kept_for_a_graph_before_its_last_part_is_written(world: World):
    answer = world.graphs.ask(CHAIN, what={"c": REPLACES})
    assert isinstance(answer, JobKnown)
    # Also from one that would replace: there is nothing to end yet.
    for what in (spec(unique="k"), REJECTS, REPLACES):
        assert "is being created" in refused(world.submit(what)).message
    assert refused(world.graphs.ask({"x": ()}, what=REPLACES))
    world.graphs.add(answer.job, CHAIN, what={"c": REPLACES}, part=1)
    world.check()
    assert world.graphs.states(answer.job)["c"] == "BLOCKED"


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_graph_that_is_given_up_keeps_no_key(world: World, parts: int):
    job = world.chain(part=1, parts=parts)
    world.graphs.cancel(job)
    assert world.graphs.row(job).state is JobState.CANCELLED
    world.check()
    world.task(REJECTS)


@pytest.mark.parametrize("key_of", ["a", "c"])
def test_another_task_that_took_a_key_after_a_failover_ends_the_graph(world: World, key_of: str):
    # A new leader knows nothing of what was kept for parts that are still to come.
    what = {key_of: REJECTS}
    job = world.chain(what, part=1, parts=0 if key_of == "a" else 2)
    world.cluster.lead(world.log.loaded().state)
    world.task(REJECTS)
    first = len(world.graphs.members(job).nodes)
    specs = world.graphs.specs(job, CHAIN, what, {})
    answer = refused(
        world.cluster.call(lambda token: e.GraphTasksAdded(job, first, specs[first:], True, token))
    )
    assert ("graph_task", key_of) in answer.metadata
    row = world.graphs.row(job)
    assert row.state is JobState.CANCELLED
    assert row.reason == answer.message
    assert set(world.graphs.states(job).values()) <= {"CANCELLED"}
    world.check()


def test_a_graph_goes_on_with_its_keys_after_a_failover(world: World):
    job = world.chain(part=1, parts=1)
    world.cluster.lead(world.log.loaded().state)
    world.graphs.add(job, CHAIN, what={"b": REJECTS}, part=1)
    refused(world.submit(REJECTS))
    # Repeated, it makes nothing twice, and is no conflict with itself.
    world.graphs.add(job, CHAIN, what={"b": REJECTS})
    world.check()


@pytest.mark.parametrize("waits", [True, False])
def test_replacing_ends_the_task_that_is_there_and_starts_after_it(world: World, waits: bool):
    there = world.task(spec(unique="k", not_before=world.cluster.now + 50.0 if waits else 0.0))
    job = world.chain({"b": REPLACES})
    assert (there in world.cluster.state.finished) == waits
    world.run(job, "a")
    assert world.graphs.states(job)["b"] == "RUNNING" if waits else "PENDING"
    if not waits:
        assert world.cluster.row(there).cancel_requested
        world.node.fail(there, "CANCELLED")
        assert world.graphs.states(job)["b"] == "RUNNING"
    world.run(job, "b", "c")
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    world.check()


def test_a_replaced_task_of_a_graph_is_cancelled_and_what_waits_for_it_is_skipped(world: World):
    first = world.chain()
    second = world.chain({"c": REPLACES})
    assert world.graphs.states(first) == {"a": "RUNNING", "b": "CANCELLED", "c": "SKIPPED"}
    world.run(first, "a")
    assert world.graphs.row(first).state is JobState.FAILED
    world.run(second, "a", "b", "c")
    assert world.graphs.row(second).state is JobState.SUCCEEDED
    world.check()


def test_a_task_of_a_graph_that_is_being_created_is_replaced(world: World):
    first = world.chain(part=2, parts=1)
    second = world.chain({"b": REPLACES})
    world.graphs.add(first, CHAIN, what={"b": REJECTS})
    assert world.graphs.states(first) == {"a": "RUNNING", "b": "CANCELLED", "c": "SKIPPED"}
    world.run(second, "a")
    assert world.graphs.states(second)["b"] == "RUNNING"
    world.check()


def test_a_window_outlives_the_graph(world: World):
    job = world.chain({"b": spec(unique="k", rejects=True, window=60.0)})
    world.run(job, "a", "b", "c")
    world.graphs.delete(job)
    world.check()
    refused(world.graphs.ask(CHAIN, what={"a": REJECTS}))
    world.cluster.advance(61.0)
    assert isinstance(world.graphs.ask(CHAIN, what={"a": REJECTS}), JobKnown)


def test_there_is_a_most_of_windows(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unique, "MOST_WINDOWS", 1)
    what = {name: spec(unique=name, rejects=True, window=5.0) for name in CHAIN}
    refused(world.graphs.ask(CHAIN, what=what), "TOO_MANY_UNIQUE_WINDOWS")
    assert not world.cluster.state.jobs


def test_a_retry_of_the_job_is_refused_while_another_task_has_a_key(world: World):
    job = world.chain()
    world.run(job, "a")
    world.run(job, "b", error="ValueError")
    there = world.task(REJECTS)
    answer = refused(world.graphs.retry(job))
    assert answer.name == there
    assert ("graph_task", "b") in answer.metadata
    assert refused(world.graphs.retry_task(world.graphs.task(job, "b"))).name == there
    assert world.graphs.row(job).state is JobState.FAILED
    world.node.succeed(there)
    assert world.graphs.retry(job) == JobKnown(job)
    refused(world.submit(REJECTS))
    world.run(job, "b", "c")
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    # What succeeded is not retried, and needs no key.
    world.task(REJECTS)
    world.check()


@pytest.mark.parametrize("window", [0.0, 60.0])
def test_a_task_whose_key_is_taken_before_it_is_reopened_ends(world: World, window: float):
    what = spec(unique="k", rejects=True, window=window)
    job = world.chain({"b": what})
    world.run(job, "a")
    world.run(job, "b", error="ValueError")
    world.cluster.hold_parts = True
    assert world.graphs.retry(job) == JobKnown(job)
    # The job is live, and its tasks are reopened in parts.
    there = world.task(what)
    while world.cluster.parts:
        world.cluster.step(world.cluster.parts.popleft())
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "b": "CANCELLED", "c": "SKIPPED"}
    assert world.graphs.row(job).state is JobState.FAILED
    kind, message = world.error_of(world.graphs.task(job, "b"))
    assert kind == "TASK_ALREADY_EXISTS"
    assert there in message
    windows = world.cluster.state.permits.windows
    assert [one.task for one in windows.values()] == [there] * bool(window)
    world.check()
    world.cluster.hold_parts = False
    world.node.succeed(there)
    if not window:
        assert world.graphs.retry(job) == JobKnown(job)
        world.run(job, "b", "c")
        assert world.graphs.row(job).state is JobState.SUCCEEDED


def test_a_skipped_task_takes_its_key_again_when_what_it_waits_for_is_retried(world: World):
    job = world.chain()
    world.run(job, "a", error="ValueError")
    assert world.graphs.states(job)["b"] == "SKIPPED"
    there = world.task(REJECTS)
    world.graphs.retry_task(world.graphs.task(job, "a"))
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "CANCELLED", "c": "SKIPPED"}
    world.node.succeed(there)
    world.run(job, "a")
    assert world.graphs.row(job).state is JobState.FAILED
    world.graphs.retry(job)
    world.run(job, "b", "c")
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    world.check()


@pytest.mark.parametrize("join", [1, 10])
def test_a_new_leader_knows_the_keys(join: int):
    world = World(Log(join=join))
    job = world.chain()
    world.cluster.lead(world.log.loaded().state)
    assert refused(world.submit(REJECTS)).name == world.graphs.task(job, "b")
    world.cluster.cancel(world.graphs.task(job, "b"))
    there = world.task(REJECTS)
    assert world.cluster.state_of(world.graphs.task(job, "b")) is TaskState.CANCELLED
    world.graphs.cancel(job)
    world.cluster.lead(world.log.loaded().state)
    world.node.open()
    if not world.graphs.row(job).finished:
        world.node.fail(world.graphs.task(job, "a"), "CANCELLED")
    assert refused(world.graphs.retry(job)).name == there


def test_a_batch_keeps_its_keys_also_from_who_would_replace():
    c = Cluster()
    c.hold_parts = True
    specs = [spec(unique=f"k{n}", rejects=True, payload=b"x" * 200_000) for n in range(4)]
    c.step(e.BatchSubmitted(DEFAULT_QUEUE, c.new_id(), specs, e.Request(), c.token()))
    task = c.new_id()
    what = spec(unique="k3", replaces=True)
    answer = c.call(lambda token: e.TaskSubmitted(DEFAULT_QUEUE, task, what, e.Request(), token))
    assert "is being created" in refused(answer).message
    while c.parts:
        c.step(c.parts.popleft())
    assert len(c.state.tasks) == 4


def test_a_part_that_is_repeated_is_answered(world: World):
    job = world.chain()
    specs = world.graphs.specs(job, CHAIN, {"b": REJECTS}, {})
    answer = world.cluster.call(lambda token: e.GraphTasksAdded(job, 0, specs, True, token))
    assert answer == JobItemsKnown(job, 3)
