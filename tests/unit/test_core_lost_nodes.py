"""Nodes that were lost: remembered over failovers, until they are back or dismissed."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import InstanceId, NodeName
from quorate.security.identity import Caller, How, Role
from quorate.v1 import node_pb2
from scheduler.api.nodes import views
from scheduler.core.handlers.nodes import lost
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import Done, Rejection
from scheduler.core.model.rows import Control
from scheduler.core.model.state import State
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import START, node_row


def ended(c: Cluster, node: FakeNode) -> None:
    """Its lease is gone, and nothing else is known."""
    assert c.log is not None
    c.log.lease_ended(node.name, node.instance)
    c.step(e.NodeLeaseEnded(node.name, node.instance))


def dismiss(c: Cluster, name: str, request: e.Request = e.Request()) -> object:  # noqa: B008
    return c.call(lambda token: e.NodeDismissAsked(NodeName(name), request, token))


def names(state: State) -> list[str]:
    return sorted(state.lost)


def test_a_lost_node_is_remembered_with_what_it_ran():
    c = Cluster()
    n = c.node("n1", credit=2)
    tasks = [c.submit(), c.submit()]
    out = c.step(e.NodeLost(n.name, n.instance, "why"))
    row = c.state.lost[n.name]
    assert (row.instance, row.since, row.attempts) == (n.instance, START, 2)
    assert [(one.id, one.attempt) for one in row.some] == [(task, 1) for task in tasks]
    assert fx.PutLostNode(row) in out.writes
    # Logged once it is on record.
    assert fx.ReportLostNode(row) in out.after
    shown = views.lost_node(row, c.state.control(n.name), None)
    assert shown.state == node_pb2.NODE_STATE_LOST
    assert (shown.loss.why, shown.loss.attempts) == (row.why, 2)
    assert [one.task for one in shown.loss.some_attempts] == tasks


def test_attempts_of_queues_that_a_caller_is_not_bound_to_are_counted_not_named():
    c = Cluster()
    n = c.node("n1", credit=2)
    c.submit()
    n.lose()
    row = c.state.lost[n.name]
    for patterns, named in ((("other-*",), 0), (("defa*",), 1)):
        caller = Caller("somebody", Role.SUBMITTER, How.TOKEN, patterns)
        loss = views.lost_node(row, c.state.control(n.name), caller).loss
        assert (loss.attempts, len(loss.some_attempts)) == (1, named)


def test_only_some_of_many_attempts_are_named():
    c = Cluster()
    n = c.node("n1", credit=30)
    for _ in range(30):
        c.submit()
    n.lose()
    row = c.state.lost[n.name]
    assert (row.attempts, len(row.some)) == (30, 20)


def test_an_idle_node_whose_lease_ran_out_is_lost():
    c = Cluster(log=Log())
    n = c.node("n1", announces_end=True)
    ended(c, n)
    assert c.state.lost[n.name].why == "its lease ended"


@pytest.mark.parametrize("how", ["ending", "drained", "scaled down", "older agent"])
def test_a_node_that_left_in_good_order_is_not_lost(how: str):
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", announces_end=how != "older agent")
    if how == "ending":
        n.register(announces_end=True, ending=True)
    elif how == "drained":
        c.control("n1", Control(cordoned=True, draining=True))
    elif how == "scaled down":
        c.step(e.ScaleDownDecided([(n.name, n.instance)], ()))
    ended(c, n)
    assert not c.state.lost
    standby = log.followed()
    assert not standby.lost
    # And the next leader does not take it for lost either.
    c.lead(standby)
    assert (names(c.state), list(c.state.nodes)) == ([], [])


def test_a_node_that_drains_and_dies_with_work_is_lost():
    c = Cluster()
    n = c.node("n1")
    c.submit()
    c.control("n1", Control(cordoned=True, draining=True))
    n.lose()
    assert names(c.state) == ["n1"]


def test_a_node_that_registers_again_is_forgotten():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    c.submit()
    n.lose()
    log.lease_ended(n.name, n.instance)
    c.node("n1", instance="another")
    assert not c.state.lost
    log.flush()
    assert not [key for key in log.kept if key.startswith(b"lost/")]


def test_the_next_leader_lists_the_same():
    log = Log()
    c = Cluster(log=log)
    nodes = [c.node(f"n{number}") for number in range(3)]
    for _ in range(3):
        c.submit()
    for n in nodes[:2]:
        n.lose()
        log.lease_ended(n.name, n.instance)
    before = dict(c.state.lost)
    assert log.loaded().state.lost == before
    c.lead(log.followed())
    assert c.state.lost == before


def test_a_loss_while_nobody_led_is_put_on_record_by_the_next_leader():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", announces_end=True)
    log.lease_ended(n.name, n.instance)
    c.lead(log.followed())
    assert not c.state.nodes
    assert "while no scheduler led" in c.state.lost[n.name].why


def test_who_came_back_while_nobody_led_is_forgotten_by_the_next_leader():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    c.submit()
    n.lose()
    log.lease_ended(n.name, n.instance)
    assert names(c.state) == ["n1"]
    log.registered(node_row("n1", "another"))
    c.lead(log.followed())
    assert (names(c.state), list(c.state.nodes)) == ([], ["n1"])


def test_a_scaled_down_process_whose_link_broke_first_is_no_loss_to_the_next_leader():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", announces_end=True)
    c.step(e.ScaleDownDecided([(n.name, n.instance)], ()))
    # The mark goes in the step of the end, the node's own key when its lease has been revoked.
    c.step(e.NodeLost(n.name, n.instance, "its agent does not answer"))
    log.flush()
    log.lease_ended(n.name, n.instance)
    c.lead(log.followed())
    assert (names(c.state), list(c.state.nodes)) == ([], [])


def test_a_loss_that_was_dismissed_before_its_lease_ended_does_not_come_back():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", announces_end=True)
    n.lose()
    assert dismiss(c, "n1") == Done()
    log.flush()
    log.lease_ended(n.name, n.instance)
    c.lead(log.followed())
    assert (names(c.state), list(c.state.nodes)) == ([], [])


def test_the_oldest_is_forgotten_beyond_the_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lost, "MOST", 2)
    c = Cluster()
    for number in (3, 1, 2):
        n = c.node(f"n{number}")
        c.submit()
        c.placing = False
        n.lose()
        c.placing = True
        c.advance(1.0)
    assert names(c.state) == ["n1", "n2"]


def test_a_reason_is_cut():
    c = Cluster()
    n = c.node("n1")
    c.submit()
    c.step(e.NodeLost(n.name, n.instance, "x" * 10_000))
    assert len(c.state.lost[n.name].why) == 500


def test_a_lost_node_is_dismissed_once_and_its_cordon_stays():
    c = Cluster()
    n = c.node("n1")
    c.submit()
    n.lose()
    c.control("n1", Control(cordoned=True))
    request = e.Request("again", b"digest")
    assert dismiss(c, "n1", request) == Done()
    assert dismiss(c, "n1", request) == Done()
    assert (names(c.state), c.state.control(NodeName("n1")).cordoned) == ([], True)


def test_only_a_lost_node_can_be_dismissed():
    c = Cluster()
    c.node("n1")
    for name, reason in (("n1", "NODE_NOT_LOST"), ("gone", "NODE_NOT_FOUND")):
        answer = dismiss(c, name)
        assert isinstance(answer, Rejection)
        assert answer.reason == reason
        assert name in answer.message


def test_an_old_process_that_is_gone_for_good_is_no_lost_node():
    c = Cluster()
    n = c.node("n1")
    c.step(e.NodeLost(n.name, InstanceId("former"), "another process answers at its address"))
    assert not c.state.lost
