"""Pauses of queues in the core: what stops, who and why, ends, standbys, older records."""

from __future__ import annotations

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import QueueName
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.values import Origin, PauseScope, QueuePause, TaskState
from scheduler.storage import records
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

DEFAULT = QueueName("default")
ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/PauseQueue")


def pause(c: Cluster, pause: QueuePause, *, paused: bool = True) -> None:
    request = e.Request(origin=ALICE)
    c.call(lambda token: e.QueuePauseAsked(DEFAULT, paused, request, token, pause))


def submitted(c: Cluster) -> object:
    task = c.new_id()
    return c.call(lambda t: e.TaskSubmitted(DEFAULT, task, spec(), e.Request(), t))


def test_dispatch_stops_and_new_tasks_are_accepted():
    c = Cluster()
    pause(c, QueuePause(reason="deploy"))
    c.node("n")
    task = c.submit()
    assert c.state_of(task) is TaskState.PENDING
    row = c.state.queues[DEFAULT]
    assert row.pause == QueuePause(PauseScope.DISPATCH, "operator:alice", "deploy", c.now)
    pause(c, QueuePause(), paused=False)
    assert not row.paused
    assert c.state_of(task) is TaskState.RUNNING


def test_admission_stops_and_what_is_there_goes_on():
    c = Cluster()
    task = c.submit()
    pause(c, QueuePause(PauseScope.ADMISSION, reason="full"))
    rejection = submitted(c)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "QUEUE_PAUSED"
    assert "operator:alice (full)" in rejection.message
    c.node("n")
    assert c.state_of(task) is TaskState.RUNNING


def test_both_stop():
    c = Cluster()
    task = c.submit()
    pause(c, QueuePause(PauseScope.BOTH))
    c.node("n")
    assert isinstance(submitted(c), Rejection)
    assert c.state_of(task) is TaskState.PENDING


def test_a_pause_with_an_end_is_over_by_itself_also_under_a_new_leader():
    log = Log()
    c = Cluster(log=log)
    pause(c, QueuePause(until=c.now + 10.0))
    task = c.submit()
    c.advance(9.0)
    assert c.state.next_pause_end() == c.now + 1.0
    c.lead(log.followed())
    c.node("n")
    assert c.state_of(task) is TaskState.PENDING
    c.advance(1.0)
    assert c.state.queues[DEFAULT].pause is None
    assert c.state_of(task) is TaskState.RUNNING
    assert log.followed().queues[DEFAULT].paused is False
    assert log.loaded().state.next_pause_end() is None


def test_the_same_pause_again_writes_nothing_and_another_one_replaces_it():
    c = Cluster()
    pause(c, QueuePause(reason="a"))
    for what, writes in (("a", 0), ("b", 1)):
        asked = e.QueuePauseAsked(DEFAULT, True, e.Request(), c.token(), QueuePause(reason=what))
        out = c.step(asked)
        assert sum(isinstance(write, fx.PutQueue) for write in out.writes) == writes


def test_thousands_of_ends_at_once_take_several_steps():
    c = Cluster(checked=False)
    until = QueuePause(until=c.now + 1.0)
    for number in range(40):
        name = c.queue(f"q{number}")
        c.step(e.QueuePauseAsked(name, True, e.Request(), c.token(), until))
    c.now += 1.0
    out = c.step(e.TimersDue())
    assert len(out.writes) == 16
    c.advance(0.0)
    assert not any(queue.paused for queue in c.state.queues.values())


def test_records_of_an_earlier_version_are_paused_and_resumed():
    paused = r.QueueRecord(name="q", paused=True)
    assert records.queue_row(paused.SerializeToString()).pause == QueuePause()
    resumed = r.QueueRecord(name="q", paused=False, pause=r.QueuePauseRecord(scope=1, by="x"))  # type: ignore[arg-type]
    assert records.queue_row(resumed.SerializeToString()).pause is None
