"""Ordering keys: tasks of one key run one after another, those of different keys together."""

from __future__ import annotations

import pytest

from scheduler.core.model import events as e
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import BulkAct, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import START, spec, spec_update

RUNNING, PENDING, SCHEDULED = TaskState.RUNNING, TaskState.PENDING, TaskState.SCHEDULED


def states(c: Cluster, tasks: list) -> list[TaskState | None]:
    return [c.state_of(task) for task in tasks]


def test_tasks_of_a_key_go_one_after_another_and_keys_together() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    tasks = [c.submit(spec(ordering=key)) for key in ("a", "a", "a", "b", "")]
    assert states(c, tasks) == [RUNNING, PENDING, PENDING, RUNNING, RUNNING]
    n.succeed(tasks[0])
    assert states(c, tasks[1:3]) == [RUNNING, PENDING]
    n.fail(tasks[1])
    assert states(c, tasks[1:3]) == [TaskState.FAILED, RUNNING]
    n.succeed(tasks[2])
    assert c.state.queues[DEFAULT_QUEUE].turns_taken == {"b": 1}


def test_neither_priority_nor_needs_change_the_order_within_a_key() -> None:
    c = Cluster()
    tasks = [
        c.submit(spec(ordering="a", priority=-3)),
        c.submit(spec(ordering="a", priority=5)),
        c.submit(spec(ordering="a", cpu=1.0)),
        c.submit(spec(ordering="a", key="k", tenant="gold")),
    ]
    n = c.node("n1", credit=10)
    went = []
    while n.has:
        assert len(n.has) == 1
        task = next(iter(n.has))
        went.append(task)
        n.succeed(task)
    assert went == tasks


def test_a_retry_keeps_its_place() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    first = c.submit(spec(ordering="a", attempts=2, backoff=5.0))
    second = c.submit(spec(ordering="a"))
    n.fail(first)
    assert states(c, [first, second]) == [SCHEDULED, PENDING]
    c.advance(5.0)
    assert states(c, [first, second]) == [RUNNING, PENDING]
    n.give_back(first)
    assert states(c, [first, second]) == [RUNNING, PENDING]
    n.succeed(first)
    assert c.state_of(second) is RUNNING


@pytest.mark.parametrize("before", ["running", "retried", "waiting"])
def test_a_cancelled_task_lets_the_next_one_go(before: str) -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    first = c.submit(spec(ordering="a", attempts=2, backoff=100.0))
    second = c.submit(spec(ordering="a", priority=5))
    third = c.submit(spec(ordering="a"))
    if before == "retried":
        n.fail(first)
    elif before == "waiting":
        c.cancel(second)
    c.cancel(first)
    if before != "retried":
        n.fail(first, "CANCELLED")
    assert c.state_of(third if before == "waiting" else second) is RUNNING


def test_one_that_is_not_due_holds_nobody_up() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    later = c.submit(spec(ordering="a", not_before=c.now + 10.0))
    now = c.submit(spec(ordering="a"))
    assert states(c, [later, now]) == [SCHEDULED, RUNNING]
    c.advance(10.0)
    assert states(c, [later, now]) == [PENDING, RUNNING]
    n.succeed(now)
    assert c.state_of(later) is RUNNING


@pytest.mark.parametrize("loaded", [True, False])
def test_a_new_leader_keeps_the_order(loaded: bool) -> None:
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", credit=10)
    running, retried = c.submit(spec(ordering="a")), c.submit(spec(ordering="b", attempts=2))
    others = [c.submit(spec(ordering=key)) for key in ("a", "b")]
    n.fail(retried)
    c.lead(log.loaded().state if loaded else log.followed())
    n.open()
    n.credit(10)
    assert states(c, others) == [PENDING, PENDING]
    n.succeed(running)
    assert states(c, others) == [RUNNING, PENDING]
    c.advance(10.0)
    assert states(c, [retried, others[1]]) == [RUNNING, PENDING]


def test_one_that_waits_again_goes_before_those_that_wait_for_another() -> None:
    c = Cluster()
    first = c.submit(spec(ordering="a"))
    c.submit(spec(ordering="a", cpu=100.0))
    third = c.submit(spec(ordering="a"))
    c.step(e.TaskPauseAsked(first, True, e.Request(), c.token()))
    # The second one is next and fits nowhere: the third one has to wait for it.
    c.node("n1", credit=10)
    assert c.state_of(third) is PENDING
    c.step(e.TaskPauseAsked(first, False, e.Request(), c.token()))
    assert states(c, [first, third]) == [RUNNING, PENDING]


def test_a_retry_that_is_brought_forward_waits_in_line() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    first = c.submit(spec(ordering="a", attempts=2, backoff=100.0))
    second = c.submit(spec(ordering="a"))
    n.fail(first)
    found = {first: e.TaskRecorded(spec(ordering="a", attempts=2, backoff=100.0), START)}
    asked = e.BulkAsked(
        [first],
        frozenset(),
        e.Request(),
        c.token(),
        act=BulkAct.UPDATE,
        update=spec_update(not_before=0.0),
    )
    c.step(e.BulkContinued(asked, 0, (0, 0, 0, 0), found=found, until=1))
    assert states(c, [first, second]) == [RUNNING, PENDING]
    n.succeed(first)
    n.succeed(second)
    assert c.state.queues[DEFAULT_QUEUE].turns_taken == {}
