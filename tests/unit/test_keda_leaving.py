"""Which idle nodes are marked before the number falls, case by case."""

from __future__ import annotations

from dataclasses import replace

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.plan import Demand, NodeSeen, Seen, plan
from scheduler.autoscaling.surplus import LONGEST, Decision, Target, decide, number
from scheduler.core.values import NO_NEEDS

ASK = Ask(idle_seconds=60.0, leaving_seconds=15.0)


def node(name: str, *, held: int = 0, idle: float = 100.0, **more) -> NodeSeen:
    return NodeSeen(
        NodeName(name),
        slots=1,
        cpu=4.0,
        memory=8 << 30,
        counters={},
        held=held,
        slots_held=held,
        idle=0.0 if held else idle,
        instance=InstanceId(f"i-{name}"),
        **more,
    )


def demand(*nodes: NodeSeen, ask: Ask = ASK, waiting: int = 0) -> Target:
    seen = Seen(nodes, [Demand(NO_NEEDS, waiting)] if waiting else ())
    return Target(ask, seen, plan(ask, seen))


def names(nodes) -> list[str]:
    return [each.name for each in nodes]


def changes(decision: Decision) -> tuple[list[str], list[str]]:
    """Who is marked, and who is taken back."""
    return names(decision.mark), names(decision.back)


def test_idle_nodes_are_marked_the_longest_idle_first_and_busy_ones_never():
    nodes = (node("busy", held=1), node("new", idle=59.0), node("a"), node("b", idle=300.0))
    assert changes(decide([demand(*nodes)], {})) == (["b", "a"], [])


def test_no_more_than_the_surplus_is_marked():
    nodes = [node(f"n{n}", idle=100.0 + n) for n in range(5)]
    for least in range(6):
        decision = decide([demand(*nodes, ask=replace(ASK, min_nodes=least))], {})
        assert names(decision.mark) == [f"n{n}" for n in range(4, least - 1, -1)]


def test_what_is_marked_counts_towards_the_surplus():
    nodes = (node("a", marked=5.0), node("b", marked=1.0), node("c", idle=900.0))
    assert changes(decide([demand(*nodes)], {})) == (["c"], [])
    kept = demand(*nodes, ask=replace(ASK, min_nodes=1))
    assert changes(decide([kept], {})) == ([], [])


def test_of_too_many_marks_the_newest_are_taken_back():
    nodes = (node("old", marked=20.0), node("new", marked=2.0), node("mid", marked=9.0))
    some = demand(*nodes, ask=replace(ASK, min_nodes=2))
    assert changes(decide([some], {})) == ([], ["mid", "new"])


def test_work_that_waits_takes_marks_back_before_more_nodes_are_wanted():
    nodes = (node("busy", held=1), node("a", marked=20.0), node("b", marked=5.0))
    for waiting, back, wanted in ((1, ["b"], 2), (2, ["a", "b"], 3), (4, ["a", "b"], 5)):
        one = demand(*nodes, waiting=waiting)
        assert sorted(names(decide([one], {}).back)) == back
        assert one.plan.nodes == wanted


def test_a_marked_node_counts_as_rested_whatever_a_new_leader_knows():
    assert changes(decide([demand(node("a", idle=0.0, marked=3.0))], {})) == ([], [])


def test_nodes_that_an_operator_closed_are_marked_first():
    nodes = (node("a", idle=500.0), node("shut", open=False))
    one = demand(*nodes, ask=replace(ASK, min_nodes=1))
    assert changes(decide([one], {})) == (["shut"], [])


def test_a_node_that_drains_says_by_itself_that_it_is_not_ready():
    nodes = (node("gone", open=False, draining=True), node("a"))
    one = demand(*nodes, ask=replace(ASK, min_nodes=1))
    # It is the one too many: nobody else is marked, and the number has fallen by it.
    assert changes(decide([one], {})) == ([], [])
    assert number(one, {}) == 1


def test_the_number_falls_only_when_the_mark_has_been_seen():
    busy = node("busy", held=1)
    for marked, wanted in ((None, 2), (0.0, 2), (14.9, 2), (15.0, 1)):
        assert number(demand(busy, node("a", marked=marked)), {}) == wanted


def test_the_number_of_more_nodes_waits_for_no_mark():
    assert number(demand(node("busy", held=1), waiting=3), {}) == 4


def test_never_more_than_the_most_whatever_is_marked():
    nodes = [node(f"n{n}") for n in range(5)]
    assert number(demand(*nodes, ask=replace(ASK, max_nodes=3)), {}) == 3


def test_without_marks_the_number_falls_at_once_and_nobody_is_marked():
    off = demand(node("a"), node("b"), ask=replace(ASK, leaving_seconds=0.0))
    assert changes(decide([off], {})) == ([], [])
    assert number(off, {}) == 0


def test_marks_of_a_trigger_that_wants_none_any_longer_are_taken_back():
    off = demand(node("a", marked=5.0), ask=replace(ASK, leaving_seconds=0.0))
    assert changes(decide([off], {})) == ([], ["a"])


def test_a_node_that_nobody_ended_is_given_up_and_stays_counted_out_until_it_has_worked():
    late = node("a", idle=LONGEST + 61.0, marked=LONGEST + 1.0)
    decision = decide([demand(late)], {})
    assert (changes(decision), names(decision.given_up)) == (([], ["a"]), ["a"])
    since = {late.instance: 30.0}
    given_up = demand(node("a", idle=700.0))
    assert changes(decide([given_up], since)) == ([], [])
    assert number(given_up, since) == 0
    # It has worked since, and is idle for long enough again.
    rested = demand(node("a", idle=61.0))
    assert changes(decide([rested], {late.instance: 90.0})) == (["a"], [])
    assert number(rested, {late.instance: 90.0}) == 1


def test_nobody_is_marked_in_place_of_one_that_was_given_up():
    nodes = (node("a", idle=700.0), node("b", idle=800.0))
    one = demand(*nodes, ask=replace(ASK, min_nodes=1))
    assert changes(decide([one], {InstanceId("i-a"): 30.0})) == ([], [])


def test_triggers_that_scale_the_same_nodes_must_agree():
    nodes = (node("a"), node("b"), node("c"))
    patient = replace(ASK, idle_seconds=1_000.0)
    wants_two = replace(ASK, min_nodes=2)
    assert changes(decide([demand(*nodes), demand(*nodes, ask=patient)], {})) == ([], [])
    both = [demand(*nodes), demand(*nodes, ask=wants_two)]
    assert len(decide(both, {}).mark) == 1
    marked = tuple(replace(each, marked=5.0) for each in nodes)
    taken = decide([demand(*marked), demand(*marked, ask=wants_two)], {})
    assert len(taken.back) == 2
    # Of nodes that are not its own a trigger has no say.
    assert len(decide([demand(*nodes), demand(node("d", held=1))], {}).mark) == 3


def test_without_a_trigger_nothing_changes():
    assert changes(decide([], {})) == ([], [])
    assert changes(decide([demand()], {})) == ([], [])
