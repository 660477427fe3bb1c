"""Snooze and Cancel: what a task's own word does to it, and what an agent's word may do."""

from __future__ import annotations

import math
import pickle

import pytest

import quorate
from node_agent.core.attempts import Failure
from node_agent.executors.outcomes import outcome_of_answer
from node_agent.protocol.answers import MAX_MESSAGE
from node_agent.protocol.replies import Malformed, Reader, packets_of
from node_agent.worker.calls import call
from quorate.client.errors import TaskCancelled
from quorate.client.tracking.outcome import error_of
from quorate.runtime.attempts.outcomes import LEAST_SNOOZE, LONGEST_SNOOZE, SNOOZED, clean_snooze
from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2, task_pb2
from scheduler.agents.reports import events_of
from scheduler.core.model import events as e
from scheduler.core.placement.explain import Why, explain
from scheduler.core.values import TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec


def snooze(node: FakeNode, task: TaskId, seconds: float) -> None:
    number, start = node.has.pop(task)
    error = task_pb2.TaskError(type=SNOOZED, message="not yet")
    node.cluster.step(
        e.AttemptFailed(
            node.instance,
            task,
            number,
            start,
            node.cluster.now,
            SNOOZED,
            "not yet",
            error,
            (),
            seconds,
        )
    )


def test_a_snoozed_task_runs_again_after_that_time_and_has_not_failed():
    log = Log()
    c = Cluster(log=log)
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=1))
    for number in range(1, 6):
        node.start(task)
        snooze(node, task, 60.0)
        for row in (c.row(task), log.followed().tasks[task], log.loaded().state.tasks[task]):
            assert (row.state, row.failures) == (TaskState.SCHEDULED, 0)
            assert row.not_before == c.now + 60.0
            assert row.past[-1].error_type == SNOOZED
        c.advance(59.0)
        assert c.state_of(task) is TaskState.SCHEDULED
        c.advance(1.0)
        assert c.row(task).attempt == number + 1
    node.start(task)
    node.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_it_counts_failures_before_and_after():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=2, backoff=1.0))
    node.fail(task)
    c.advance(1.0)
    snooze(node, task, 5.0)
    assert c.row(task).failures == 1
    c.advance(5.0)
    node.fail(task)
    assert c.state_of(task) is TaskState.FAILED


def test_a_task_that_snoozes_has_met_its_start_deadline():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(start_deadline=10.0))
    snooze(node, task, 100.0)
    c.advance(50.0)
    assert c.state_of(task) is TaskState.SCHEDULED


def test_a_new_leader_does_not_hold_a_snooze_to_the_backoff_policy():
    log = Log()
    c = Cluster(log=log)
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=3, backoff=1.0, max_backoff=2.0))
    node.fail(task)
    c.advance(2.0)
    snooze(node, task, 1000.0)
    due = c.now + 1000.0
    c.lead(log.followed())
    assert c.row(task).not_before == due


def test_it_keeps_the_turn_of_its_ordering_key():
    log = Log()
    c = Cluster(log=log)
    node = c.node("n", credit=4)
    first, second = c.submit(spec(ordering="k")), c.submit(spec(ordering="k"))
    snooze(node, first, 5.0)
    assert c.state_of(second) is TaskState.PENDING
    c.lead(log.followed())
    node.open()
    node.credit(4)
    assert c.state_of(second) is TaskState.PENDING
    c.advance(5.0)
    assert c.state_of(first) is TaskState.RUNNING


def test_a_task_that_is_being_cancelled_does_not_snooze():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit()
    node.start(task)
    c.cancel(task)
    snooze(node, task, 5.0)
    assert c.state_of(task) is TaskState.CANCELLED


def test_explain_says_when_and_why():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit()
    snooze(node, task, 5.0)
    found = explain(c.state, c.row(task), c.now).reasons[0]
    assert (found.why, found.until) == (Why.NOT_BEFORE, c.now + 5.0)
    assert "attempt 1 asked to run again" in found.sentence


def test_a_task_that_cancels_itself_is_not_tried_again():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=5))
    node.start(task)
    node.fail(task, "CANCELLED", message="no such customer")
    assert c.state_of(task) is TaskState.CANCELLED


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(-5, 0.0), (0, LEAST_SNOOZE), (3600, 3600.0), (10**9, LONGEST_SNOOZE)],
)
def test_an_agents_word_is_held_to_the_bounds(seconds: int, wanted: float):
    message = node_agent_pb2.SessionResponse()
    item = message.finished.add(task_id="a", attempt=1)
    item.error.type = SNOOZED
    item.snooze.seconds = seconds
    (event,) = events_of("n1", "i1", message)  # type: ignore[arg-type]
    assert isinstance(event, e.AttemptFailed)
    assert event.snooze == wanted


def raises(error: BaseException) -> object:
    def function() -> None:
        raise error

    answer = call((function, (), {}), "json", "", 1 << 20)
    reader = Reader()
    found = None
    for packet in packets_of(5, 1.0, 2.0, answer):
        found = reader.read(packet)
    assert found is not None
    return outcome_of_answer(found[3], found[1], found[2]).value


def test_what_a_function_raises_is_what_the_agent_reports():
    assert raises(quorate.Snooze(60)) == Failure(SNOOZED, "it is to run again in 60 s", snooze=60.0)
    assert raises(quorate.Snooze(0.001, "busy")) == Failure(SNOOZED, "busy", snooze=1.0)
    assert raises(quorate.Cancel("no such customer")) == Failure("CANCELLED", "no such customer")
    long = raises(quorate.Snooze(5, "x" * 1_000_000))
    assert isinstance(long, Failure)
    assert len(long.message) == MAX_MESSAGE


def test_a_subclass_that_lies_fails():
    class Odd(quorate.Snooze):
        def __init__(self) -> None:
            super().__init__(5)
            self.seconds = "soon"  # type: ignore[assignment]

    failure = raises(Odd())
    assert isinstance(failure, Failure)
    assert failure.snooze == 0.0


@pytest.mark.parametrize("text", ["nan busy", "-1 x", "inf", "soon", "", "0x10"])
def test_a_worker_that_lies_gets_no_endless_snooze(text: str):
    value = outcome_of_answer(("snooze", text), 1.0, 2.0).value
    assert isinstance(value, Failure)
    assert value.type == "WORKER_CRASHED" or value.snooze == LONGEST_SNOOZE


def test_a_snooze_longer_than_a_correct_one_is_malformed():
    (packet,) = packets_of(5, 1.0, 2.0, ("snooze", "1 " + "x" * 8_000))
    with pytest.raises(Malformed):
        Reader().read(packet)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 31 * 86_400])
def test_what_is_no_time_is_refused_where_it_is_made(seconds: float):
    with pytest.raises(ValueError, match="seconds"):
        quorate.Snooze(seconds)
    assert clean_snooze(math.nan) == 0.0


def test_they_can_be_pickled_and_the_caller_learns_the_reason():
    again = pickle.loads(pickle.dumps(quorate.Snooze(5, "busy")))
    assert (again.seconds, again.reason) == (5.0, "busy")
    task = task_pb2.Task(id="a", state=task_pb2.TASK_STATE_CANCELLED)
    task.error.type, task.error.message = "CANCELLED", "no such customer"
    error = error_of(task)
    assert isinstance(error, TaskCancelled)
    assert (error.reason, str(error)) == (
        "no such customer",
        "task a was cancelled: no such customer",
    )
