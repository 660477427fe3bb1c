"""How many nodes are wanted, case by case."""

from __future__ import annotations

from quorate.runtime.ids import NodeName
from scheduler.autoscaling.ask import Ask, Shape, parse
from scheduler.autoscaling.plan import Demand, NodeSeen, Plan, Seen, plan
from scheduler.core.place_rules import (
    LabelOperator,
    NodeRule,
    Rules,
    Taint,
    TaskRule,
    Toleration,
)
from scheduler.core.values import BLOB_STORE, HOOKS, Needs

GIB = 1 << 30


def waiting(count: int, slotless: bool = False, rules: Rules | None = None, **needs) -> Demand:
    counters = tuple(sorted(needs.pop("counters", {}).items()))
    return Demand(Needs(counters=counters, **needs), count, slotless, rules)


def node(name: str, held: int = 0, **more) -> NodeSeen:
    more.setdefault("slots", 1)
    more.setdefault("slots_held", held)
    more.setdefault("counters", {})
    return NodeSeen(NodeName(name), cpu=4.0, memory=8 * GIB, held=held, **more)


def wanted(ask: Ask, *demands: Demand, nodes: tuple[NodeSeen, ...] = (), **more) -> int:
    return plan(ask, Seen(nodes, demands, **more)).nodes


def test_nothing_is_wanted_of_nothing() -> None:
    assert plan(Ask(), Seen()) == Plan(0, False)


def test_each_resource_may_be_the_one_that_is_short() -> None:
    ask = parse(
        {
            "slotsPerNode": "8",
            "cpuPerNode": "4",
            "memoryPerNode": "16Gi",
            "countersPerNode": "gpu=2",
        }
    )
    assert wanted(ask, waiting(8)) == 1
    assert wanted(ask, waiting(8, cpu=2.0)) == 4
    assert wanted(ask, waiting(8, memory=6 * GIB)) == 4
    assert wanted(ask, waiting(8, counters={"gpu": 1})) == 4
    assert wanted(ask, waiting(4, cpu=2.0), waiting(4, counters={"gpu": 1})) == 4


def test_what_no_node_can_hold_starts_none() -> None:
    ask = parse({"cpuPerNode": "4", "tasksPerNode": "10"})
    for demand in (waiting(3, cpu=5.0), waiting(3, counters={"gpu": 1})):
        assert plan(ask, Seen(demands=[demand])) == Plan(0, False)


def test_running_and_waiting_tasks_fit_together() -> None:
    full = node("n1", held=2, slots=2)
    assert wanted(parse({"slotsPerNode": "2"}), waiting(3), nodes=(full,)) == 3


def test_nodes_that_came_and_have_nothing_yet_are_counted() -> None:
    nodes = (node("n1"), node("n2"))
    assert wanted(Ask(), waiting(5), nodes=nodes) == 5


def test_a_cordoned_node_is_no_place_for_what_waits() -> None:
    assert wanted(Ask(), waiting(1), nodes=(node("n1", idle=999.0, open=False),)) == 2
    assert wanted(Ask(), nodes=(node("n1", idle=999.0, open=False),)) == 0


def test_a_node_may_go_after_it_was_idle_for_long_enough() -> None:
    ask = parse({"idleSeconds": "60"})
    nodes = (node("n1", held=1), node("n2", idle=59.0), node("n3", idle=60.0))
    assert wanted(ask, nodes=nodes) == 2


def test_an_idle_node_that_is_needed_stays() -> None:
    ask = parse({"idleSeconds": "60"})
    nodes = (node("n1", idle=90.0), node("n2", idle=99.0), node("n3", idle=95.0))
    assert wanted(ask, waiting(2), nodes=nodes) == 2


def test_an_idle_node_of_which_a_part_is_needed_stays() -> None:
    assert wanted(Ask(), waiting(1), nodes=(node("n1", slots=4, idle=999.0),)) == 1


def test_a_backlog_is_worked_off_until_it_is_too_old() -> None:
    ask = parse({"slotsPerNode": "2", "tasksPerNode": "50", "oldestAge": "30"})
    assert wanted(ask, waiting(100), oldest=30.0) == 2
    assert wanted(ask, waiting(100), oldest=30.1) == 50
    full = node("n1", held=2, slots=2)
    assert wanted(ask, waiting(48), nodes=(full,)) == 1
    assert wanted(ask, waiting(49), nodes=(full,)) == 2


def test_replicas_take_resources_and_no_slot() -> None:
    full = node("n1", held=1, slots=1)
    assert wanted(Ask(), waiting(3, slotless=True), nodes=(full,)) == 1
    assert wanted(Ask(), waiting(3, slotless=True)) == 1
    assert wanted(parse({"cpuPerNode": "4"}), waiting(3, slotless=True, cpu=2.0)) == 2


def test_three_thirds_are_one_node() -> None:
    ask = Ask(shape=Shape(slots=8, cpu=3.0), tasks_per_node=8)
    demands = (waiting(1, cpu=1.0), waiting(1, cpu=0.9), waiting(1, cpu=0.8))
    assert wanted(ask, *demands) == 1


def test_active_ends_with_the_idle_time() -> None:
    ask = parse({"idleSeconds": "60"})
    assert plan(ask, Seen(ended=59.0)) == Plan(0, True, 1.0)
    assert plan(ask, Seen(ended=60.0)) == Plan(0, False)
    assert plan(ask, Seen([node("n1", held=1)], ended=59.0)).expires is None
    assert plan(parse({"minNodes": "1"}), Seen()) == Plan(1, True)


# -- rules of tasks

SSD = Rules(nodes=(NodeRule("disk", LabelOperator.IN, ("ssd",)),))
WEB = ("app", "web")


def test_tasks_that_no_node_of_the_pool_may_run_start_none() -> None:
    assert plan(Ask(), Seen(demands=[waiting(3, rules=SSD)])) == Plan(0, False)
    fast = parse({"labels": "pool=fast", "labelsPerNode": "disk=ssd"})
    assert wanted(fast, waiting(3, rules=SSD), waiting(1)) == 4
    slow = parse({"labelsPerNode": "disk=hdd"})
    assert wanted(slow, waiting(3, rules=SSD), waiting(1)) == 1


def test_nodes_are_chosen_by_the_labels_of_their_pool_without_repeating_them() -> None:
    pool = Rules(nodes=(NodeRule("pool", LabelOperator.IN, ("gpu",)),))
    assert wanted(parse({"labels": "pool=gpu"}), waiting(2, rules=pool)) == 2
    assert wanted(parse({"labels": "pool=cpu"}), waiting(2, rules=pool)) == 0


def test_a_rule_about_the_name_of_one_node_starts_no_other() -> None:
    only = Rules(nodes=(NodeRule("node", LabelOperator.IN, ("n7",)),))
    assert wanted(Ask(), waiting(1, rules=only)) == 0
    other = Rules(nodes=(NodeRule("node", LabelOperator.NOT_IN, ("n7",)),))
    assert wanted(Ask(), waiting(1, rules=other)) == 1


def test_a_preferred_rule_is_no_condition() -> None:
    preferred = Rules(nodes=(NodeRule("disk", LabelOperator.IN, ("ssd",), preferred=True),))
    assert wanted(Ask(), waiting(2, rules=preferred)) == 2


def test_a_tainted_pool_is_for_tasks_that_tolerate_its_taints() -> None:
    ask = parse({"taintsPerNode": "dedicated=ml"})
    ml = Rules(tolerations=(Toleration("dedicated", "ml"),))
    assert wanted(ask, waiting(3), waiting(2, rules=ml)) == 2
    # Those that are there are seen as they are, whatever new ones will be.
    tainted = node("n1", taints=(Taint("repair"),), idle=999.0)
    assert wanted(Ask(), waiting(1), nodes=(tainted,)) == 2


def test_a_node_with_the_wrong_labels_has_no_room() -> None:
    ask = parse({"labelsPerNode": "disk=ssd"})
    nodes = (node("n1", labels={"disk": "hdd"}, idle=999.0), node("n2", labels={"disk": "ssd"}))
    assert wanted(ask, waiting(1, rules=SSD), nodes=nodes) == 1
    assert wanted(ask, waiting(2, rules=SSD), nodes=nodes) == 3


def test_distinct_tasks_need_a_node_each() -> None:
    distinct = Rules(apart=(TaskRule(WEB, distinct=True),))
    ask = parse({"slotsPerNode": "4"})
    assert wanted(ask, waiting(3, rules=distinct)) == 3
    runs_one = node("n1", held=1, slots=4, running={WEB: 1})
    assert wanted(ask, waiting(2, rules=distinct), nodes=(runs_one, node("n2", slots=4))) == 3


def test_a_task_that_has_to_be_near_another_starts_no_node() -> None:
    near = Rules(near=(TaskRule(WEB),))
    assert plan(Ask(), Seen(demands=[waiting(1, rules=near)])) == Plan(0, False)
    there = node("n1", held=1, slots=2, running={WEB: 1})
    assert plan(Ask(), Seen([there], [waiting(1, rules=near)])).nodes == 1


def test_a_new_node_is_taken_to_be_able_to_what_those_are_that_are_there() -> None:
    for name in (BLOB_STORE, HOOKS):
        demand = waiting(2, counters={name: 1})
        assert wanted(Ask(), demand) == 2
        able, unable = node("n1", held=1, counters={name: 5}), node("n2", held=1)
        assert wanted(Ask(), demand, nodes=(able, unable)) == 4
        assert wanted(Ask(), demand, nodes=(unable,)) == 1
    said = parse({"countersPerNode": "blob-store=0"})
    assert wanted(said, waiting(2, counters={BLOB_STORE: 1})) == 0
