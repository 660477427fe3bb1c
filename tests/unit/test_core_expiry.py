"""Start deadlines in the core: what expires when, what has started, failover, retries by hand."""

from __future__ import annotations

from scheduler.core.handlers.tasks import expiry
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.values import BulkAct, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec, spec_update


def test_a_task_that_does_not_start_in_time_is_expired():
    c = Cluster()
    task = c.submit(spec(start_deadline=5.0))
    other = c.submit()
    c.advance(4.9)
    assert c.state_of(task) is TaskState.PENDING
    c.advance(0.1)
    assert c.state_of(task) is TaskState.EXPIRED
    assert c.state_of(other) is TaskState.PENDING
    assert c.finished == [task]
    (group,) = c.state.dead.groups()
    assert group.key.startswith("start_deadline\n")


def test_the_deadline_counts_from_not_before():
    c = Cluster()
    task = c.submit(spec(start_deadline=5.0, not_before=c.now + 10.0))
    c.advance(14.0)
    assert c.state_of(task) is TaskState.PENDING
    c.advance(1.0)
    assert c.state_of(task) is TaskState.EXPIRED


def test_what_runs_or_has_failed_before_does_not_expire():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(start_deadline=5.0, attempts=3, backoff=1.0))
    c.advance(10.0)
    assert c.state_of(task) is TaskState.RUNNING
    node.fail(task)
    node.credit(0)
    c.advance(10.0)
    assert c.state_of(task) is TaskState.PENDING


def test_an_attempt_that_was_returned_is_no_start():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(start_deadline=5.0))
    c.advance(3.0)
    number = node.number(task)
    c.step(e.CreditReported(node.name, node.instance, 0))
    c.step(e.AttemptReturned(node.instance, task, number))
    assert c.state_of(task) is TaskState.PENDING
    c.advance(2.0)
    assert c.state_of(task) is TaskState.EXPIRED


def test_the_record_says_why():
    c = Cluster()
    task = c.submit(spec(start_deadline=5.0))
    c.now += 5.0
    out = c.machine.step(e.StartDeadlinePassed(task), c.now)
    (put,) = (write for write in out.writes if isinstance(write, fx.PutRun))
    assert (put.row.state, put.finish_time) == (TaskState.EXPIRED, c.now)
    assert put.error_type == "START_DEADLINE"


def test_a_new_leader_finds_the_instants_in_its_state():
    log = Log()
    c = Cluster(log=log)
    node = c.node("n", credit=1)
    fresh = c.submit(spec(start_deadline=20.0))
    assigned = c.submit(spec(start_deadline=8.0))
    c.step(e.AttemptReturned(node.instance, fresh, node.number(fresh)))
    for how in (log.followed, lambda: log.loaded().state):
        state = how()
        assert state.tasks[fresh].expire_at == c.now + 20.0
        assert state.tasks[assigned].expire_at == c.now + 8.0
    node.credit(0)
    c.lead(log.followed())
    c.advance(9.0)
    assert c.state_of(assigned) is TaskState.EXPIRED


def test_a_retry_by_hand_counts_anew_and_from_its_turn_at_a_rate():
    c = Cluster()
    tasks = [c.submit(spec(start_deadline=5.0)) for _ in range(2)]
    c.advance(5.0)
    answer = c.call(
        lambda t: e.BulkAsked(tasks, frozenset(), e.Request(), t, act=BulkAct.RETRY, rate=0.1)
    )
    assert isinstance(answer, BulkDone)
    assert answer.counts[0] == 2
    assert [c.row(task).expire_at - c.now for task in tasks] == [5.0, 15.0]
    c.advance(5.0)
    assert [c.state_of(task) for task in tasks] == [TaskState.EXPIRED, TaskState.SCHEDULED]
    c.advance(10.0)
    assert c.state_of(tasks[1]) is TaskState.EXPIRED


def test_an_update_sets_the_deadline_anew_or_takes_it_away():
    c = Cluster()
    one, two = c.submit(spec(start_deadline=5.0)), c.submit(spec(start_deadline=5.0))
    c.advance(3.0)
    for task, value in ((one, 10.0), (two, 0.0)):
        update = spec_update(start_deadline=value)
        c.call(
            lambda t, task=task, update=update: e.BulkAsked(
                [task], frozenset(), e.Request(), t, act=BulkAct.UPDATE, update=update
            )
        )
    c.advance(9.0)
    assert c.state_of(one) is TaskState.PENDING
    c.advance(1.0)
    assert [c.state_of(task) for task in (one, two)] == [TaskState.EXPIRED, TaskState.PENDING]


def test_thousands_that_expire_at_once_take_several_steps_of_one_txn_each():
    c = Cluster(checked=False)
    for _ in range(1_200):
        c.submit(spec(start_deadline=5.0))
    c.now += 5.0
    steps = 0
    while expiry.expiries_due(c.state, c.now):
        out = c.step(e.ExpiriesDue())
        assert not out.writes
        assert len(out.then) <= 500
        steps += 1
    assert steps == 3
    assert len(c.state.finished) == 1_200


def test_entries_of_tasks_that_left_are_cleared_away():
    c = Cluster(checked=False)
    for _ in range(3_000):
        c.cancel(c.submit(spec(start_deadline=1_000.0)))
    assert c.state.deadlines.waiting == 0
    assert c.state.deadlines.next() is None
