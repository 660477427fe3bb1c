"""The agent's decisions: event in, effects out, invariants checked after every step."""

from __future__ import annotations

import pytest

from node_agent.core import machine as m
from node_agent.core.attempts import Attempt, Failure, Outcome, Reason, Ref, Result
from node_agent.core.credit import ahead_per_slot
from node_agent.core.effects import Effects
from node_agent.core.machine import Machine, StaleEpoch
from node_agent.core.outbox import Outbox

OK = Outcome(Result("json", "1"), start=1000.0, seconds=0.00002)
# Too long for another to queue behind it.
SLOW = Outcome(Result("exit_code", 0), start=1000.0, seconds=0.012)


class Node:
    """A machine with ready lanes, an open session and a clock."""

    def __init__(self, slots: int = 2, outbox: Outbox | None = None) -> None:
        self.machine = Machine(slots, outbox)
        for lane in range(slots):
            self.machine.on_lane_ready(lane)
        self.now = 100.0
        self.machine.on_session_opened(1)
        self.first = self.settle()

    def settle(self) -> Effects:
        self.machine.settle(self.now)
        effects = self.machine.take() or Effects()
        check(self.machine)
        return effects

    def assign(self, *attempts: Attempt) -> Effects:
        self.machine.on_assigned(attempts, self.now)
        return self.settle()

    def cancel(self, *refs: tuple[str, int]) -> Effects:
        self.machine.on_cancelled(Ref(*ref) for ref in refs)
        return self.settle()

    def exit(self, attempt: Attempt, outcome: Outcome = OK) -> Effects:
        self.machine.on_exited(attempt, outcome, self.now)
        return self.settle()

    def recalled(self, lane: int, *attempts: Attempt) -> Effects:
        self.machine.on_recalled(lane, attempts, self.now)
        return self.settle()

    def tick(self, seconds: float = m.TICK_SECONDS) -> Effects:
        self.now += seconds
        self.machine.on_tick(self.now)
        return self.settle()

    def learn(self, profile: str, seconds: float) -> None:
        for _ in range(60):
            self.machine.durations.observe(profile, seconds)
        self.settle()


def check(machine: Machine) -> None:
    places = [attempt for lane in machine.slots for attempt in lane.attempts]
    for lane in machine.slots:
        for attempt in lane.attempts:
            assert attempt.lane == lane.index
            assert not attempt.over
            assert attempt.warm == lane.attempts[0].warm
    assert all(attempt.lane == -1 for attempt in machine.waiting)
    places += machine.waiting
    assert len({id(attempt) for attempt in places}) == len(places) == machine.held
    reported = {(report.task_id, report.number) for report in machine.outbox}
    assert not reported & {(attempt.task_id, attempt.number) for attempt in places}


def call(task: str, number: int = 1, **more: object) -> Attempt:
    return Attempt(task, number, None, "f", warm=True, **more)  # type: ignore[arg-type]


def command(task: str, number: int = 1, **more: object) -> Attempt:
    return Attempt(task, number, None, "$ true", **more)  # type: ignore[arg-type]


def names(attempts: list[Attempt]) -> list[str]:
    return [attempt.task_id for attempt in attempts]


# -- slots and pipelining ----------------------------------------------------------------------


def test_attempts_start_up_to_the_slots_and_the_rest_wait_in_order():
    node = Node(slots=2)
    effects = node.assign(*(command(name) for name in "abcd"))
    assert names(effects.start) == ["a", "b"]
    assert {attempt.lane for attempt in effects.start} == {0, 1}
    assert names(list(node.machine.waiting)) == ["c", "d"]
    assert names(node.exit(effects.start[1], SLOW).start) == ["c"]


def test_an_unknown_call_is_not_queued_behind_another():
    node = Node(slots=1)
    assert names(node.assign(call("a"), call("b")).start) == ["a"]


def test_short_calls_queue_at_their_worker():
    node = Node(slots=2)
    node.learn("f", 0.00002)
    started = node.assign(*(call(str(n)) for n in range(20))).start
    assert len(started) == 20
    assert {attempt.lane for attempt in started} == {0, 1}


def test_short_programs_queue_behind_each_other():
    node = Node(slots=1)
    node.learn("$ true", 0.001)
    started = node.assign(*(command(str(n)) for n in range(20))).start
    assert 5 <= len(started) < 20


def test_nothing_is_queued_behind_an_attempt_of_unknown_length():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    unknown = Attempt("a", 1, None, "new", warm=True)
    assert node.assign(unknown, call("b")).start == [unknown]


def test_no_call_is_queued_behind_a_program():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    assert names(node.assign(command("a"), call("b")).start) == ["a"]


def test_calls_wait_for_a_worker_but_programs_do_not():
    machine = Machine(1)
    machine.on_assigned([call("a")], 0.0)
    machine.settle(0.0)
    assert machine.take() is None
    machine.on_cancelled([Ref("a", 1)])
    machine.on_assigned([command("b")], 0.0)
    machine.settle(0.0)
    assert names((machine.take() or Effects()).start) == ["b"]


def test_what_is_queued_behind_a_long_call_is_taken_back_and_runs_elsewhere():
    node = Node(slots=2)
    node.learn("f", 0.00002)
    a, b, c = call("a"), call("b"), call("c")
    node.assign(a, b, c)
    long_one, behind = a, next(x for x in (b, c) if x.lane == a.lane)
    other = next(x for x in (b, c) if x is not behind)
    node.exit(other)
    effects = node.tick(0.03)
    assert effects.recall == [long_one.lane]
    effects = node.recalled(long_one.lane, behind)
    assert names(effects.start) == [behind.task_id]
    assert behind.lane != long_one.lane


# -- credit ------------------------------------------------------------------------------------


def test_credit_is_the_slots_until_durations_are_known():
    assert Node(slots=2).first.credit == 2


def test_short_work_raises_the_credit_up_to_its_bound():
    node = Node(slots=2)
    node.learn("f", 0.00002)
    assert node.machine.credit(node.now) == 2 + 2 * 256
    node = Node(slots=8)
    node.learn("f", 0.00002)
    assert node.machine.credit(node.now) == 8 + 1024


def test_long_work_gets_no_credit_beyond_the_slots():
    node = Node(slots=2)
    node.learn("f", 0.5)
    assert node.machine.credit(node.now) == 2


def test_a_slot_held_by_a_long_attempt_gives_no_extra_credit():
    node = Node(slots=2)
    node.learn("f", 0.00002)
    node.assign(command("a"))
    assert node.tick(0.03).credit == 2 + 256


def test_credit_is_sent_when_it_changes_only():
    node = Node()
    assert node.settle().credit is None
    node.machine.durations.observe("f", 0.001)
    assert node.settle().credit == 2 + 2 * ahead_per_slot(0.001) > 2
    assert node.settle().credit is None


def test_a_full_outbox_stops_new_work():
    node = Node(slots=2, outbox=Outbox(max_reports=2))
    for name in "ab":
        attempt = command(name)
        node.assign(attempt)
        effects = node.exit(attempt)
    assert effects.credit == 0
    node.machine.on_acknowledged([Ref("a", 1)])
    assert (node.settle().credit or 0) > 0


def test_a_full_outbox_counts_bytes():
    outbox = Outbox(max_bytes=1000)
    outbox.add("a", 1, Outcome(Result("json", "x" * 1000)))
    assert outbox.full


# -- handing back ------------------------------------------------------------------------------


def test_what_waits_behind_long_attempts_is_handed_back():
    node = Node(slots=1)
    node.assign(command("a"), command("b"), command("c"))
    assert node.tick(0.04).returned == []
    assert node.tick(0.02).returned == [Ref("b", 1), Ref("c", 1)]
    assert node.machine.held == 1


def test_what_will_soon_be_reached_stays():
    node = Node(slots=1)
    running = command("0")
    node.assign(running, *(command(str(n)) for n in range(1, 9)))
    for number in range(1, 5):
        node.exit(running, SLOW)
        running = node.machine.slots.lanes[0].attempts[0]
        assert running.task_id == str(number)
    # Four in the last ticks: of the four that still wait none is handed back.
    assert len(node.machine.waiting) == 4
    assert node.tick(0.06).returned == []
    # When the pace is lost, all are.
    for _ in range(5):
        effects = node.tick()
    assert len(effects.returned) == 4


def test_what_waits_for_a_starting_worker_stays_for_a_while():
    node = Node(slots=1)
    node.machine.on_lane_lost(0)
    node.assign(call("a"))
    assert node.tick(1.0).returned == []
    assert node.tick(m.WAIT_LIMIT_SECONDS).returned == [Ref("a", 1)]


def test_nothing_is_handed_back_without_a_session():
    node = Node(slots=1)
    node.assign(command("a"), command("b"))
    node.machine.on_session_closed()
    assert node.tick(1.0).returned == []
    assert names(list(node.machine.waiting)) == ["b"]


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
    assert not node.tick(0.01).kill
    assert node.tick(0.01).kill == [b]


def test_only_attempts_that_run_a_while_are_announced_and_only_once():
    node = Node()
    attempt = command("a")
    node.assign(attempt)
    assert node.tick(0.001).started == []
    assert node.tick(0.01).started == [attempt]
    assert node.tick(0.01).started == []


# -- sessions ----------------------------------------------------------------------------------


def test_a_lower_epoch_is_refused_and_an_equal_or_higher_one_is_not():
    node = Node()
    node.machine.on_session_opened(5)
    node.machine.on_session_opened(5)
    with pytest.raises(StaleEpoch):
        node.machine.on_session_opened(4)
    node.machine.on_session_opened(6)


def test_outcomes_are_sent_in_every_session_until_acknowledged():
    node = Node()
    attempt = command("a")
    node.assign(attempt)
    node.machine.on_session_closed()
    assert node.exit(attempt).finished == []
    for epoch in (2, 3):
        inventory = node.machine.on_session_opened(epoch)
        assert inventory.finished == (Ref("a", 1),)
        assert [report.task_id for report in node.settle().finished] == ["a"]
    node.machine.on_acknowledged([Ref("a", 1)])
    assert node.machine.on_session_opened(4).finished == ()
    assert node.settle().finished == []


def test_the_inventory_tells_running_waiting_and_finished_apart():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    a, b, c, d = call("a"), call("b"), call("c"), command("d")
    node.assign(a, b, c, d)
    node.exit(a)
    inventory = node.machine.on_session_opened(2)
    assert [(attempt.task_id, since) for attempt, since in inventory.running] == [("b", node.now)]
    assert inventory.waiting == (Ref("c", 1), Ref("d", 1))
    assert inventory.finished == (Ref("a", 1),)


def test_credit_is_told_again_to_a_new_session():
    node = Node()
    node.machine.on_session_opened(2)
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
    node.machine.on_drain_ordered(True, 10.0, node.now, leaving=True)
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


def test_a_lost_lease_ends_everything_without_a_report():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    done, a, b, c = call("0"), call("a"), call("b"), command("c")
    node.assign(done)
    node.exit(done)
    node.assign(a, b, c)
    node.machine.on_lease_lost()
    effects = node.settle()
    assert effects.recall == [0]
    assert len(node.machine.outbox) == 0
    effects = node.recalled(0, b)
    assert effects.kill == [a]
    effects = node.exit(a, Outcome(Failure("WORKER_CRASHED", ""), 1.0, 1.0))
    assert not effects.finished
    assert node.machine.held == 0
    assert node.machine.on_session_opened(2).running == ()


def test_the_epoch_fence_survives_a_lost_lease():
    node = Node()
    node.machine.on_session_opened(7)
    node.machine.on_lease_lost()
    with pytest.raises(StaleEpoch):
        node.machine.check_epoch(6)


def test_an_attempt_already_being_cancelled_is_not_reported_after_the_lease_is_lost():
    node = Node()
    a = command("a")
    node.assign(a)
    node.cancel(("a", 1))
    node.machine.on_lease_lost()
    assert not node.exit(a).finished


def test_the_reason_of_a_kill_is_the_first_one():
    node = Node()
    a = command("a", timeout=1.0)
    node.assign(a)
    node.cancel(("a", 1))
    assert not node.tick(2.0).kill
    assert a.killed is Reason.CANCELLED
