"""SendSignal, and pausing what runs: which tasks take it, what is on record, what nodes get."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2 as pb
from scheduler.agents.control_orders import MOST_SIGNALS, ControlOrders
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.rows import TaskRow
from scheduler.core.placement.explain import Why, explain
from scheduler.core.values import Origin, TaskPause, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec

ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/PauseTask")
USR1 = 10


def running(c: Cluster, **options: object) -> tuple[FakeNode, TaskId]:
    node = c.node("n", **options)  # type: ignore[arg-type]
    task = c.submit(spec(attempts=2))
    node.start(task)
    return node, task


def pause(c: Cluster, task: TaskId, *, paused: bool = True, program: bool = True) -> object:
    request = e.Request(origin=ALICE)
    return c.call(lambda t: e.TaskPauseAsked(task, paused, request, t, "why", program))


def signal(c: Cluster, task: TaskId, *, program: bool = True, request: str = "") -> object:
    asked = e.Request(request, b"digest" if request else b"", ALICE)
    return c.call(lambda t: e.TaskSignalAsked(task, USR1, asked, t, "USR1", program))


def reason(answer: object) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.reason


def known(log: Log, task: TaskId) -> list[TaskRow]:
    """As a standby, and as who loads the log."""
    return [state.tasks[task] for state in (log.followed(), log.loaded().state)]


def test_a_signal_goes_to_the_node_once_for_a_request_id():
    c = Cluster()
    node, task = running(c)
    for _ in range(3):
        assert not isinstance(signal(c, task, request="r1"), Rejection)
    assert node.signals == [(task, 1, USR1)]
    signal(c, task)
    assert len(node.signals) == 2


def test_what_takes_no_signal_is_a_typed_error():
    c = Cluster()
    node, task = running(c, credit=2)
    assigned, waits = c.submit(), c.submit()
    assert reason(signal(c, task, program=False)) == "TASK_IS_FUNCTION"
    assert reason(signal(c, assigned)) == "TASK_NOT_RUNNING"
    assert reason(signal(c, waits)) == "TASK_NOT_RUNNING"
    assert reason(signal(c, c.new_id())) == "TASK_NOT_FOUND"
    node.close()
    assert reason(signal(c, task)) == "NODE_DISCONNECTED"
    node.open()
    c.cancel(task)
    assert reason(signal(c, task)) == "TASK_CANCELLED"
    node.fail(task, "CANCELLED")
    assert reason(signal(c, task)) == "TASK_NOT_RUNNING"
    assert not node.signals


def test_an_older_agent_is_sent_nothing_that_it_does_not_know():
    c = Cluster()
    node = FakeNode(c, "old", "old-1")  # type: ignore[arg-type]
    c.nodes[node.instance] = node
    node.register(takes_signals=False)
    node.open()
    node.credit(1)
    task = c.submit()
    node.start(task)
    assert reason(signal(c, task)) == "NODE_TOO_OLD"
    assert reason(pause(c, task)) == "NODE_TOO_OLD"
    assert (node.signals, node.suspended) == ([], set())


def test_a_suspended_program_is_on_record_with_who_and_why():
    log = Log()
    c = Cluster(log=log)
    node, task = running(c)
    pause(c, task)
    assert node.suspended == {(task, 1)}
    wanted = TaskPause("operator:alice", "why", c.now)
    for row in (c.row(task), *known(log, task)):
        assert (row.state, row.pause) == (TaskState.RUNNING, wanted)
    found = explain(c.state, c.row(task), c.now).reasons[0]
    assert found.why is Why.TASK_PAUSED
    assert "stopped on n" in found.sentence
    pause(c, task, paused=False)
    assert node.suspended == set()
    assert [row.pause for row in (c.row(task), *known(log, task))] == [None] * 3


def test_repeating_it_sends_the_order_again_and_writes_nothing():
    c = Cluster()
    node, task = running(c)
    pause(c, task)
    since = c.row(task).pause
    node.suspended.clear()  # it got lost on the way
    c.now += 5
    pause(c, task)
    assert node.suspended == {(task, 1)}
    assert c.row(task).pause == since
    assert reason(pause(c, task, program=False)) == "TASK_IS_FUNCTION"


def test_a_new_leader_and_a_new_session_agree_on_what_is_suspended():
    log = Log()
    c = Cluster(log=log)
    node, task = running(c)
    other = c.submit()
    node.start(other)
    pause(c, task)
    # The order got lost, and so did one that let the other go on.
    node.suspended = {(other, 1)}
    c.lead(log.followed())
    node.open()
    assert node.suspended == {(task, 1)}


def test_an_attempt_that_is_sent_again_is_suspended_again():
    c = Cluster()
    node, task = running(c)
    pause(c, task)
    node.close()
    node.has.clear()
    node.suspended.clear()
    node.open()
    assert (task, 1) in node.suspended


@pytest.mark.parametrize("end", ["lost", "returned", "failed"])
def test_when_its_attempt_ends_it_stays_paused(end: str):
    log = Log()
    c = Cluster(log=log)
    node, task = running(c)
    pause(c, task)
    if end == "lost":
        node.lose()
        c.node("another")
    elif end == "returned":
        node.give_back(task)
    else:
        node.fail(task, "SIGNAL")
    for row in (c.row(task), *known(log, task)):
        assert (row.state, row.pause and row.pause.by) == (TaskState.PAUSED, "operator:alice")
    c.advance(60.0)
    assert c.state_of(task) is TaskState.PAUSED
    pause(c, task, paused=False)
    assert c.state_of(task) is TaskState.RUNNING
    assert c.row(task).attempt == 2
    assert c.row(task).pause is None


def test_a_suspended_task_is_cancelled_and_succeeds_as_any_other():
    c = Cluster()
    node, task = running(c)
    pause(c, task)
    c.cancel(task)
    assert node.ended == [(task, 1)]
    node.fail(task, "CANCELLED")
    assert c.state_of(task) is TaskState.CANCELLED
    other = c.submit()
    node.start(other)
    pause(c, other)
    # It had ended when the order arrived.
    node.succeed(other)
    assert c.state_of(other) is TaskState.SUCCEEDED


def test_orders_are_bounded_and_the_newest_word_counts():
    orders = ControlOrders()
    task = TaskId("t")
    for number in range(2 * MOST_SIGNALS):
        orders.signal(task, number, USR1)
        orders.suspend(task, 1, bool(number % 2))
    sent = pb.SessionRequest()
    while orders.anything:
        message = pb.SessionRequest()
        orders.fill(message)
        assert len(message.signals) <= 1_024
        sent.MergeFrom(message)
    assert [one.attempt for one in sent.signals] == list(range(MOST_SIGNALS, 2 * MOST_SIGNALS))
    assert [(one.attempt, one.suspended) for one in sent.suspend] == [(1, True)]
