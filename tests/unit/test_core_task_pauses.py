"""PauseTask and ResumeTask in the core: what waits is held back, on record, and goes on."""

from __future__ import annotations

from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.placement.explain import Why, explain
from scheduler.core.values import Origin, TaskPause, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/PauseTask")


def ask(c: Cluster, task: str, *, paused: bool, reason: str = "") -> object:
    request = e.Request(origin=ALICE)
    return c.call(lambda t: e.TaskPauseAsked(task, paused, request, t, reason))  # type: ignore[arg-type]


def test_a_paused_task_does_not_start_and_goes_on_when_resumed():
    c = Cluster()
    task, other = c.submit(), c.submit()
    ask(c, task, paused=True, reason="wait for data")
    c.node("n")
    assert c.state_of(task) is TaskState.PAUSED
    assert c.state_of(other) is TaskState.RUNNING
    assert c.row(task).pause == TaskPause("operator:alice", "wait for data", c.now)
    reason = explain(c.state, c.row(task), c.now).reasons[0]
    assert reason.why is Why.TASK_PAUSED
    said = "waits until it is resumed: it has been paused by operator:alice since "
    assert reason.sentence.startswith(said)
    assert reason.sentence.endswith("(wait for data)")
    ask(c, task, paused=False)
    assert c.state_of(task) is TaskState.RUNNING


def test_a_scheduled_task_keeps_its_instant():
    c = Cluster()
    soon, late = (c.submit(spec(not_before=c.now + after)) for after in (5.0, 50.0))
    for task in (soon, late):
        ask(c, task, paused=True)
    c.advance(10.0)
    assert c.state_of(soon) is TaskState.PAUSED
    for task in (soon, late):
        ask(c, task, paused=False)
    assert [c.state_of(task) for task in (soon, late)] == [TaskState.PENDING, TaskState.SCHEDULED]


def test_a_paused_task_does_not_expire_and_does_when_it_is_resumed_too_late():
    c = Cluster()
    task = c.submit(spec(start_deadline=5.0))
    ask(c, task, paused=True)
    c.advance(10.0)
    assert c.state_of(task) is TaskState.PAUSED
    ask(c, task, paused=False)
    c.advance(0.0)
    assert c.state_of(task) is TaskState.EXPIRED


def test_a_new_leader_knows_who_paused_it():
    log = Log()
    c = Cluster(log=log)
    task = c.submit()
    ask(c, task, paused=True, reason="x")
    for state in (log.followed(), log.loaded().state):
        assert state.tasks[task].pause == c.row(task).pause
    c.lead(log.followed())
    ask(c, task, paused=False)
    assert c.row(task).pause is None
    assert log.followed().tasks[task].state is TaskState.PENDING


def test_it_is_cancelled_as_any_other():
    c = Cluster()
    task = c.submit()
    ask(c, task, paused=True)
    c.cancel(task)
    assert c.state_of(task) is TaskState.CANCELLED


def test_what_runs_or_ended_is_a_typed_error_and_a_repeat_is_none():
    c = Cluster()
    c.node("n", credit=1)
    runs, waits = c.submit(), c.submit()
    ask(c, waits, paused=True)
    assert not isinstance(ask(c, waits, paused=True), Rejection)
    c.cancel(waits)
    for task, reason in (
        (runs, "TASK_NOT_RUNNING"),
        (waits, "TASK_NOT_WAITING"),
        (c.new_id(), "TASK_NOT_FOUND"),
    ):
        rejection = ask(c, task, paused=True)
        assert isinstance(rejection, Rejection)
        assert rejection.reason == reason


def test_a_replica_is_left_to_its_service():
    c = Cluster()
    c.service("web", replicas=1)
    (replica,) = c.replicas("web")
    rejection = ask(c, replica, paused=True)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "TASK_IS_REPLICA"
