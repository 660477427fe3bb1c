"""UpdateTask and UpdateTasks in the core: order, instants, records, standbys, what is spared."""

from __future__ import annotations

import pytest

from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.values import BulkAct, Origin, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec, spec_update
from tests.support.core_updates import update

ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/UpdateTasks")


def order(c: Cluster) -> list:
    """Which tasks a node with a slot gets, one after the other."""
    node = c.node("order", credit=1)
    got = []
    while node.has:
        task = next(iter(node.has))
        got.append(task)
        node.succeed(task)
    return got


def test_a_higher_priority_goes_first():
    c = Cluster()
    one, two, three = c.submit(), c.submit(), c.submit()
    assert update(c, [three], priority=5) == (1, 0, 0, 0, 0)
    assert update(c, [one], priority=-5) == (1, 0, 0, 0, 0)
    assert order(c) == [three, two, one]


def test_a_task_from_the_middle_of_a_lane_is_there_once():
    c = Cluster()
    tasks = [c.submit() for _ in range(5)]
    update(c, [tasks[2]], labels={"a": "b"})
    update(c, [tasks[2]], priority=0)
    assert order(c) == tasks


def test_not_before_moves_a_task_there_and_back():
    c = Cluster()
    task = c.submit()
    update(c, [task], not_before=c.now + 10)
    assert c.state_of(task) is TaskState.SCHEDULED
    c.advance(5)
    assert c.state_of(task) is TaskState.SCHEDULED
    update(c, [task], not_before=c.now + 20)
    c.advance(10)
    assert c.state_of(task) is TaskState.SCHEDULED
    update(c, [task], not_before=0.0)
    assert c.state_of(task) is TaskState.PENDING
    update(c, [task], not_before=c.now + 1)
    c.advance(1)
    assert c.state_of(task) is TaskState.PENDING


def test_a_backoff_can_be_cut_short_and_past_attempts_stay():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=3, backoff=100.0, max_backoff=100.0))
    node.fail(task)
    node.credit(0)
    update(c, [task], not_before=c.now)
    assert c.state_of(task) is TaskState.PENDING
    assert (c.row(task).failures, len(c.row(task).past), c.row(task).attempt) == (1, 1, 1)


def test_what_does_not_wait_is_left_alone():
    c = Cluster()
    node = c.node("n", credit=1)
    runs = c.submit()
    done, gone = c.submit(), c.new_id()
    c.cancel(done)
    assert update(c, [runs, done, gone], priority=9) == (0, 2, 0, 1, 0)
    assert c.row(runs).priority == 0
    assert node.has


def test_a_policy_that_is_spent_already_is_refused():
    c = Cluster()
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=5, backoff=100.0))
    node.fail(task)
    c.advance(1_000)
    node.fail(task)
    assert update(c, [task], attempts=2) == (0, 0, 1, 0, 0)
    assert update(c, [task], attempts=3) == (1, 0, 0, 0, 0)


def test_both_records_are_written_in_one_txn_and_no_task_is_counted_as_created():
    c = Cluster()
    task = c.submit()
    part = c.recorded.read_back(
        e.BulkContinued(
            e.BulkAsked(
                [task],
                frozenset(),
                e.Request(),
                c.token(),
                act=BulkAct.UPDATE,
                update=spec_update(priority=1),
            ),
            0,
            (0, 0, 0, 0, 0),
        ),
        Limits(),
    )
    out = c.machine.step(part, c.now)
    assert [type(write) for write in out.writes] == [fx.PutTask, fx.PutRun]
    assert [write.begins for write in out.writes if isinstance(write, fx.PutTask)] == [False]


@pytest.mark.parametrize("join", [1, 10])
def test_standbys_know_it_whether_they_follow_or_load(join):
    log = Log(join=join)
    c = Cluster(log=log)
    one, two, three = (c.submit(spec(priority=1)) for _ in range(3))
    update(c, [one], priority=-1)
    update(c, [two], not_before=c.now + 50, labels={"k": "v"})
    update(c, [three], priority=7)
    log.flush()
    for state in (log.followed(), log.loaded().state):
        found = {task: state.tasks[task] for task in (one, two, three)}
        assert [row.priority for row in found.values()] == [-1, 1, 7]
        assert found[two].not_before == c.now + 50
        assert "k=v" in found[two].text
    c.lead(log.followed())
    assert order(c) == [three, one]


def test_one_entry_of_the_audit_log_says_what_was_changed():
    c = Cluster(limits=Limits(part_tasks=1))
    tasks = [c.submit() for _ in range(3)]
    c.hold_parts = True
    c.step(
        e.BulkAsked(
            tasks,
            frozenset(),
            e.Request("u", b"d", ALICE),
            c.token(),
            act=BulkAct.UPDATE,
            update=spec_update(priority=1),
        )
    )
    entries = []
    while c.parts:
        out = c.step(c.parts.popleft())
        entries += [write for write in out.writes if isinstance(write, fx.PutAudit)]
    assert len(entries) == 1
