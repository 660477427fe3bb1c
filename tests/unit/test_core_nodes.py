"""Nodes: lost, replaced, in session again, cordoned, drained."""

from __future__ import annotations

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import NodeControlled, Rejection
from scheduler.core.model.rows import Control
from scheduler.core.values import TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import node_row, spec
from tests.support.tokens import Token


def test_tasks_of_a_lost_node_run_elsewhere():
    c = Cluster()
    one = c.node("n1", credit=2)
    tasks = [c.submit(), c.submit()]
    two = c.node("n2", credit=2)
    one.lose()
    assert [two.number(task) for task in tasks] == [2, 2]
    assert "n1" not in c.state.nodes
    assert one.instance not in c.state.allocations


def test_lease_is_revoked_only_after_the_loss_is_on_record():
    c = Cluster()
    n = c.node("n1")
    c.submit()
    c.placing = False
    c.commit_late = True
    n.lose()
    assert c.revoked == []
    c.commit()
    assert c.revoked == [("n1", n.instance)]


def test_late_result_of_a_lost_node_is_refused():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.lose()
    out = n.succeed(task, 1)
    assert out.writes == []
    assert n.acknowledged == [(task, 1)]
    assert c.state_of(task) is TaskState.PENDING


def test_loss_of_an_old_instance_leaves_its_successor_alone():
    c = Cluster()
    old = c.node("n1")
    task = c.submit()
    new = c.node("n1")
    assert new.number(task) == 2
    old.lose()
    assert c.state.nodes[NodeName("n1")].instance == new.instance
    assert c.state_of(task) is TaskState.RUNNING
    assert c.place_of(task) == "n1"


def test_agent_restarted_within_its_ttl_loses_what_the_old_process_ran():
    c = Cluster()
    old = c.node("n1")
    task = c.submit()
    old.start(task)
    new = c.node("n1")
    assert c.row(task).crashes == 1
    assert c.row(task).instance == new.instance
    assert new.number(task) == 2
    assert ("n1", old.instance) in c.revoked


def test_same_process_registered_again_keeps_its_session():
    c = Cluster()
    n = c.node("n1", credit=1)
    task = c.submit()
    n.register(slots=9)
    node = c.state.nodes[n.name]
    assert (node.connected, node.credit, node.slots) == (True, 1, 9)
    assert list(node.allocation.rows) == [task]


def test_process_that_registers_again_while_it_is_written_off_stays_bounded():
    # Its lease ended; it registers again before the last of its attempts is dealt with.
    c = Cluster()
    c.placing = False
    n = c.node("n1", credit=1)
    first = c.submit()
    c.place()
    out = c.machine.step(e.NodeLost(n.name, n.instance, "lease"), c.now)
    n.register()
    for event in out.then:
        c.step(event)
    assert c.state_of(first) is TaskState.PENDING
    # What it still runs of the given-away work is ended.
    assert n.ended == [(first, 1)]
    n.has.clear()
    n.open()
    n.credit(1)
    c.submit()
    c.place()
    c.place()
    assert len(n.started) == 2
    assert len(c.state.nodes[n.name].allocation.rows) == 1


def test_running_attempts_are_adopted_when_the_session_opens_again():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.start(task)
    n.close()
    n.started.clear()
    out = n.open()
    assert out.writes == []
    assert (n.started, n.ended) == ([], [])
    assert c.row(task).attempt == 1


def test_new_leader_adopts_with_the_start_time():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    task = c.submit()
    c.advance(1)
    n.start(task)
    c.lead(log.followed())
    assert c.row(task).start_time == 0.0
    n.register()
    n.open()
    assert c.row(task).start_time == c.now
    n.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_attempt_nobody_knows_is_ended():
    c = Cluster()
    n = c.node("n1")
    n.close()
    ghost = c.new_id()
    n.has[ghost] = (1, 5.0)
    n.open()
    assert n.ended == [(ghost, 1)]


def test_attempt_that_was_given_away_is_ended():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.lose()
    n.register()
    other = c.node("n2")
    assert other.number(task) == 2
    n.open()
    assert n.ended == [(task, 1)]


def test_attempt_its_instance_does_not_list_is_sent_to_that_same_instance_again():
    c = Cluster()
    n = c.node("n1")
    c.node("n2")
    task = c.submit()
    assert c.place_of(task) == "n1"
    n.close()
    n.has.clear()
    n.started.clear()
    out = n.open()
    assert out.writes == []
    assert n.started == [(task, 1)]
    assert c.place_of(task) == "n1"


def test_attempt_whose_result_waits_in_the_outbox_is_not_sent_again():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.close()
    n.has.clear()
    n.started.clear()
    n.open(finished=[(task, 1)])
    assert n.started == []
    n.succeed(task, 1)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_cancel_that_the_node_missed_is_sent_when_its_session_opens():
    c = Cluster()
    n = c.node("n1")
    listed, lost = c.submit(), c.submit()
    n.close()
    c.cancel(listed)
    c.cancel(lost)
    del n.has[lost]
    n.started.clear()
    n.ended.clear()
    n.open()
    assert n.started == [(lost, 1)]
    assert sorted(n.ended) == sorted([(listed, 1), (lost, 1)])


def test_node_without_a_session_gets_nothing_even_with_credit():
    c = Cluster()
    n = c.node("n1")
    n.close()
    n.credit(5)
    task = c.submit()
    assert n.started == []
    n.open()
    n.credit(1)
    assert n.started == [(task, 1)]


def test_messages_of_an_instance_that_was_replaced_are_ignored():
    c = Cluster()
    old = c.node("n1", credit=1)
    new = c.node("n1", credit=1)
    old.credit(50)
    old.stats(cpu=0.9)
    old.close()
    assert old.open().after == []
    node = c.state.nodes[NodeName("n1")]
    assert (node.instance, node.credit, node.connected) == (new.instance, 1, True)
    assert node.stats.cpu == 0.0


def test_new_leader_trusts_no_credit_of_the_last_one():
    c = Cluster()
    n = c.node("n1")
    c.lead(c.state)
    c.submit()
    assert n.started == []
    node = c.state.nodes[n.name]
    assert (node.connected, node.credit) == (False, 0)


def test_allocations_of_processes_long_gone_are_dropped_when_elected():
    c = Cluster()
    c.state.allocation(InstanceId("gone"))
    c.lead(c.state)
    assert c.state.allocations == {}


def test_lost_node_that_nobody_knows_changes_nothing_but_is_written_off():
    c = Cluster()
    out = c.step(e.NodeLost(NodeName("n9"), InstanceId("x"), "why"))
    assert out.writes == []
    assert c.revoked == [("n9", "x")]


# -- cordon and drain


def test_cordoned_node_keeps_its_tasks_and_gets_no_new_ones():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    assert c.control("n1", Control(cordoned=True)) == NodeControlled(NodeName("n1"))
    waiting = c.submit()
    assert c.state_of(task) is TaskState.RUNNING
    assert c.state_of(waiting) is TaskState.PENDING
    assert n.drains == []
    c.control("n1", Control())
    assert c.state_of(waiting) is TaskState.RUNNING


def test_drained_node_is_told_and_gives_back_what_it_has():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    c.control("n1", Control(draining=True, drain_grace=5.0))
    assert n.drains == [True]
    n.give_back(task)
    assert c.state_of(task) is TaskState.PENDING
    other = c.node("n2")
    assert other.number(task) == 2


def test_control_survives_the_nodes_process_and_the_leader():
    log = Log()
    c = Cluster(log=log)
    c.node("n1")
    c.control("n1", Control(draining=True, drain_grace=5.0))
    c.lead(log.loaded().state)
    n = c.node("n1")
    assert n.drains == [True]
    c.submit()
    assert n.started == []


def test_node_that_missed_the_end_of_its_drain_is_told_when_its_session_opens():
    c = Cluster()
    n = c.node("n1")
    c.control("n1", Control(draining=True))
    n.close()
    c.control("n1", Control())
    n.drains.clear()
    n.open()
    assert n.drains == [False]


def test_unchanged_control_writes_nothing():
    c = Cluster()
    c.node("n1")
    c.control("n1", Control(cordoned=True))
    out = c.step(
        e.NodeControlAsked(NodeName("n1"), Control(cordoned=True), e.Request(), Token("again"))
    )
    assert out.writes == []


def test_unknown_node_is_not_controlled():
    c = Cluster()
    answer = c.control("n9", Control(cordoned=True))
    assert isinstance(answer, Rejection)
    assert answer.reason == "NODE_NOT_FOUND"
    assert c.state.controls == {}


def test_losing_a_node_makes_one_event_for_each_attempt():
    c = Cluster()
    n = c.node("n1", credit=3)
    tasks = [c.submit(spec()) for _ in range(3)]
    c.placing = False
    out = c.step(e.NodeLost(n.name, n.instance, "why"))
    assert [type(event) for event in out.then] == [e.AttemptLost] * 3 + [e.NodeWrittenOff]
    assert all(c.state_of(task) is TaskState.PENDING for task in tasks)
    assert out.writes == [fx.PutLostNode(c.state.lost[n.name])]


def test_registering_again_is_no_loss():
    c = Cluster()
    n = c.node("n1")
    out = c.step(e.NodeRegistered(node_row("n1", n.instance)))
    assert out == fx.Effects()
