"""The agent's decisions about its sessions, its drain and its lease."""

from __future__ import annotations

import pytest

from node_agent.core.attempts import Failure, Outcome, Reason, Ref
from node_agent.core.epochs import StaleEpoch
from quorate.runtime.ids import Epoch
from tests.support.agent_machine import OK, Node, call, command

# -- sessions ----------------------------------------------------------------------------------


def test_a_lower_epoch_is_refused_and_an_equal_or_higher_one_is_not():
    node = Node()
    node.machine.on_session_opened(Epoch(5))
    node.machine.on_session_opened(Epoch(5))
    with pytest.raises(StaleEpoch):
        node.machine.on_session_opened(Epoch(4))
    node.machine.on_session_opened(Epoch(6))


def test_outcomes_are_sent_in_every_session_until_acknowledged():
    node = Node()
    attempt = command("a")
    node.assign(attempt)
    node.machine.on_session_closed()
    assert node.exit(attempt).finished == []
    for epoch in (2, 3):
        inventory = node.machine.on_session_opened(Epoch(epoch))
        assert inventory.finished == (Ref("a", 1),)
        assert [report.task_id for report in node.settle().finished] == ["a"]
    node.machine.on_acknowledged([Ref("a", 1)])
    assert node.machine.on_session_opened(Epoch(4)).finished == ()
    assert node.settle().finished == []


def test_the_inventory_tells_running_waiting_and_finished_apart():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    a, b, c, d = call("a"), call("b"), call("c"), command("d")
    node.assign(a, b, c, d)
    node.exit(a)
    inventory = node.machine.on_session_opened(Epoch(2))
    assert [(attempt.task_id, since) for attempt, since in inventory.running] == [("b", node.now)]
    assert inventory.waiting == (Ref("c", 1), Ref("d", 1))
    assert inventory.finished == (Ref("a", 1),)


def test_credit_is_told_again_to_a_new_session():
    node = Node()
    node.machine.on_session_opened(Epoch(2))
    assert node.settle().credit == 2


# -- drain -------------------------------------------------------------------------------------


def test_a_drain_hands_back_what_waits_and_lets_the_rest_finish():
    node = Node(slots=1)
    a, b = command("a"), command("b")
    node.assign(a, b)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    effects = node.settle()
    assert effects.returned == [Ref("b", 1)]
    assert effects.credit == 0
    assert not node.tick(9.0).kill
    (report,) = node.exit(a).finished
    assert report.outcome is OK


def test_past_the_grace_of_a_drain_attempts_are_killed_and_handed_back():
    node = Node()
    a = command("a")
    node.assign(a)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert node.tick(10.1).kill == [a]
    (report,) = node.exit(a, Outcome(Failure("SIGNAL", ""), 1.0, 1.0)).finished
    assert report.outcome.value is None


def test_a_drain_that_a_later_leader_repeats_ends_when_it_would_have_ended():
    node = Node()
    a = command("a")
    node.assign(a)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert not node.tick(9.0).kill
    node.machine.on_session_opened(Epoch(2))
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert node.tick(1.1).kill == [a]


def test_a_drain_with_another_grace_counts_from_then_on():
    node = Node()
    a = command("a")
    node.assign(a)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    node.tick(9.0)
    node.machine.on_drain_ordered(True, 20.0, node.now)
    assert not node.tick(19.0).kill
    assert node.tick(1.1).kill == [a]


def test_a_drain_after_one_that_was_ended_has_all_its_grace():
    node = Node()
    a = command("a")
    node.assign(a)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    node.tick(9.0)
    node.machine.on_drain_ordered(False, 0.0, node.now)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert not node.tick(9.0).kill


def test_a_success_that_beats_the_kill_of_a_drain_counts():
    node = Node()
    a = command("a")
    node.assign(a)
    node.machine.on_drain_ordered(True, 0.0, node.now)
    node.tick(0.1)
    (report,) = node.exit(a).finished
    assert report.outcome is OK


def test_a_draining_node_returns_what_it_is_given():
    node = Node()
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert node.assign(command("a")).returned == [Ref("a", 1)]
    assert node.machine.held == 0


def test_the_leader_can_end_its_drain_but_not_that_of_a_leaving_process():
    node = Node()
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert node.settle().credit == 0
    node.machine.on_drain_ordered(False, 0.0, node.now)
    assert node.settle().credit == 2
    node.machine.on_drain_ordered(True, 10.0, node.now, shutting_down=True)
    node.machine.on_drain_ordered(False, 0.0, node.now)
    assert node.machine.draining


def test_a_drain_takes_back_what_is_queued_at_workers():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    a, b = call("a"), call("b")
    node.assign(a, b)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    assert node.settle().recall == [0]
    assert node.recalled(0, b).returned == [Ref("b", 1)]


# -- the lease ---------------------------------------------------------------------------------


def test_silence_ends_only_attempts_whose_queue_asks_for_it():
    node = Node()
    keep, stop = command("keep"), command("stop", stop_on_disconnect=True)
    node.assign(keep, stop)
    node.machine.on_lease_confirmed(node.now + 3.0)
    assert not node.tick(2.9).kill
    assert node.tick(0.2).kill == [stop]
    (report,) = node.exit(stop, Outcome(Failure("SIGNAL", ""), 1.0, 1.0)).finished
    assert report.outcome.value is None


def test_the_reason_of_a_kill_is_the_first_one():
    node = Node()
    a = command("a", timeout=1.0)
    node.assign(a)
    node.cancel(("a", 1))
    assert not node.tick(2.0).kill
    assert a.killed is Reason.CANCELLED
