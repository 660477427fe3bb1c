"""Limits on how many tasks run at once: of a queue, of a key, shared between queues."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.answers import LimitSeen, QueueSeen, Rejection
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import Rate, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING


def states(c: Cluster, tasks: list) -> list[TaskState | None]:
    return [c.state_of(task) for task in tasks]


def rejected(answer: object) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.reason


def test_a_queue_runs_no_more_than_its_limit_and_hides_no_other_queue() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    c.queue("one", max_running=2)
    tasks = [c.submit(queue="one") for _ in range(4)]
    other = c.submit()
    assert states(c, tasks) == [RUNNING, RUNNING, PENDING, PENDING]
    assert c.state_of(other) is RUNNING
    n.succeed(tasks[1])
    assert states(c, tasks[2:]) == [RUNNING, PENDING]


@pytest.mark.parametrize("end", ["succeed", "fail", "give_back", "lose", "cancel"])
def test_whatever_ends_an_attempt_frees_its_permits(end: str) -> None:
    c = Cluster()
    c.limit("licence", 1)
    c.set_limits(max_running_per_key=1)
    n = c.node("n1", credit=10)
    first = c.submit(spec(key="x", limits=["licence"]))
    n.start(first)
    second = c.submit(spec(key="x", limits=["licence"]))
    assert c.state_of(second) is PENDING
    if end == "cancel":
        c.cancel(first)
        n.fail(first, "CANCELLED")
    elif end == "lose":
        n.lose()
        c.node("n2", credit=10)
    else:
        getattr(n, end)(first)
    # The older one goes first where it waits again.
    again = end in ("give_back", "lose")
    assert c.state_of(first if again else second) is RUNNING
    for task in (first, second):
        c.cancel(task)
    for node in c.nodes.values():
        for task in list(node.has):
            node.fail(task, "CANCELLED")
    permits = c.state.permits
    assert (permits.running, permits.live) == ({}, {})
    assert c.state.queues[DEFAULT_QUEUE].running_by_key == {}


def test_tasks_of_a_full_key_are_passed_over() -> None:
    c = Cluster()
    c.set_limits(max_running_per_key=1)
    n = c.node("n1", credit=10)
    tasks = [c.submit(spec(key=key)) for key in ("a", "a", "a", "b", "")]
    assert states(c, tasks) == [RUNNING, PENDING, PENDING, RUNNING, RUNNING]
    n.succeed(tasks[0])
    assert states(c, tasks[1:3]) == [RUNNING, PENDING]


def test_keys_go_in_the_order_of_their_oldest_tasks() -> None:
    c = Cluster()
    c.set_limits(max_running_per_key=1)
    tasks = [c.submit(spec(key=f"k{place % 100}")) for place in range(300)]
    n = c.node("n1", credit=3)
    begun = []
    while n.has:
        task = next(iter(n.has))
        begun.append(task)
        n.succeed(task)
    assert begun == tasks


def test_a_full_key_holds_back_no_priority_below() -> None:
    c = Cluster()
    c.set_limits(max_running_per_key=1)
    c.node("n1", credit=10)
    first = c.submit(spec(key="a", priority=5))
    urgent = c.submit(spec(key="a", priority=5))
    low = c.submit(spec(key="b"))
    assert states(c, [first, urgent, low]) == [RUNNING, PENDING, RUNNING]


def test_a_shared_limit_counts_across_queues_and_all_permits_are_taken_or_none() -> None:
    c = Cluster()
    c.limit("licence", 2)
    c.limit("api", 1)
    c.queue("other")
    c.node("n1", credit=10)
    tasks = [
        c.submit(spec(limits=["licence"])),
        c.submit(spec(limits=["licence", "api"]), queue="other"),
        c.submit(spec(limits=["licence"]), queue="other"),
        c.submit(spec(limits=["api"])),
        c.submit(),
    ]
    assert states(c, tasks) == [RUNNING, RUNNING, PENDING, PENDING, RUNNING]
    assert c.state.permits.running == {"licence": 2, "api": 1}


def test_a_new_or_lowered_limit_counts_what_runs() -> None:
    c = Cluster()
    c.limit("licence", 5)
    n = c.node("n1", credit=10)
    tasks = [c.submit(spec(limits=["licence"])) for _ in range(7)]
    assert states(c, tasks) == [RUNNING] * 5 + [PENDING] * 2
    seen = c.update_limit("licence", 2)
    assert isinstance(seen, LimitSeen)
    assert (seen.running, seen.live) == (5, 7)
    for task in tasks[:3]:
        n.succeed(task)
        assert states(c, tasks[5:]) == [PENDING, PENDING]
    n.succeed(tasks[3])
    assert states(c, tasks[5:]) == [RUNNING, PENDING]
    c.update_limit("licence", 0, Rate(100, 1.0, 100))
    assert states(c, tasks[5:]) == [RUNNING, RUNNING]
    c.set_limits(max_running=1)
    late = c.submit()
    assert c.state_of(late) is PENDING
    c.set_limits()
    assert c.state_of(late) is RUNNING


def test_keys_that_wait_start_when_the_limit_is_taken_away() -> None:
    c = Cluster()
    c.set_limits(max_running_per_key=1)
    c.node("n1", credit=10)
    tasks = [c.submit(spec(key="a")) for _ in range(3)]
    assert states(c, tasks) == [RUNNING, PENDING, PENDING]
    c.set_limits(max_running_per_key=2)
    assert states(c, tasks) == [RUNNING, RUNNING, PENDING]
    c.set_limits()
    assert states(c, tasks) == [RUNNING] * 3


def test_a_limit_that_does_not_exist_refuses_tasks_that_name_it() -> None:
    c = Cluster()
    task, token = c.new_id(), c.token()
    c.step(e.TaskSubmitted(QueueName("default"), task, spec(limits=["none"]), e.Request(), token))
    assert rejected(c.reply(token)) == "LIMIT_NOT_FOUND"
    token, _ = c.batch([spec(), spec(limits=["none"])])
    assert rejected(c.reply(token)) == "LIMIT_NOT_FOUND"
    assert not c.state.tasks


def test_a_limit_that_tasks_name_is_not_deleted() -> None:
    c = Cluster()
    c.limit("licence", 1)
    assert rejected(c.limit("licence", 1)) == "LIMIT_ALREADY_EXISTS"
    task = c.submit(spec(limits=["licence"]))
    assert rejected(c.delete_limit("licence")) == "LIMIT_IN_USE"
    c.cancel(task)
    assert not isinstance(c.delete_limit("licence"), Rejection)
    assert rejected(c.delete_limit("licence")) == "LIMIT_NOT_FOUND"
    assert rejected(c.update_limit("licence", 1)) == "LIMIT_NOT_FOUND"
    assert rejected(c.retry(task, spec(limits=["licence"]))) == "LIMIT_NOT_FOUND"


def test_the_queue_of_replicas_has_no_limits() -> None:
    c = Cluster()
    c.service("web", replicas=1)
    assert rejected(c.set_limits("services", max_running=1)) == "QUEUE_HOLDS_REPLICAS"
    settings = settings_of(c.state.queues[QueueName("default")])
    answer = c.call(
        lambda token: e.QueueUpdateAsked(QueueName("nowhere"), settings, e.Request(), token)
    )
    assert rejected(answer) == "QUEUE_NOT_FOUND"


def test_a_standby_knows_what_is_used() -> None:
    log = Log()
    c = Cluster(log=log)
    c.limit("licence", 1)
    c.set_limits(max_running=3, max_running_per_key=1, rate=Rate(5, 1.0, 5))
    n = c.node("n1", credit=10)
    tasks = [c.submit(spec(key="a", limits=["licence"])), c.submit(spec(key="b"))]
    for state in (log.loaded().state, log.followed()):
        permits = state.permits
        assert permits.running == {"licence": 1}
        assert permits.arrivals == c.state.permits.arrivals
        assert state.queues[DEFAULT_QUEUE].running_by_key == {"a": 1, "b": 1}
        assert state.queues[DEFAULT_QUEUE].limits == c.state.queues[DEFAULT_QUEUE].limits
    c.lead(state)
    n.open()
    n.credit(10)
    late = c.submit(spec(limits=["licence"]))
    assert c.state_of(late) is PENDING
    n.succeed(tasks[0])
    assert c.state_of(late) is RUNNING


def test_update_answers_with_the_queue_as_it_is() -> None:
    c = Cluster()
    seen = c.set_limits(max_running=3)
    assert isinstance(seen, QueueSeen)
    assert seen.limits.max_running == 3
