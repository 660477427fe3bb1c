"""The agent's decisions about where attempts run: slots, pipelining, credit, returns."""

from __future__ import annotations

from node_agent.core import machine as m
from node_agent.core.attempts import Attempt, Outcome, Ref, Result
from node_agent.core.credit import ahead_per_slot
from node_agent.core.effects import Effects
from node_agent.core.machine import Machine
from node_agent.core.outbox import Outbox
from tests.support.agent_machine import SLOW, Node, call, command, names

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


# -- returned attempts -------------------------------------------------------------------------


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
    # Four in the last ticks: of the four that still wait none is returned.
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
