"""A lease that ended is no loss: who runs something is waited for, and adopted or given up."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import InstanceId, TaskId
from scheduler.core.model import events as e
from scheduler.core.model.invariants import check
from scheduler.core.model.state import State
from scheduler.core.values import TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import node_row


def lease_ends(c: Cluster, n: FakeNode) -> None:
    if c.log is not None:
        c.log.lease_ended(n.name, n.instance)
    c.step(e.NodeLeaseEnded(n.name, n.instance))


def running(log: Log | None = None) -> tuple[Cluster, FakeNode, TaskId]:
    c = Cluster(log=log)
    n = c.node("n1")
    task = c.submit()
    n.start(task)
    return c, n, task


def test_a_node_that_runs_something_is_suspect_when_its_lease_ends_and_its_reports_count():
    c, n, task = running()
    lease_ends(c, n)
    assert c.state_of(task) is TaskState.RUNNING
    assert c.row(task).crashes == 0
    assert n.ended == []
    n.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_a_suspect_gets_no_new_work_until_it_has_registered_again():
    c, n, task = running()
    lease_ends(c, n)
    waiting = c.submit()
    assert c.state_of(waiting) is TaskState.PENDING
    n.register()
    c.place()
    assert c.place_of(waiting) == "n1"
    assert c.row(task).attempt == 1
    assert c.state.nodes[n.name].connected


def test_a_suspect_that_is_gone_is_lost_and_that_counts():
    c, n, task = running()
    lease_ends(c, n)
    c.step(e.NodeLost(n.name, n.instance, "its process is gone"))
    assert c.state_of(task) is TaskState.PENDING
    assert c.row(task).crashes == 1
    assert c.state.nodes == {}
    check(c.state)


def test_another_process_in_a_suspects_place_is_a_loss():
    c, n, task = running()
    lease_ends(c, n)
    c.node("n1")
    assert c.row(task).crashes == 1


def test_a_node_without_work_is_not_waited_for():
    c = Cluster()
    n = c.node("n1")
    lease_ends(c, n)
    assert c.state.nodes == {}
    assert c.state.allocations == {}


def test_three_sleeps_of_etcd_are_no_crash():
    c, n, task = running()
    for _ in range(3):
        lease_ends(c, n)
        n.register()
    assert (c.state_of(task), c.row(task).crashes) == (TaskState.RUNNING, 0)


def test_a_late_word_of_a_lease_of_the_process_before_changes_nothing():
    c, n, _ = running()
    c.step(e.NodeLeaseEnded(n.name, InstanceId("before")))
    assert c.state.nodes[n.name].suspect_since == 0.0


# -- by way of another leader: its own lease ended with theirs


def elected(log: Log, how: str) -> State:
    return log.followed() if how == "followed" else log.loaded().state


@pytest.mark.parametrize("how", ["followed", "loaded"])
def test_the_next_leader_adopts_what_runs_on_nodes_that_register_again(how: str):
    log = Log()
    c, n, task = running(log)
    log.lease_ended(n.name, n.instance)
    c.lead(elected(log, how))
    check(c.state)
    assert c.state_of(task) is TaskState.RUNNING
    # Followed, it knows where to ask for the process; loaded, it waits for it to register.
    assert c.state.nodes[n.name].suspect_since > 0.0
    n.register()
    n.open()
    n.credit(4)
    n.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED
    assert c.state.finished[task].attempt == 1


@pytest.mark.parametrize("how", ["followed", "loaded"])
def test_the_next_leader_gives_up_what_ran_on_a_process_that_is_gone(how: str):
    log = Log()
    c, n, task = running(log)
    log.lease_ended(n.name, n.instance)
    c.lead(elected(log, how))
    c.step(e.NodeLost(n.name, n.instance, "its process is gone"))
    assert c.state_of(task) is TaskState.PENDING
    assert c.state.allocations == {}
    assert c.state.nodes == {}
    check(c.state)


def test_the_next_leader_gives_up_at_once_what_ran_before_another_process_took_the_name():
    log = Log()
    c, n, task = running(log)
    log.lease_ended(n.name, n.instance)
    log.registered(node_row(n.name, InstanceId("other")))
    c.lead(log.loaded().state)
    assert c.state_of(task) is TaskState.PENDING
    assert list(c.state.allocations) == [c.state.nodes[n.name].instance]


def test_a_standby_forgets_a_suspect_once_it_holds_nothing():
    log = Log()
    c, n, task = running(log)
    lease_ends(c, n)
    n.succeed(task)
    state = log.followed()
    assert state.nodes == {}
    assert state.allocations == {}
