"""Whatever the triggers ask and whatever there is, marks keep their promises."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from quorate.runtime.ids import InstanceId
from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.plan import NodeSeen, Seen, plan
from scheduler.autoscaling.surplus import LONGEST, Decision, Target, decide, number
from tests.property.test_keda_plan import CALM, asks, seens

GIVEN_UP = st.dictionaries(
    st.integers(0, 8).map(lambda n: InstanceId(f"i-n{n}")), st.floats(0.0, 200.0)
)


@st.composite
def marked(draw: st.DrawFn) -> Seen:
    """Some of the idle nodes are marked, some of the closed ones drain."""
    seen = draw(seens())
    return replace(seen, nodes=[draw(_marked(node)) for node in seen.nodes])


@st.composite
def _marked(draw: st.DrawFn, node: NodeSeen) -> NodeSeen:
    mark = None if node.held else draw(st.one_of(st.none(), st.floats(0.0, LONGEST + 100.0)))
    return replace(
        node,
        instance=InstanceId(f"i-{node.name}"),
        marked=mark,
        draining=not node.open and draw(st.booleans()),
    )


@st.composite
def demands(draw: st.DrawFn) -> list[Target]:
    """Several triggers over the same nodes, each seeing its own demands."""
    seen = draw(marked())
    found = []
    for _ in range(draw(st.integers(1, 3))):
        ask = replace(draw(asks()), leaving_seconds=draw(st.sampled_from([0.0, 15.0, 60.0])))
        own = replace(draw(seens()), nodes=seen.nodes)
        found.append(Target(ask, own, plan(ask, own)))
    return found


def after(seen: Seen, decision: Decision) -> Seen:
    """What is seen when the decision was carried out."""
    mark = {node.name for node in decision.mark}
    back = {node.name for node in decision.back}
    nodes = [
        replace(node, marked=0.0)
        if node.name in mark
        else replace(node, marked=None)
        if node.name in back
        else node
        for node in seen.nodes
    ]
    return replace(seen, nodes=nodes)


@CALM
@given(demands(), GIVEN_UP)
def test_only_idle_nodes_are_marked_and_never_more_than_any_trigger_has_too_many(found, given_up):
    decision = decide(found, given_up)
    assert not any(node.held for node in decision.mark)
    assert not {n.name for n in decision.mark} & {n.name for n in decision.back}
    for demand in found:
        marks = sum(1 for node in after(demand.seen, decision).nodes if node.marked is not None)
        assert marks <= demand.surplus


@CALM
@given(demands(), GIVEN_UP)
def test_a_decision_that_was_carried_out_stands(found, given_up):
    decision = decide(found, given_up)
    given_up = given_up | {node.instance: 0.0 for node in decision.given_up}
    again = []
    for demand in found:
        seen = after(demand.seen, decision)
        again.append(Target(demand.ask, seen, plan(demand.ask, seen)))
    assert not decide(again, given_up).back
    # What was given up counts as before: nobody takes its place.
    assert len(decide(again, given_up).mark) == 0


@CALM
@given(asks(), marked(), GIVEN_UP)
def test_the_number_is_never_below_what_is_wanted(ask: Ask, seen: Seen, given_up) -> None:
    demand = Target(ask, seen, plan(ask, seen))
    told = number(demand, given_up)
    assert demand.plan.nodes <= told <= ask.max_nodes
    assert told <= max(len(seen.nodes), demand.plan.nodes)
