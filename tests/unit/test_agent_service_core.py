"""Replicas in the machine, and their health: event in, effects out."""

from __future__ import annotations

import pytest

from node_agent.core import machine as m
from node_agent.core.attempts import Attempt, Failure, Outcome, Ref, Result
from node_agent.core.effects import Effects
from node_agent.core.machine import Machine
from node_agent.core.services.health import Health, HealthState, HealthTerms
from node_agent.core.services.replicas import MAX_REPLICAS
from quorate.runtime.ids import Epoch

DONE = Outcome(Result("exit_code", 0), start=1000.0, seconds=0.002)
ENDED = Outcome(Failure("SIGNAL", "ended by SIGTERM", code=15), start=1000.0, seconds=9.0)


class Node:
    """A machine with an open session and a clock."""

    def __init__(self, slots: int = 2) -> None:
        self.machine = Machine(slots)
        self.now = 100.0
        self.credit = 0
        self.machine.on_session_opened(Epoch(1))
        self.settle()

    def settle(self) -> Effects:
        self.machine.settle(self.now)
        effects = self.machine.take() or Effects()
        if effects.credit is not None:
            self.credit = effects.credit
        lanes = [attempt.lane for attempt, _ in self.machine.services]
        assert len(set(lanes)) == len(lanes)
        assert all(lane >= len(self.machine.slots.lanes) for lane in lanes)
        return effects

    def assign(self, *attempts: Attempt) -> Effects:
        self.machine.on_assigned(attempts, self.now)
        return self.settle()

    def cancel(self, task: str, number: int = 1) -> Effects:
        self.machine.on_cancelled([Ref(task, number)])
        return self.settle()

    def exit(self, attempt: Attempt, outcome: Outcome = ENDED) -> Effects:
        self.machine.on_exited(attempt, outcome, self.now)
        return self.settle()

    def drain(self, grace: float, *, leaving: bool = False, draining: bool = True) -> Effects:
        self.machine.on_drain_ordered(draining, grace, self.now, shutting_down=leaving)
        return self.settle()

    def tick(self, seconds: float = m.TICK_SECONDS) -> Effects:
        self.now += seconds
        self.machine.on_tick(self.now)
        return self.settle()


def replica(task: str, number: int = 1, grace: float = 10.0) -> Attempt:
    return Attempt(task, number, None, replica=True, drain_grace=grace)


def command(task: str) -> Attempt:
    return Attempt(task, 1, None, "$ true")


def names(attempts: list[Attempt]) -> list[str]:
    return [attempt.task_id for attempt in attempts]


# -- slots and credit --------------------------------------------------------------------------


def test_replicas_take_no_slot_and_never_wait():
    node = Node(slots=1)
    effects = node.assign(replica("a"), command("t"), replica("b"), replica("c"))
    assert sorted(names(effects.start)) == ["a", "b", "c", "t"]
    assert not node.machine.waiting
    assert not node.tick(60.0).returned


def test_the_credit_is_raised_by_exactly_the_replicas_that_are_here():
    node = Node(slots=2)
    assert node.credit == 2
    first, second = replica("a"), replica("b")
    node.assign(first, second)
    assert node.credit == 4
    node.cancel("a")
    node.tick()
    assert node.credit == 4  # it drains: the leader still counts it
    node.exit(first)
    assert node.credit == 3
    node.exit(second, DONE)
    assert node.credit == 2


def test_a_replica_given_away_counts_no_longer():
    node = Node(slots=2)
    old = replica("a", 1)
    node.assign(old)
    effects = node.assign(replica("a", 2))
    assert effects.kill == [old]
    assert [attempt.number for attempt in effects.start] == [2]
    assert node.credit == 3  # the dying one is not the leader's any more
    assert not node.exit(old).finished
    assert node.credit == 3


def test_a_new_session_is_told_of_replicas_and_the_credit():
    node = Node(slots=2)
    node.assign(replica("a"))
    node.machine.on_session_closed()
    inventory = node.machine.on_session_opened(Epoch(2))
    assert [(a.task_id, since) for a, since in inventory.running] == [("a", 100.0)]
    assert node.settle().credit == 3


def test_durations_learn_nothing_from_replicas():
    node = Node(slots=1)
    for n in range(50):
        attempt = replica(f"r{n}")
        node.assign(attempt)
        node.exit(attempt, DONE)
    assert node.machine.durations.overall is None
    assert node.credit == 1


def test_more_replicas_than_a_node_should_run_are_handed_back():
    node = Node()
    effects = node.assign(*(replica(str(n)) for n in range(MAX_REPLICAS + 2)))
    assert len(effects.start) == MAX_REPLICAS
    assert [ref.task_id for ref in effects.returned] == [str(MAX_REPLICAS), str(MAX_REPLICAS + 1)]


def test_lanes_are_used_again():
    node = Node(slots=2)
    first, second, third = replica("a"), replica("b"), replica("c")
    node.assign(first, second)
    lane = first.lane
    node.exit(first)
    node.assign(third)
    assert third.lane == lane


# -- ending ------------------------------------------------------------------------------------


def test_a_cancelled_replica_drains_before_it_is_killed():
    node = Node()
    attempt = replica("a", grace=10.0)
    node.assign(attempt)
    effects = node.cancel("a")
    assert (effects.drain, effects.kill) == ([attempt], [])
    assert not node.tick().kill
    assert not node.tick(9.9).kill
    assert node.tick(0.2).kill == [attempt]
    assert not node.tick().kill
    [report] = node.exit(attempt).finished
    assert isinstance(report.outcome.value, Failure)
    assert report.outcome.value.type == "CANCELLED"


def test_a_program_that_ends_earlier_ends_the_wait():
    node = Node()
    attempt = replica("a")
    node.assign(attempt)
    node.cancel("a")
    node.tick()
    assert node.exit(attempt, DONE).finished
    assert not node.tick(60.0).kill
    assert node.machine.held == 0


def test_cancelling_twice_does_not_extend_the_wait():
    node = Node()
    attempt = replica("a", grace=1.0)
    node.assign(attempt)
    node.cancel("a")
    node.tick(0.9)
    assert not node.cancel("a").drain
    node.tick(0.5)
    assert node.tick(0.6).kill == [attempt]


def test_a_replica_cancelled_before_anyone_saw_it_never_starts():
    node = Node()
    node.machine.on_assigned([replica("a")], node.now)
    effects = node.cancel("a")
    assert not effects.start
    assert not effects.drain
    [report] = effects.finished
    assert report.outcome.value is not None
    assert node.machine.held == 0


def test_an_unhealthy_replica_is_killed_at_once_and_fails():
    node = Node()
    attempt = replica("a")
    node.assign(attempt)
    node.machine.on_unhealthy(attempt, "GET / answered 500")
    assert node.settle().kill == [attempt]
    [report] = node.exit(attempt).finished
    value = report.outcome.value
    assert isinstance(value, Failure)
    assert (value.type, value.message) == (
        "UNHEALTHY",
        "failed its health checks: GET / answered 500",
    )


def test_health_does_not_matter_any_more_once_it_drains():
    node = Node()
    attempt = replica("a")
    node.assign(attempt)
    node.cancel("a")
    node.machine.on_unhealthy(attempt, "too late")
    assert not node.settle().kill


def test_an_exit_by_itself_is_a_result():
    node = Node()
    attempt = replica("a")
    node.assign(attempt)
    [report] = node.exit(attempt, DONE).finished
    assert report.outcome.value == Result("exit_code", 0)


def test_a_drain_leaves_time_for_others_to_take_its_place():
    node = Node()
    attempt = replica("a", grace=10.0)
    node.assign(attempt)
    assert not node.drain(30.0).drain
    assert not node.tick(19.0).drain
    assert node.tick(1.5).drain == [attempt]
    assert node.tick(9.6).kill == [attempt]
    [report] = node.exit(attempt, DONE).finished
    assert report.outcome.value is None  # returned, although its exit code was 0


def test_a_drain_that_is_undone_leaves_replicas_alone():
    node = Node()
    node.assign(replica("a"))
    node.drain(30.0)
    node.tick(10.0)
    node.drain(0.0, draining=False)
    assert not node.tick(60.0).drain


def test_a_leaving_node_drains_replicas_at_once_within_its_grace():
    node = Node()
    short, long = replica("a", grace=1.0), replica("b", grace=10.0)
    node.assign(short, long)
    node.drain(3.0, leaving=True)
    assert node.tick().drain == [short, long]
    assert node.tick(1.1).kill == [short]
    assert node.tick(2.0).kill == [long]


def test_a_draining_node_takes_no_replica():
    node = Node()
    node.drain(5.0)
    assert [ref.task_id for ref in node.assign(replica("a")).returned] == ["a"]


# -- health ------------------------------------------------------------------------------------

TERMS = HealthTerms(healthy_after=2, unhealthy_after=3, start_grace=30.0)


def states(health: Health, *checks: tuple[bool, float]) -> list[HealthState]:
    found = []
    for passed, now in checks:
        before = health.state
        assert health.on_checked(passed, now) == (health.state is not before)
        found.append(health.state)
    return found


S, H, U = HealthState.STARTING, HealthState.HEALTHY, HealthState.UNHEALTHY
OK, BAD = True, False


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([(OK, 1), (OK, 2)], [S, H]),
        ([(OK, 1), (BAD, 2), (OK, 3), (OK, 4)], [S, S, S, H]),
        # Failures within the start's grace are forgiven, however many.
        ([(BAD, 1), (BAD, 2), (BAD, 3), (BAD, 29), (OK, 29.5), (OK, 29.9)], [S, S, S, S, S, H]),
        # And those before its end do not count after it.
        ([(BAD, 29), (BAD, 31), (BAD, 32), (BAD, 33)], [S, S, S, U]),
        # Once it was healthy there is no grace any more.
        ([(OK, 1), (OK, 2), (BAD, 3), (BAD, 4), (BAD, 5)], [S, H, H, H, U]),
        ([(OK, 1), (OK, 2), (BAD, 3), (BAD, 4), (OK, 5), (BAD, 6), (BAD, 7)], [S] + [H] * 6),
        # Unhealthy is final.
        ([(OK, 1), (OK, 2), (BAD, 3), (BAD, 4), (BAD, 5), (OK, 6), (OK, 7)], [S, H, H, H, U, U, U]),
    ],
)
def test_health_follows_the_checks(checks: list[tuple[bool, float]], expected: list[HealthState]):
    assert states(Health(TERMS, 0.0, "x"), *checks) == expected


def test_a_starting_replica_is_checked_sooner():
    health = Health(HealthTerms(interval=5.0), 0.0, "x")
    pauses = []
    for _ in range(8):
        pauses.append(health.pause())
        health.on_checked(False, 1.0)
    assert pauses[0] < 0.12
    assert pauses[:6] == sorted(set(pauses[:6]))
    assert 4.5 <= pauses[-1] <= 5.5
    health.on_checked(True, 1.0)
    assert 4.5 <= health.pause() <= 5.5


def test_checks_of_replicas_do_not_get_in_step():
    pauses = {
        seed: Health(HealthTerms(interval=0.1), 0.0, seed).pause() for seed in ("a", "b", "c", "d")
    }
    assert len(set(pauses.values())) == 4
    assert all(0.09 <= pause <= 0.11 for pause in pauses.values())
    assert Health(HealthTerms(interval=0.1), 0.0, "a").pause() == pauses["a"]
