"""Reservations: an endless stream of small tasks does not starve a large one."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Control
from scheduler.core.placement.explain import Filter, Why, explain
from scheduler.core.values import TaskState
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec
from tests.support.core_specs import spec

AFTER = 30.0


def flood(c: Cluster, large: TaskId, seconds: int, **small: object) -> int:
    """A second after the other, each running small task ends and others come: until the large one
    has started; after how many seconds that was, -1 if it has not."""
    for second in range(seconds):
        for _ in range(9):
            c.submit(spec(cpu=1.0, **small))  # type: ignore[arg-type]
        c.advance(1.0)
        # One after the other: never is much free at once.
        for node in list(c.nodes.values()):
            for task in list(node.has):
                if task != large:
                    node.succeed(task)
        if c.state_of(large) is TaskState.RUNNING:
            return second
    return -1


def busy(after: float = AFTER, nodes: int = 2) -> Cluster:
    c = Cluster(limits=Limits(reserve_after=after))
    for number in range(nodes):
        c.node(f"n{number + 1}", cpu=4.0, credit=50)
    for _ in range(4 * nodes):
        c.submit(spec(cpu=1.0))
    return c


def test_without_a_reservation_small_tasks_starve_a_large_one():
    c = busy(after=0.0)
    assert flood(c, c.submit(spec(cpu=4.0)), 60) == -1


def test_an_endless_stream_of_small_tasks_does_not_starve_a_large_one():
    c = busy()
    started = flood(c, c.submit(spec(cpu=4.0)), 200)
    assert AFTER - 1 <= started <= AFTER + 3
    assert c.state.reservation is None


def test_the_other_node_goes_on_meanwhile():
    c = busy()
    large = c.submit(spec(cpu=4.0))
    c.advance(AFTER)
    c.place()
    held = c.state.reservation
    assert held is not None
    other = next(node for node in c.nodes.values() if node.name != held.node)
    mine = next(node for node in c.nodes.values() if node.name == held.node)
    small = [c.submit(spec(cpu=1.0)) for _ in range(4)]
    for node in (other, mine):
        for task in list(node.has)[:2]:
            node.succeed(task)
    assert [c.place_of(task) for task in small] == [other.name, other.name, "", ""]
    for task in list(mine.has):
        mine.succeed(task)
    assert c.place_of(large) == mine.name


def test_what_the_large_task_does_not_need_is_not_held_back():
    c = Cluster()
    c.node("n1", cpu=4.0, memory=8 << 30, counters={"gpu": 2}, credit=50)
    c.submit(spec(counters={"gpu": 1}))
    c.submit(spec(counters={"gpu": 2}))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is not None
    assert c.place_of(c.submit(spec(cpu=4.0))) == "n1"
    assert c.place_of(c.submit()) == "n1"
    assert c.place_of(c.submit(spec(counters={"gpu": 1}))) == ""


def test_a_higher_priority_goes_before_the_reservation():
    c = busy(nodes=1)
    c.submit(spec(cpu=4.0))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is not None
    first, second = c.submit(spec(cpu=1.0)), c.submit(spec(cpu=1.0, priority=1))
    (node,) = c.nodes.values()
    node.succeed(next(iter(node.has)))
    assert (c.place_of(first), c.place_of(second)) == ("", "n1")


def test_only_one_task_at_a_time_has_a_reservation_the_one_that_waits_longest():
    c = busy()
    first = c.submit(spec(cpu=3.0))
    second = c.submit(spec(cpu=4.0))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is not None
    assert c.state.reservation.row.id == first
    c.cancel(first)
    c.advance(1.0)
    c.place()
    assert c.state.reservation is not None
    assert c.state.reservation.row.id == second


def reserved() -> tuple[Cluster, TaskId]:
    c = busy()
    task = c.submit(spec(cpu=4.0, key="k"))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is not None
    return c, task


def cancelled(c: Cluster, task: TaskId) -> None:
    c.cancel(task)


def node_lost(c: Cluster, task: TaskId) -> None:
    for node in list(c.nodes.values()):
        c.step(e.NodeLost(node.name, node.instance, "gone"))


def cordoned(c: Cluster, task: TaskId) -> None:
    for name in ("n1", "n2"):
        c.control(name, Control(cordoned=True))


def paused(c: Cluster, task: TaskId) -> None:
    c.pause()


def limited(c: Cluster, task: TaskId) -> None:
    c.set_limits(max_running=8)


@pytest.mark.parametrize("end", [cancelled, node_lost, cordoned, paused, limited])
def test_a_reservation_ends_with_its_reason(end) -> None:
    c, task = reserved()
    end(c, task)
    assert c.state.reservation is None


def test_no_reservation_for_a_task_that_a_limit_holds_back():
    c = busy()
    c.set_limits(max_running=8)
    c.submit(spec(cpu=4.0))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is None


def test_no_reservation_for_a_task_that_is_too_large_for_every_node():
    c = busy()
    c.submit(spec(cpu=5.0))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is None


def test_the_place_of_a_job_can_have_one():
    c = busy(nodes=1)
    jobs = Jobs(c)
    jobs.create(10, job_spec(cpu=4.0))
    c.advance(AFTER)
    c.place()
    assert c.state.reservation is not None
    for _ in range(5):
        c.submit(spec(cpu=1.0))
    (node,) = c.nodes.values()
    for task in list(node.has):
        node.succeed(task)
    assert [row.node for row in c.state.chunks.values()] == ["n1"]
    assert c.state.reservation is None


def test_explanations_of_the_reserved_task_and_of_the_others():
    c, task = reserved()
    held = c.state.reservation
    assert held is not None
    found = explain(c.state, c.row(task), c.now)
    assert found.reasons[0].why is Why.RESERVED
    assert found.reasons[0].sentence.startswith(f"waits until node {held.node} has enough")
    node = next(node for node in c.nodes.values() if node.name == held.node)
    small = c.submit(spec(cpu=1.0))
    node.succeed(next(iter(node.has)))
    found = explain(c.state, c.row(small), c.now)
    refused = {one.node: one for one in found.nodes}[node.name]
    assert refused.filter is Filter.RESERVED
    assert refused.sentence.endswith(f"held back for the reservation of {task}")
    assert found.reasons[0].why is Why.NODES_BUSY
