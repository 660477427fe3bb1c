"""Placement rules: labels, taints, distinct nodes, tasks near and apart; who is refused and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from quorate.runtime.ids import NodeName, QueueName, TaskId
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control
from scheduler.core.place_rules import PlaceSettings, Taint
from scheduler.core.placement.explain import Filter, Why, explain
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import Placement, TaskState
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec
from tests.support.core_placement import placed
from tests.support.core_specs import spec

NODES = {
    "n1": {"disk": "ssd", "zone": "a"},
    "n2": {"disk": "nvme", "zone": "b"},
    "n3": {"disk": "hdd", "zone": "b", "gpu": "1"},
}


def cluster(credit: int = 20) -> Cluster:
    c = Cluster()
    for name, labels in NODES.items():
        c.node(name, credit=credit, labels=labels)
    return c


def places(c: Cluster, tasks: list[TaskId]) -> set[str]:
    return {c.place_of(task) if c.row(task).node else "" for task in tasks}


@pytest.mark.parametrize(
    ("where", "nodes"),
    [
        ("disk = ssd", {"n1"}),
        ("disk=ssd", {"n1"}),
        ("disk in ssd,nvme", {"n1", "n2"}),
        ("disk IN (ssd, nvme)", {"n1", "n2"}),
        ("disk != hdd", {"n1", "n2"}),
        ("disk not in ssd,nvme", {"n3"}),
        ("gpu != 1", {"n1", "n2"}),
        ("gpu", {"n3"}),
        ("gpu exists", {"n3"}),
        ("!gpu", {"n1", "n2"}),
        ("gpu !exists", {"n1", "n2"}),
        ("node = n2", {"n2"}),
        (("zone=b", "!gpu"), {"n2"}),
        ("disk = floppy", {""}),
    ],
)
def test_a_rule_names_the_nodes(where: object, nodes: set[str]):
    c = cluster()
    tasks = [c.submit(placed(where=where)) for _ in range(12)]
    assert places(c, tasks) == nodes


def test_a_task_that_no_node_suits_holds_back_no_other():
    c = cluster()
    waits = c.submit(placed(where="disk=floppy"))
    goes = c.submit()
    assert c.state_of(waits) is TaskState.PENDING
    assert c.state_of(goes) is TaskState.RUNNING


def test_a_preference_is_left_out_when_such_a_node_is_full():
    c = cluster(credit=2)
    tasks = [c.submit(placed(prefer="disk=ssd")) for _ in range(4)]
    assert [c.place_of(task) for task in tasks[:2]] == ["n1", "n1"]
    assert places(c, tasks[2:]) <= {"n2", "n3"}


def test_a_taint_keeps_away_whoever_does_not_tolerate_it():
    c = Cluster()
    c.node("n1", credit=20, taints=[Taint("dedicated", "ml")])
    c.node("n2", credit=20)
    assert places(c, [c.submit() for _ in range(5)]) == {"n2"}
    assert places(c, [c.submit(placed(tolerate="dedicated=web")) for _ in range(5)]) == {"n2"}
    for tolerate in ("dedicated", "dedicated=ml", "*"):
        assert "n1" in places(c, [c.submit(placed(tolerate=tolerate)) for _ in range(9)])


def test_a_taint_by_an_operator_lets_what_runs_go_on_and_outlives_the_agent():
    c = Cluster()
    n = c.node("n1")
    runs = c.submit()
    c.control("n1", Control(taints=(Taint("maintenance"),)))
    assert c.state_of(runs) is TaskState.RUNNING
    waits = c.submit()
    n = c.node("n1")
    assert not n.has
    assert c.state_of(waits) is TaskState.PENDING
    c.control("n1", Control())
    assert c.state_of(waits) is TaskState.RUNNING


def test_distinct_tasks_run_on_different_nodes():
    c = cluster()
    web = [c.submit(placed({"app": "web"}, distinct="app")) for _ in range(4)]
    db = [c.submit(placed({"app": "db"}, distinct="app")) for _ in range(3)]
    assert {c.place_of(task) for task in web[:3]} == set(NODES)
    assert c.state_of(web[3]) is TaskState.PENDING
    assert {c.place_of(task) for task in db} == set(NODES)
    node = next(n for n in c.nodes.values() if n.name == c.place_of(web[0]))
    node.succeed(web[0])
    assert c.place_of(web[3]) == node.name


def test_tasks_are_near_or_apart():
    c = cluster()
    waits = c.submit(placed(near={"app": "cache"}))
    assert c.state_of(waits) is TaskState.PENDING
    cache = c.submit(placed({"app": "cache"}, where="node=n2"))
    assert c.place().more is False
    assert c.place_of(cache) == c.place_of(waits) == "n2"
    away = [c.submit(placed(apart={"app": "cache"})) for _ in range(8)]
    assert places(c, away) == {"n1", "n3"}


def test_labels_are_counted_until_the_last_task_has_ended():
    c = cluster()
    tasks = [c.submit(placed({"app": "x"}, where="node=n1")) for _ in range(2)]
    n1 = next(n for n in c.nodes.values() if n.name == "n1")
    n1.succeed(tasks[0])
    waits = c.submit(placed(where="node=n1", apart={"app": "x"}))
    assert c.state_of(waits) is TaskState.PENDING
    n1.succeed(tasks[1])
    assert c.state_of(waits) is TaskState.RUNNING
    assert c.state.nodes[n1.name].allocation.labels == {}


def test_chunks_of_a_job_follow_the_rules_of_its_template():
    jobs = Jobs(Cluster())
    c = jobs.cluster
    for name, labels in NODES.items():
        c.node(name, labels=labels)
    told = placed({"app": "x"}, where="disk=nvme")
    jobs.create(50, job_spec()._replace(rules=told.rules, labels=told.labels))
    assert {row.node for row in c.state.chunks.values()} == {"n2"}
    assert c.state.nodes[NodeName("n2")].allocation.labels == {("app", "x"): len(c.state.chunks)}


# -- strategies


def by(c: Cluster, placement: Placement, count: int, what=None) -> Counter[str]:
    queue = c.queue(placement.name.lower(), placement=placement)
    tasks = [c.submit(what, queue=queue) for _ in range(count)]
    return Counter(c.place_of(task) for task in tasks)


def test_bin_pack_fills_the_slots_of_a_node_before_the_next():
    c = cluster()
    assert sorted(by(c, Placement.BIN_PACK, 6).values()) == [2, 4]


def test_bin_pack_goes_by_load_when_no_slot_is_free():
    c = cluster()
    assert sorted(by(c, Placement.BIN_PACK, 18).values()) == [6, 6, 6]


def test_spread_counts_the_tasks_of_its_queue_alone():
    c = cluster()
    for _ in range(6):
        c.submit(placed(where="node=n1"))
    assert set(by(c, Placement.SPREAD, 9).values()) == {3}


def test_spread_over_the_values_of_a_label():
    c = cluster()
    tasks = [c.submit(placed(spread="zone")) for _ in range(12)]
    zones = Counter(NODES[c.place_of(task)]["zone"] for task in tasks)
    assert zones == {"a": 6, "b": 6}


def test_random_of_two_is_even_and_the_same_on_every_leader():
    found = [by(cluster(100), Placement.RANDOM_OF_TWO, 90) for _ in range(2)]
    assert found[0] == found[1]
    assert min(found[0].values()) >= 25


def test_random_of_two_finds_the_only_node_with_room():
    c = Cluster()
    for place in range(12):
        c.node(f"n{place:02}", credit=1)
    assert set(by(c, Placement.RANDOM_OF_TWO, 12).values()) == {1}


def test_a_task_says_a_strategy_of_its_own():
    c = cluster()
    tasks = [c.submit(placed(placement="bin-pack")) for _ in range(4)]
    assert len(places(c, tasks)) == 1


# -- explained


def refused(c: Cluster, task: TaskId) -> dict[str, Filter]:
    found = explain(c.state, c.row(task), c.now)
    return {one.node: one.filter for one in found.nodes}


def test_each_rule_that_refuses_a_node_is_named():
    c = cluster()
    c.control("n1", Control(taints=(Taint("dedicated", "ml"),)))
    c.submit(placed({"app": "cache"}, where="node=n2"))
    task = c.submit(placed(where="disk in ssd,nvme", near={"app": "db"}))
    assert refused(c, task) == {"n1": Filter.TAINT, "n2": Filter.NEAR, "n3": Filter.LABELS}
    found = explain(c.state, c.row(task), c.now)
    assert found.nodes[2].sentence == "node n3 has disk=hdd, and the task needs disk in ssd,nvme"
    assert found.reasons[0].why is Why.NODES_BUSY
    task = c.submit(placed(apart={"app": "cache"}, where="node=n2"))
    assert refused(c, task)["n2"] is Filter.APART


def test_no_node_can_run_it_names_the_rule_or_the_taint():
    c = cluster()
    state = c.state

    def why(**rules: Any) -> str:
        return why_unplaceable(state, spec().needs, placed(**rules).rules)

    assert why(where="disk=ssd") == ""
    assert why(where="disk=floppy").startswith("no node has disk = floppy: the task waits until")
    assert why(where=["disk=ssd", "gpu"]).startswith("no node has labels and taints that allow")
    for name in NODES:
        c.control(name, Control(taints=(Taint("dedicated", "ml"),)))
    assert why_unplaceable(state, spec().needs).startswith(
        "every node has a taint that the task does not tolerate, such as dedicated=ml: the task"
    )
    assert why(tolerate="dedicated") == ""
    # The task's own view says so, too.
    task = c.submit()
    assert explain(state, c.row(task), c.now).reasons[0].why is Why.NO_NODE_FITS


# -- filters and scores from outside


def with_filters(c: Cluster, *filters: str, score: str = "") -> None:
    row = c.state.queues[QueueName("default")]
    settings = settings_of(row)._replace(place=PlaceSettings("", filters, score))
    c.call(lambda token: e.QueueUpdateAsked(row.name, settings, e.Request(), token))


def test_a_filter_from_outside_refuses_nodes_and_says_why():
    c = cluster()
    c.state.plugins = replace(
        c.state.plugins,
        filters={"licensed": lambda row, node: "" if "gpu" in node.labels else "no licence"},
    )
    with_filters(c, "licensed")
    assert places(c, [c.submit() for _ in range(5)]) == {"n3"}
    c.control("n3", Control(cordoned=True))
    task = c.submit()
    assert refused(c, task) == {"n1": Filter.PLUGIN, "n2": Filter.PLUGIN, "n3": Filter.CORDONED}
    (first, *_) = explain(c.state, c.row(task), c.now).nodes
    assert first.sentence == "node n1 is refused by filter 'licensed': no licence"


def test_a_filter_that_the_leader_does_not_have_refuses_every_node():
    c = cluster()
    with_filters(c, "unknown")
    task = c.submit()
    assert set(refused(c, task).values()) == {Filter.PLUGIN}
    assert c.state_of(task) is TaskState.PENDING


def test_a_filter_that_refuses_one_task_holds_back_none_with_other_labels():
    c = cluster()
    c.state.plugins = replace(
        c.state.plugins,
        filters={"even": lambda row, node: "odd" if dict(row.labels).get("n") == "1" else ""},
    )
    with_filters(c, "even")
    waits, goes = c.submit(placed({"n": "1"})), c.submit(placed({"n": "2"}))
    assert c.state_of(waits) is TaskState.PENDING
    assert c.state_of(goes) is TaskState.RUNNING


def test_a_score_from_outside_chooses_and_an_unknown_one_leaves_it_to_the_strategy():
    c = cluster()
    c.state.plugins = replace(
        c.state.plugins, scores={"last": lambda row, node: float(node.name[1:])}
    )
    with_filters(c, score="last")
    assert places(c, [c.submit() for _ in range(5)]) == {"n3"}
    with_filters(c, score="unknown")
    assert len(places(c, [c.submit() for _ in range(24)])) == 3


@pytest.mark.parametrize(
    ("labels", "taints", "asked"),
    [
        ({"disk": "hdd"}, [], False),
        ({"disk": "ssd"}, [Taint("gpu")], False),
        ({"disk": "ssd"}, [], True),
    ],
)
def test_a_chunk_is_recalled_for_a_slot_where_it_may_run(
    labels: dict[str, str], taints: list[Taint], asked: bool
):
    jobs = Jobs(Cluster())
    c = jobs.cluster
    one = c.node("n1", credit=1, slots=1, labels={"disk": "ssd"})
    job = jobs.create(200, job_spec()._replace(rules=placed(where="disk=ssd").rules))
    (first,) = jobs.chunks(job)
    jobs.succeed(one, first, 1e-6)
    two = c.node("n2", credit=1, slots=1, labels={"disk": "ssd"})
    while jobs.row(job).array.pending:
        for chunk in list(two.has):
            jobs.succeed(two, chunk, 1e-6)
    c.control("n2", Control(cordoned=True))
    for chunk in list(two.has):
        jobs.succeed(two, chunk, 1e-6)
    c.node("n3", credit=1, slots=1, labels=labels, taints=taints)
    c.advance(0.5)
    c.place()
    assert bool(one.recalled) is asked
