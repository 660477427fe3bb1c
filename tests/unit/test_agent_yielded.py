"""Attempts that wait for other tasks: their slots, the limit, the credit, spare lanes."""

from __future__ import annotations

import pytest

from node_agent.config import AgentSettings
from node_agent.core.attempts import Outcome, Reason, Ref, Result
from node_agent.core.slots import SPARE_SECONDS
from quorate.runtime.ids import Epoch
from tests.support.agent_machine import OK, SLOW, Node, call, command, names

LONG = Outcome(Result("json", "1"), start=1000.0, seconds=3.0)


def test_a_waiting_attempt_gives_its_slot_to_a_program_at_once():
    node = Node(slots=1)
    parent = call("parent")
    node.assign(parent)
    assert node.assign(command("child")).start == []
    effects = node.yields(parent)
    assert names(effects.start) == ["child"]
    assert effects.start[0].lane == 1
    assert effects.staff == [], "a program needs no worker"


def test_a_call_waits_for_the_worker_of_its_spare_lane():
    node = Node(slots=1)
    parent = call("parent")
    node.assign(parent)
    node.assign(call("child"))
    effects = node.yields(parent)
    assert (effects.staff, effects.start) == ([1], [])
    # Meanwhile it is not returned: its turn comes.
    assert not any(node.tick(0.3).returned for _ in range(5))
    effects = node.staffed(1)
    assert names(effects.start) == ["child"]
    assert effects.start[0].lane == 1


def test_spare_lanes_are_opened_for_what_waits_only():
    node = Node(slots=3)
    parents = [call(name) for name in "abc"]
    node.assign(*parents)
    for parent in parents:
        assert node.yields(parent).staff == []
    assert len(node.machine.slots.lanes) == 3
    assert node.assign(call("d"), call("e")).staff == [3, 4]


def test_parents_twice_the_slots_and_their_children_all_end():
    node = Node(slots=3)
    parents = [call(f"p{n}") for n in range(6)]
    children = [call(f"c{n}") for n in range(6)]
    node.assign(*parents, *children)
    left = {*parents, *children}
    for _ in range(100):
        for lane in list(node.machine.slots):
            node.staffed(lane.index)
            if not lane.attempts:
                continue
            head = lane.attempts[0]
            if head in parents and children[parents.index(head)] in left:
                node.yields(head)
            else:
                node.resumes(head)
                node.exit(head, LONG)
                left.discard(head)
    assert not left
    assert node.machine.slots.yielded == node.machine.held == 0


def test_the_credit_grows_by_what_has_yielded_and_shrinks_again():
    node = Node(slots=2)
    a, b = call("a"), call("b")
    node.assign(a, b)
    assert node.machine.credit(node.now) == 2
    assert node.yields(a).credit == 3
    assert node.yields(b).credit == 4
    assert node.yields(b).credit is None, "saying it again changes nothing"
    assert node.resumes(a).credit == 3
    assert node.exit(b, LONG).credit == 2


def test_a_new_session_is_told_the_credit_that_holds_now():
    node = Node(slots=1)
    parent = call("parent")
    node.assign(parent)
    node.yields(parent)
    node.machine.on_session_closed()
    inventory = node.machine.on_session_opened(Epoch(2))
    assert [attempt.task_id for attempt, _ in inventory.running] == ["parent"]
    assert node.settle().credit == 2


def test_one_that_goes_on_has_a_slot_at_once_and_none_begins_while_there_are_too_many():
    node = Node(slots=1)
    parent, child, other = call("parent"), command("child"), command("other")
    node.assign(parent, child, other)
    assert names(node.yields(parent).start) == ["child"]
    assert node.resumes(parent).start == []
    assert node.machine.slots.busy() == 2
    assert node.exit(parent, LONG).start == [], "the child has the slot"
    assert names(node.exit(child, SLOW).start) == ["other"]


def test_the_limit_refuses_and_the_refused_one_keeps_its_slot():
    node = Node(slots=1, most_yielded=1)
    first, second = call("first"), command("second")
    node.assign(first)
    node.yields(first)
    node.assign(second)
    assert node.machine.on_yielded(second) is False
    assert node.settle().start == []
    assert node.machine.slots.busy() == 1
    node.exit(first, LONG)
    assert node.machine.on_yielded(second) is True


def test_no_limit_at_all_means_that_waiting_ones_keep_their_slots():
    node = Node(slots=1, most_yielded=0)
    parent = call("parent")
    node.assign(parent)
    assert node.machine.on_yielded(parent) is True
    effects = node.assign(command("child"))
    assert effects.start == []
    assert node.machine.slots.yielded == 0
    node.resumes(parent)


@pytest.mark.parametrize("reason", ["cancelled", "timeout", "crashed"])
def test_a_waiting_attempt_that_ends_gives_nothing_back_twice(reason):
    node = Node(slots=1)
    parent, child = call("parent", timeout=5.0), command("child")
    node.assign(parent, child)
    node.machine.on_began(parent, node.now)
    node.yields(parent)
    if reason == "cancelled":
        assert node.cancel(("parent", 1)).kill == [parent]
        assert parent.killed is Reason.CANCELLED
    elif reason == "timeout":
        assert node.tick(6.0).kill == [parent]
    node.exit(parent, LONG)
    slots = node.machine.slots
    assert (slots.yielded, slots.busy()) == (0, 1)
    # What a thread of it says later is of no account.
    node.machine.on_resumed(parent)
    assert node.machine.on_yielded(parent) is True
    assert (slots.yielded, slots.busy()) == (0, 1)


def test_nothing_is_queued_behind_a_waiting_attempt():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    parent = call("parent")
    behind = [call(str(n)) for n in range(3)]
    node.assign(parent, *behind)
    assert all(attempt.lane == 0 for attempt in behind)
    assert node.yields(parent).recall == [0]
    effects = node.recalled(0, *behind)
    assert effects.staff == [1]
    assert effects.start == []
    assert names(node.staffed(1).start) == ["0", "1", "2"]
    assert {attempt.lane for attempt in behind} == {1}


def test_how_long_it_waited_is_not_learned():
    node = Node(slots=1)
    node.learn("f", 0.00002)
    ahead = node.machine.durations.ahead
    assert ahead > 0
    for number in range(5):
        parent = call(str(number))
        node.assign(parent)
        node.yields(parent)
        node.exit(parent, LONG)
    assert node.machine.durations.ahead == ahead
    assert (node.machine.durations.expected("f") or 0.0) < 0.001


def test_what_was_taken_ahead_goes_back_before_it_can_use_up_the_limit():
    """Else all of it would start, and wait, before the first child comes."""
    node = Node(slots=2, most_yielded=5)
    node.learn("f", 0.00002)
    parents = []
    for number in range(20):
        attempt = call(f"p{number}")
        attempt.profile = f"unknown {number}"
        parents.append(attempt)
    assert node.machine.credit(node.now) > 20
    node.assign(*parents)
    effects = node.yields(parents[0])
    # Five may yield: this one, two that run, two that wait; one more gets the free slot.
    assert len(effects.returned) == 20 - 2 - (5 - 1 - 2) - 1
    assert effects.returned[0] == Ref("p19", 1), "the last ones go"
    assert node.machine.credit(node.now) == 2 + (5 - 1 - 2) + 1


def test_what_was_taken_ahead_stays_while_there_is_no_session():
    node = Node(slots=1, most_yielded=1)
    node.learn("f", 0.00002)
    parents = [call(str(number)) for number in range(3)]
    for attempt in parents:
        attempt.profile = attempt.task_id
    node.assign(*parents)
    node.machine.on_session_closed()
    assert node.yields(parents[0]).returned == []


def test_a_spare_lane_is_closed_when_it_was_empty_for_a_while():
    node = Node(slots=1)
    parent, child = call("parent"), call("child")
    node.assign(parent, child)
    node.yields(parent)
    node.staffed(1)
    node.exit(child, OK)
    node.resumes(parent)
    assert node.tick(SPARE_SECONDS - 1).unstaff == []
    assert node.tick(1.5).unstaff == [1]
    assert len(node.machine.slots.lanes) == 1
    # Its worker is still ending.
    node.staffed(1)
    node.machine.on_lane_lost(1)
    # The next time, another one is started.
    node.assign(call("another"))
    assert node.yields(parent).staff == [1]


def test_a_spare_lane_whose_worker_is_slow_to_start_stays():
    node = Node(slots=1)
    parent, child = call("parent"), call("child")
    node.assign(parent, child)
    node.yields(parent)
    assert node.tick(SPARE_SECONDS + 1).unstaff == []
    node.assign(call("later"))
    assert [attempt.lane for attempt in node.staffed(1).start] == [1]


def test_draining_does_not_wait_for_spare_lanes():
    node = Node(slots=1)
    parent, child = call("parent"), call("child")
    node.assign(parent, child)
    node.yields(parent)
    node.machine.on_drain_ordered(True, 1.0, node.now)
    assert node.settle().returned == [Ref("child", 1)]
    assert node.tick(2.0).kill == [parent]
    node.exit(parent, LONG)
    assert node.machine.held == 0


def test_one_that_waits_and_goes_on_in_quick_succession_does_not_flood_the_leader():
    node = Node(slots=1)
    parent = call("parent")
    node.assign(parent)
    told = []
    for _ in range(1_000):
        told += [node.yields(parent).credit, node.resumes(parent).credit]
    assert len([credit for credit in told if credit is not None]) <= 10
    told += [node.tick().credit]
    sent = [credit for credit in told if credit is not None]
    assert sent[-1] == node.machine.credit(node.now) == 1


@pytest.mark.parametrize(
    ("flags", "limit"),
    [
        ({"slots": 2}, 64),
        ({"slots": 100}, 400),
        ({"slots": 1024}, 1024),
        ({"slots": 2, "max_yielded": 0}, 0),
        ({"slots": 2, "max_yielded": 5}, 5),
    ],
)
def test_the_limit_grows_with_the_slots_unless_it_is_given(flags, limit):
    assert AgentSettings(**flags).yield_limit == limit
