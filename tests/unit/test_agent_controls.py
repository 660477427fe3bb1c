"""Signals and suspensions in the agent's core: whom they reach, and what stands still meanwhile."""

from __future__ import annotations

import pytest

from node_agent.core.attempts import Attempt, Reason, Ref
from node_agent.core.chunks.chunk import Chunk
from node_agent.core.effects import Effects
from quorate.runtime.ranges import Ranges
from tests.support.agent_machine import OK, Node, call, command


def suspend(node: Node, *orders: tuple[str, bool], number: int = 1) -> list[tuple[str, str]]:
    given = [(Ref(task, number), suspended) for task, suspended in orders]
    node.machine.on_suspended(given, node.now)
    return sent(node.settle())


def signal(node: Node, task: str, name: str, number: int = 1) -> list[tuple[str, str]]:
    node.machine.on_signalled([(Ref(task, number), name)])
    return sent(node.settle())


def sent(effects: Effects) -> list[tuple[str, str]]:
    return [(attempt.task_id, name) for attempt, name in effects.signal]


def began(node: Node, attempt: Attempt) -> Effects:
    node.machine.on_began(attempt, node.now)
    return node.settle()


def running(node: Node, attempt: Attempt) -> Attempt:
    node.assign(attempt)
    began(node, attempt)
    return attempt


def test_a_program_that_runs_gets_signals():
    node = Node(slots=1)
    running(node, command("t"))
    assert signal(node, "t", "USR1") == [("t", "USR1")]
    assert signal(node, "t", "USR1", number=2) == [], "of another attempt"
    assert signal(node, "unknown", "USR1") == []
    # To stop and to go on are orders of their own.
    assert signal(node, "t", "STOP") == signal(node, "t", "") == []


@pytest.mark.parametrize(
    "attempt",
    [
        call("t"),
        command("t", chunk=Chunk("job", Ranges.of([(0, 9)]), ())),
    ],
    ids=["call", "chunk"],
)
def test_what_is_no_program_takes_no_orders(attempt: Attempt):
    node = Node(slots=1)
    running(node, attempt)
    assert signal(node, "t", "USR1") == []
    assert suspend(node, ("t", True)) == []
    assert not attempt.suspended


def test_repeating_a_suspension_changes_nothing():
    node = Node(slots=1)
    running(node, command("t"))
    assert suspend(node, ("t", False)) == []
    assert suspend(node, ("t", True), ("t", True)) == [("t", "STOP")]
    assert suspend(node, ("t", True)) == []
    assert suspend(node, ("t", False)) == [("t", "CONT")]


def test_the_timeout_stands_still_while_a_program_does():
    node = Node(slots=1)
    attempt = running(node, command("t", timeout=10.0))
    node.tick(6.0)
    suspend(node, ("t", True))
    for _ in range(100):
        assert node.tick(100.0).kill == []
    suspend(node, ("t", False))
    assert node.tick(3.0).kill == []
    suspend(node, ("t", True))
    node.tick(50.0)
    suspend(node, ("t", False))
    assert node.tick(2.0).kill == [attempt]
    assert attempt.killed is Reason.TIMEOUT


def test_one_that_has_not_begun_is_stopped_when_it_does():
    node = Node(slots=1)
    attempt = command("t", timeout=1.0)
    node.assign(attempt)
    assert suspend(node, ("t", True)) == []
    assert sent(began(node, attempt)) == [("t", "STOP")]
    assert node.tick(100.0).kill == []


def test_one_that_is_being_ended_takes_no_orders():
    node = Node(slots=1)
    attempt = running(node, command("t"))
    suspend(node, ("t", True))
    assert node.cancel(("t", 1)).kill == [attempt]
    assert suspend(node, ("t", False)) == []
    assert signal(node, "t", "USR1") == []
    report = node.exit(attempt).finished[0]
    assert report.outcome.value.type == "CANCELLED"  # type: ignore[union-attr]


def test_a_program_that_stood_still_says_nothing_about_the_next_one():
    node = Node(slots=1)
    attempt = running(node, command("t"))
    suspend(node, ("t", True), ("t", False))
    node.exit(attempt, OK)
    assert node.machine.durations.expected(attempt.profile) is None
