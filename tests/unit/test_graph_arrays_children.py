"""Tasks that subtasks of an array in a graph add to it: retried with the graph, and when."""

from __future__ import annotations

import pytest

from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection, TaskCreated
from scheduler.core.model.events.calls import Parent
from scheduler.core.values import MemberOf, TaskState
from tests.support.core_jobs import job_spec
from tests.support.core_specs import spec
from tests.unit.test_graph_arrays_core import World


@pytest.fixture
def world() -> World:
    return World()


def add_child(world, array):
    """A subtask of an array that runs adds a task to its job; the task's id."""
    (chunk,) = world.jobs.chunks(array.id)
    index = world.jobs.left(chunk)[0][0]
    parent = Parent(f"{array.id}.{index}", 0, world.node.instance, chunk)
    task, what = world.cluster.new_id(), spec()._replace(member=MemberOf(array.id))
    answer = world.cluster.call(
        lambda token: e.TaskSubmitted(array.queue.name, task, what, e.Request(), token, "", parent)
    )
    assert isinstance(answer, TaskCreated)
    return task


def failed_child(world, tasks, *, arrays, others=()):
    """A graph whose array b fails for a task that was added to it: the graph, and that task.

    Args:
        others: arrays that fail, too.
    """
    job = world.create(tasks, arrays=arrays, size=1)
    for name in others:
        world.report(job, name, failed=[0])
    child = add_child(world, world.array(job, "b"))
    world.report(job, "b", succeeded=[0])
    assert world.graphs.states(job)["b"] == "RUNNING"
    world.node.fail(child)
    world.check()
    assert world.graphs.states(job)["b"] == "FAILED"
    assert world.verdict(job) == "FAILED"
    return job, child


def test_a_task_is_retried_whose_array_the_retry_of_the_graph_has_not_come_to(world):
    others = [f"t{n}" for n in range(12)]
    tasks = dict.fromkeys([*others, "b"], ())
    job, child = failed_child(world, tasks, arrays=tasks, others=others)
    world.cluster.hold_parts = True
    world.graphs.retry(job)
    assert world.graphs.states(job)["b"] == "FAILED"
    world.graphs.retry_task(child)
    world.cluster.hold_parts = False
    while world.cluster.parts:
        world.cluster.step(world.cluster.parts.popleft())
    world.check()
    assert world.array(job, "b").round == world.graphs.row(job).round
    for name in others:
        world.finish_chunks(job, name)
    world.node.succeed(child)
    assert world.verdict(job) == "SUCCEEDED"


def test_a_retried_graph_retries_what_was_added_to_its_arrays(world):
    job, child = failed_child(world, {"b": (), "c": ("b",)}, arrays=["b"])
    world.graphs.retry(job)
    world.check()
    assert world.cluster.state_of(child) is TaskState.RUNNING
    assert world.graphs.states(job)["c"] == "BLOCKED"
    world.node.succeed(child)
    world.node.succeed(world.graphs.task(job, "c"))
    world.check()
    assert world.verdict(job) == "SUCCEEDED"


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("failover", [False, True])
def test_what_was_added_to_an_array_waits_with_it(world, by_name, failover):
    tasks = {"a": (), "t": (), "b": ("a", ("t", "always"))}
    shapes = {"b": (1, job_spec(name="b"))}
    job = world.graphs.create(tasks, arrays=shapes)
    world.node.succeed(world.graphs.task(job, "a"))
    world.node.fail(world.graphs.task(job, "t"))
    child = add_child(world, world.array(job, "b"))
    world.report(job, "b", succeeded=[0])
    world.node.fail(child)
    world.graphs.retry(job)
    world.check()
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "t": "RUNNING", "b": "BLOCKED"}
    assert world.cluster.state_of(child) is TaskState.FAILED
    if by_name:
        assert not isinstance(world.graphs.retry_task(child), Rejection)
        assert world.cluster.state_of(child) is TaskState.BLOCKED
    if failover:
        world.log.flush()
        world.cluster.lead(world.log.loaded().state)
        world.node.register()
        world.node.open()
        world.node.credit(100)
    world.node.succeed(world.graphs.task(job, "t"))
    assert world.cluster.state_of(child) is TaskState.RUNNING
    world.node.succeed(child)
    assert world.verdict(job) == "SUCCEEDED"


def on_failure(world):
    """A graph whose array b runs since t failed, and fails for a task that was added to it; the
    graph is retried. It, and that task."""
    tasks = {"t": (), "b": (("t", "failure"),), "c": ("b",)}
    job = world.graphs.create(tasks, arrays={"b": (1, job_spec(name="b"))})
    world.node.fail(world.graphs.task(job, "t"))
    child = add_child(world, world.array(job, "b"))
    world.report(job, "b", succeeded=[0])
    world.node.fail(child)
    world.graphs.retry(job)
    world.check()
    assert world.graphs.states(job) == {"t": "RUNNING", "b": "BLOCKED", "c": "BLOCKED"}
    return job, child


def test_what_was_added_to_an_array_that_is_skipped_is_cancelled(world):
    job, child = on_failure(world)
    assert not isinstance(world.graphs.retry_task(child), Rejection)
    assert world.cluster.state_of(child) is TaskState.BLOCKED
    world.node.succeed(world.graphs.task(job, "t"))
    world.check()
    assert world.graphs.states(job) == {"t": "SUCCEEDED", "b": "SKIPPED", "c": "SKIPPED"}
    assert world.cluster.state_of(child) is TaskState.CANCELLED
    assert world.verdict(job) == "SUCCEEDED"


def test_a_task_of_an_array_that_was_cancelled_with_its_graph_does_not_wait_for_ever(world):
    job, child = on_failure(world)
    world.graphs.cancel(job)
    world.node.fail(world.graphs.task(job, "t"), "CANCELLED")
    world.check()
    assert world.verdict(job) == "CANCELLED"
    world.graphs.retry_task(child)
    world.check()
    assert world.cluster.state_of(child) is TaskState.CANCELLED
    assert world.graphs.states(job)["b"] == "SKIPPED"
    assert not world.graphs.members(job).live
