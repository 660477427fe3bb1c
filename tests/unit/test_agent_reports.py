"""Reports wait for each other only while the node has work for longer than a round trip."""

from __future__ import annotations

from node_agent.core.attempts import Attempt, Outcome, Ref, Result
from node_agent.core.credit import (
    AHEAD_SECONDS,
    LONG_SECONDS,
    LOW_SECONDS,
    MAX_AHEAD_PER_SLOT,
    ahead_per_slot,
)
from node_agent.core.effects import Effects
from node_agent.core.machine import Machine
from node_agent.core.outbox import Report
from node_agent.session.outgoing import Outgoing
from node_agent.task.work import Command
from quorate.runtime.ids import Epoch

OK = Outcome(Result("exit_code", 0), start=1000.0, seconds=0.001)


def program(name: str) -> Attempt:
    return Attempt(name, 1, Command(("true",), {}, "", b""), "$ true")


def finished(*names: str) -> Effects:
    return Effects(finished=[Report(name, 1, OK, OK.size) for name in names])


def ids(outgoing: Outgoing) -> list[str]:
    response = outgoing.next(1000.0)
    return [item.task_id for item in response.finished] if response else []


def test_a_node_with_little_work_left_is_not_ample():
    machine = Machine(2)
    machine.on_session_opened(Epoch(1))
    assert not machine.ample
    machine.durations.observe("$ true", 0.001)
    enough = 2 + int(2 * LOW_SECONDS / 0.001)
    machine.on_assigned([program(f"t{number}") for number in range(enough)], 1.0)
    assert machine.ample
    machine.on_cancelled([Ref("t5", 1)])
    assert not machine.ample


def test_reports_that_are_held_go_with_the_first_that_is_not():
    outgoing = Outgoing("i")
    outgoing.add(finished("a"), 1000.0, 1.0, hold=True)
    outgoing.add(finished("b"), 1000.0, 1.0, hold=True)
    assert ids(outgoing) == []
    outgoing.add(finished("c"), 1000.0, 1.0, hold=False)
    assert ids(outgoing) == ["a", "b", "c"]
    assert outgoing.next(1000.0) is None


def test_reports_that_are_held_go_when_flushed():
    outgoing = Outgoing("i")
    outgoing.flush()
    assert outgoing.next(1000.0) is None
    outgoing.add(finished("a"), 1000.0, 1.0, hold=True)
    outgoing.flush()
    assert ids(outgoing) == ["a"]


def test_what_is_handed_back_is_never_held():
    outgoing = Outgoing("i")
    outgoing.add(Effects(returned=[Ref("a", 1)]), 1000.0, 1.0, hold=True)
    response = outgoing.next(1000.0)
    assert response is not None
    assert [ref.task_id for ref in response.returned] == ["a"]


def test_the_work_asked_for_ahead_stays_while_it_is_about_right():
    ahead = ahead_per_slot(0.001)
    assert ahead == int(AHEAD_SECONDS / 0.001)
    assert ahead_per_slot(0.0013, ahead) == ahead
    assert ahead_per_slot(0.0007, ahead) == ahead
    assert ahead_per_slot(0.003, ahead) == int(AHEAD_SECONDS / 0.003)
    assert ahead_per_slot(1e-9, MAX_AHEAD_PER_SLOT - 1) == MAX_AHEAD_PER_SLOT
    assert ahead_per_slot(LONG_SECONDS * 1.01, ahead) == 0
