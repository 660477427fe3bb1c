"""The agent's decisions about single attempts: duplicates, cancels, newer ones, timeouts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node_agent.core.attempts import BEGIN_SECONDS, Attempt, Failure, Outcome, Ref, Result
from tests.support.agent_machine import Node, call, command

# -- duplicates, cancels, newer attempts --------------------------------------------------------


def test_an_assignment_of_a_known_attempt_is_ignored():
    node = Node(slots=1)
    node.assign(command("a"), command("b"))
    effects = node.assign(command("a"), command("b"))
    assert not effects.start
    assert node.machine.held == 2


def test_an_assignment_of_a_finished_attempt_sends_its_outcome_again():
    node = Node()
    attempt = command("a")
    node.assign(attempt)
    node.exit(attempt)
    effects = node.assign(command("a"))
    assert [report.task_id for report in effects.finished] == ["a"]
    assert not effects.start


def test_an_older_attempt_than_the_running_one_is_ignored():
    node = Node()
    node.assign(command("a", 2))
    assert not node.assign(command("a", 1)).start


def test_a_newer_attempt_ends_the_older_without_a_report():
    node = Node()
    old, new = command("a", 1), command("a", 2)
    node.assign(old)
    effects = node.assign(new)
    assert effects.kill == [old]
    assert effects.start == [new]
    assert node.exit(old).finished == []
    assert [report.number for report in node.exit(new).finished] == [2]


def test_a_newer_attempt_replaces_a_waiting_one():
    node = Node(slots=1)
    node.assign(command("x"), command("a", 1))
    node.assign(command("a", 2))
    assert [attempt.ref for attempt in node.machine.waiting] == [Ref("a", 2)]


def test_cancelling_the_unknown_is_ignored():
    node = Node()
    node.assign(command("a", 2))
    assert not node.cancel(("b", 1), ("a", 1))


def test_a_cancelled_waiting_attempt_is_reported_as_cancelled_and_never_began():
    node = Node(slots=1)
    node.assign(command("a"), command("b"))
    (report,) = node.cancel(("b", 1)).finished
    assert isinstance(report.outcome.value, Failure)
    assert report.outcome.value.type == "CANCELLED"
    assert report.outcome.start == 0.0


def test_a_cancelled_running_attempt_is_killed_and_its_own_outcome_does_not_count():
    node = Node()
    attempt = command("a")
    node.assign(attempt)
    assert node.cancel(("a", 1)).kill == [attempt]
    assert not node.cancel(("a", 1)).kill
    outcome = Outcome(Failure("SIGNAL", "", code=15), start=5.0, seconds=2.0)
    (report,) = node.exit(attempt, outcome).finished
    assert isinstance(report.outcome.value, Failure)
    assert report.outcome.value.type == "CANCELLED"
    assert (report.outcome.start, report.outcome.seconds) == (5.0, 2.0)


def test_a_cancelled_call_in_the_queue_of_a_worker_does_not_take_the_others_with_it():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    a, b, c = call("a"), call("b"), call("c")
    node.assign(a, b, c)
    effects = node.cancel(("b", 1))
    assert effects.recall == [0]
    assert not effects.kill
    effects = node.recalled(0, b, c)
    assert [report.task_id for report in effects.finished] == ["b"]
    assert effects.start == [c]
    assert not effects.kill


def test_a_cancelled_call_that_its_worker_already_took_is_killed():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    a, b = call("a"), call("b")
    node.assign(a, b)
    node.cancel(("b", 1))
    # Nothing came back: `a` has finished (its answer is on the way), `b` runs.
    assert node.recalled(0).kill == [b]


def test_no_call_is_queued_behind_one_that_is_being_killed():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    node.assign(call("a"))
    node.cancel(("a", 1))
    assert not node.assign(call("b")).start


# -- timeouts and announcements ----------------------------------------------------------------


def test_an_attempt_past_its_timeout_is_killed_and_reported_as_timeout():
    node = Node()
    attempt = command("a", timeout=1.0)
    node.assign(attempt)
    node.machine.on_began(attempt, node.now)
    assert not node.tick(0.9).kill
    assert node.tick(0.2).kill == [attempt]
    (report,) = node.exit(attempt, Outcome(Result("exit_code", 0), 1.0, 1.1)).finished
    assert isinstance(report.outcome.value, Failure)
    assert report.outcome.value.type == "TIMEOUT"


def test_the_timeout_of_a_queued_call_counts_from_its_own_beginning():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    a, b = call("a"), call("b", timeout=0.015)
    node.assign(a, b)
    node.now += 0.014
    node.exit(a)
    node.machine.on_began(b, node.now)
    assert not node.tick(0.01).kill
    assert node.tick(0.01).kill == [b]


@pytest.mark.parametrize("make", [call, command])
def test_a_timeout_does_not_count_what_passes_before_the_beginning(
    make: Callable[..., Attempt],
) -> None:
    """Five hundred programs that are started at once begin one after the other."""
    node = Node()
    attempt = make("a", timeout=1.0)
    node.assign(attempt)
    assert not node.tick(30.0).kill
    node.machine.on_began(attempt, node.now)
    # Whoever says it again, or later, changes nothing.
    node.machine.on_began(attempt, node.now + 5.0)
    assert not node.tick(0.9).kill
    assert node.tick(0.2).kill == [attempt]


def test_an_attempt_that_never_begins_is_killed_all_the_same():
    node = Node()
    attempt = command("a", timeout=1.0)
    node.assign(attempt)
    assert not node.tick(BEGIN_SECONDS).kill
    assert node.tick(2.0).kill == [attempt]
    (report,) = node.exit(attempt, Outcome(None)).finished
    assert isinstance(report.outcome.value, Failure)
    assert "did not begin" in report.outcome.value.message


def test_only_attempts_that_run_a_while_are_announced_and_only_once():
    node = Node()
    attempt = command("a")
    node.assign(attempt)
    assert node.tick(0.1).started == [], "nobody knows that it began"
    node.machine.on_began(attempt, node.now)
    assert node.tick(0.001).started == []
    assert node.tick(0.01).started == [attempt]
    assert node.tick(0.01).started == []
