"""However many nodes and tasks there are, the number of nodes wanted keeps its promises."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quorate.runtime.ids import NodeName
from scheduler.autoscaling.ask import Ask, Shape
from scheduler.autoscaling.plan import Demand, NodeSeen, Plan, Seen, plan
from scheduler.core.values import Needs

# A machine that does other things, too, is no fault of what is drawn here.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CPU = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.5, 3.0, 4.0])
GIB = st.integers(0, 8).map(lambda number: number << 30)
COUNTERS = st.dictionaries(st.sampled_from(["gpu", "licence"]), st.integers(0, 4))

NEEDS = st.builds(
    Needs,
    CPU,
    GIB,
    COUNTERS.map(lambda found: tuple(sorted((k, v) for k, v in found.items() if v))),
)


@st.composite
def nodes(draw: st.DrawFn, name: str) -> NodeSeen:
    slots = draw(st.integers(1, 8))
    held = draw(st.integers(0, slots + 4))
    busy = held > 0
    counters = draw(COUNTERS)
    return NodeSeen(
        NodeName(name),
        slots,
        draw(st.sampled_from([1.0, 2.0, 8.0])),
        draw(GIB),
        counters,
        held=held,
        slots_held=draw(st.integers(0, held)),
        cpu_held=draw(CPU) if busy else 0.0,
        memory_held=draw(GIB) if busy else 0,
        counters_held={k: draw(st.integers(0, v)) for k, v in counters.items()} if busy else {},
        idle=0.0 if busy else draw(st.floats(0.0, 120.0)),
        open=draw(st.booleans()),
    )


@st.composite
def seens(draw: st.DrawFn) -> Seen:
    names = [f"n{number}" for number in range(draw(st.integers(0, 8)))]
    kinds = draw(st.lists(st.tuples(NEEDS, st.booleans()), max_size=6, unique=True))
    return Seen(
        nodes=[draw(nodes(name)) for name in names],
        demands=[Demand(n, draw(st.integers(1, 500)), slotless) for n, slotless in kinds],
        oldest=draw(st.floats(0.0, 100.0)) if kinds else 0.0,
        ended=draw(st.one_of(st.just(float("inf")), st.floats(0.0, 200.0))),
    )


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    slots = draw(st.integers(1, 8))
    least = draw(st.integers(0, 5))
    shape = Shape(
        slots,
        draw(st.one_of(st.none(), st.sampled_from([1.0, 4.0]))),
        draw(st.one_of(st.none(), GIB.filter(bool))),
        tuple(sorted(draw(COUNTERS).items())),
    )
    return Ask(
        shape=shape,
        tasks_per_node=slots * draw(st.integers(1, 20)) + draw(st.integers(0, 3)),
        min_nodes=least,
        max_nodes=draw(st.integers(max(1, least), 2_000)),
        oldest_age=draw(st.one_of(st.none(), st.floats(0.0, 100.0))),
        idle_seconds=draw(st.floats(0.0, 120.0)),
    )


def busy(seen: Seen) -> int:
    return sum(1 for node in seen.nodes if node.held)


@CALM
@given(asks(), seens())
def test_never_below_what_runs_and_within_the_bounds(ask: Ask, seen: Seen) -> None:
    found = plan(ask, seen)
    assert ask.min_nodes <= found.nodes <= ask.max_nodes
    assert found.nodes >= min(busy(seen), ask.max_nodes)


@CALM
@given(asks(), seens(), st.data())
def test_more_that_waits_never_means_fewer_nodes(ask: Ask, seen: Seen, data: st.DataObject) -> None:
    more = [replace(d, count=d.count + data.draw(st.integers(0, 50))) for d in seen.demands]
    new = (data.draw(NEEDS), data.draw(st.booleans()))
    if new not in [(d.needs, d.slotless) for d in seen.demands]:
        more.append(Demand(new[0], data.draw(st.integers(1, 50)), new[1]))
    before, after = plan(ask, seen), plan(ask, replace(seen, demands=more))
    assert after.nodes >= before.nodes
    assert after.active >= before.active


# What fits in no single round (here for a slot) must not make room for what a new node would take.
ONLY_HERE = Seen(
    nodes=[NodeSeen(NodeName("n0"), 1, 1.0, 0, {"gpu": 1}, held=1, slots_held=1)],
    demands=[Demand(Needs(0.0, 0, (("gpu", 1),)), 1), Demand(Needs(0.0, 0, ()), 1, slotless=True)],
)
TWO_ROUNDS = Ask(shape=Shape(1), tasks_per_node=2, max_nodes=3, oldest_age=0.0)


@CALM
@example(TWO_ROUNDS, ONLY_HERE, 1.0)
@given(asks(), seens(), st.floats(0.0, 100.0))
def test_a_longer_wait_never_means_fewer_nodes(ask: Ask, seen: Seen, longer: float) -> None:
    assert plan(ask, replace(seen, oldest=seen.oldest + longer)).nodes >= plan(ask, seen).nodes


@CALM
@given(asks(), seens())
def test_only_nodes_that_were_idle_for_long_enough_may_go(ask: Ask, seen: Seen) -> None:
    settled = sum(1 for n in seen.nodes if not n.held and n.idle >= ask.idle_seconds)
    assert plan(ask, seen).nodes >= min(len(seen.nodes) - settled, ask.max_nodes)


@CALM
@given(asks(), seens())
def test_what_goes_to_none_is_needed_by_nothing(ask: Ask, seen: Seen) -> None:
    if not plan(ask, seen).active:
        assert not busy(seen)
        assert seen.ended >= ask.idle_seconds
        assert ask.min_nodes == 0
        # What waits, if anything does, gets no more nodes either.
        assert plan(ask, seen).nodes <= len(seen.nodes)


@CALM
@given(asks(), seens())
def test_the_order_of_nodes_and_demands_does_not_matter(ask: Ask, seen: Seen) -> None:
    turned = replace(seen, nodes=seen.nodes[::-1], demands=seen.demands[::-1])
    assert plan(ask, turned) == plan(ask, seen)


@CALM
@given(st.integers(1, 8), st.integers(1, 400))
def test_from_nothing_each_task_gets_a_slot(slots: int, count: int) -> None:
    seen = Seen(demands=[Demand(Needs(), count)])
    ask = Ask(shape=Shape(slots), tasks_per_node=slots, max_nodes=1_000)
    assert plan(ask, seen) == Plan(-(-count // slots), True)
