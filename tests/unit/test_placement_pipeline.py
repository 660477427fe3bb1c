"""Placement: resources, lanes, queues in turn, the three strategies."""

from __future__ import annotations

import random
from collections import Counter

from quorate.runtime.ids import TaskId
from scheduler.core.model.rows import NodeRow
from scheduler.core.values import Placement, TaskState
from tests.support.core import Cluster
from tests.support.core_specs import spec

GIB = 1 << 30


def places(c: Cluster, tasks: list[TaskId]) -> list[str]:
    return [c.place_of(task) for task in tasks]


def test_credit_is_never_overdrawn():
    c = Cluster()
    n = c.node("n1", credit=3)
    tasks = [c.submit() for _ in range(10)]
    assert len(n.has) == 3
    n.credit(1)
    n.succeed(tasks[0])
    assert len(n.has) == 2
    n.credit(5)
    assert len(n.has) == 5


def test_one_pass_places_no_more_than_it_is_told():
    c = Cluster()
    c.placing = False
    for _ in range(10):
        c.submit()
    c.node("n1", credit=10)
    assert len(c.place(limit=4).writes) == 4
    assert len(c.place(limit=100).writes) == 6
    assert c.place(limit=0).writes == []


def test_resources_are_never_overcommitted():
    rng = random.Random(5)
    c = Cluster()
    for name in ("n1", "n2"):
        c.node(name, credit=50, cpu=4.0, memory=8 * GIB, counters={"gpu": 2})
    running: list[TaskId] = []

    def check_capacity(node: NodeRow) -> None:
        rows = list(node.allocation.rows.values())
        assert sum(r.needs.cpu for r in rows) <= node.cpu + 1e-6
        assert sum(r.needs.memory for r in rows) <= node.memory
        assert sum(dict(r.needs.counters).get("gpu", 0) for r in rows) <= 2

    for _ in range(300):
        c.submit(
            spec(
                cpu=rng.choice([0, 0.1, 0.5, 1.1, 3.0]),
                memory=rng.choice([0, GIB, 5 * GIB]),
                counters=rng.choice([None, {"gpu": 1}, {"gpu": 2}]),
            )
        )
        for node in c.state.nodes.values():
            check_capacity(node)
        running = [task for task, row in c.state.tasks.items() if row.node]
        if running and rng.random() < 0.6:
            task = rng.choice(running)
            c.nodes[c.row(task).instance].succeed(task)
    # Everything gets its turn in the end.
    while c.state.tasks:
        task = next(task for task, row in c.state.tasks.items() if row.node)
        c.nodes[c.row(task).instance].succeed(task)
    for node in c.state.nodes.values():
        assert abs(node.allocation.cpu) < 1e-6
        assert (node.allocation.memory, node.allocation.counters.get("gpu", 0)) == (0, 0)


def test_shares_of_cores_that_add_up_fit_whatever_the_rounding():
    c = Cluster()
    c.node("n1", credit=50, cpu=3.3)
    assert 1.1 + 2.2 > 3.3
    tasks = [c.submit(spec(cpu=1.1)), c.submit(spec(cpu=2.2))]
    assert places(c, tasks) == ["n1", "n1"]


def test_task_that_fits_nowhere_does_not_hold_back_those_that_fit():
    c = Cluster()
    n = c.node("n1", cpu=1.0)
    huge = c.submit(spec(cpu=64.0))
    gpu = c.submit(spec(counters={"gpu": 1}))
    small = [c.submit(spec(cpu=0.5)), c.submit()]
    low = c.submit(spec(priority=-5))
    assert list(n.has) == [*small, low]
    assert [c.state_of(task) for task in (huge, gpu)] == [TaskState.PENDING] * 2
    big = c.node("n2", cpu=64.0, counters={"gpu": 1})
    assert sorted(big.has) == sorted([huge, gpu])


def test_many_kinds_that_fit_nowhere_do_not_hold_back_what_fits_for_ever():
    c = Cluster(checked=False)
    for kind in range(200):
        c.submit(spec(counters={f"licence-{kind}": 1}))
    fits = c.submit(spec(cpu=0.5))
    low = c.submit(spec(priority=-1))
    c.node("n1")
    for _ in range(10):
        c.place()
    assert places(c, [fits, low]) == ["n1", "n1"]


def test_freed_resources_go_to_the_oldest_that_fits():
    c = Cluster()
    n = c.node("n1", credit=10, cpu=2.0)
    first = c.submit(spec(cpu=2.0))
    wide = c.submit(spec(cpu=1.5))
    narrow = c.submit(spec(cpu=0.6))
    assert list(n.has) == [first]
    n.succeed(first)
    assert list(n.has) == [wide]
    n.succeed(wide)
    assert list(n.has) == [narrow]


def test_queues_take_turns():
    c = Cluster()
    for name in ("a", "b", "c"):
        c.queue(name)
        for _ in range(10):
            c.submit(queue=name)
    n = c.node("n1", credit=1)
    served = []
    for _ in range(12):
        (task,) = n.has
        served.append(c.row(task).queue.name)
        n.succeed(task)
    assert Counter(served) == {"a": 4, "b": 4, "c": 4}
    assert all(len(set(served[at : at + 3])) == 3 for at in range(0, 12, 3))


def test_idle_queues_do_not_spoil_the_turns_of_busy_ones():
    c = Cluster()
    for name in ("a", "b"):
        c.queue(name)
    for number in range(30):
        c.queue(f"idle-{number}")
    for name in ("a", "b"):
        for _ in range(30):
            c.submit(queue=name)
    n = c.node("n1", credit=1)
    served = []
    for _ in range(20):
        (task,) = n.has
        served.append(c.row(task).queue.name)
        n.succeed(task)
    assert Counter(served) == {"a": 10, "b": 10}


def test_big_queue_does_not_hold_back_a_small_one():
    c = Cluster(checked=False)
    c.placing = False
    for name in ("big", "small"):
        c.queue(name)
    for _ in range(500):
        c.submit(queue="big")
    few = [c.submit(queue="small") for _ in range(3)]
    c.node("n1", credit=60)
    c.place(limit=50)
    assert places(c, few) == ["n1"] * 3


# -- strategies


def test_least_loaded_spreads_by_slots():
    c = Cluster()
    c.placing = False
    small = c.node("small", credit=50, slots=2)
    large = c.node("large", credit=50, slots=6)
    for _ in range(16):
        c.submit()
    c.place()
    assert (len(small.has), len(large.has)) == (4, 12)


def test_least_loaded_counts_what_the_node_measured():
    c = Cluster()
    busy = c.node("a-busy", credit=10)
    idle = c.node("b-idle", credit=10)
    busy.stats(cpu=0.9)
    first = c.submit()
    assert c.place_of(first) == "b-idle"
    idle.stats(cpu=0.0, memory_used=9.5, memory_total=10)
    busy.stats(cpu=0.1)
    second = c.submit()
    assert c.place_of(second) == "a-busy"


def test_round_robin_goes_on_from_pass_to_pass():
    c = Cluster()
    c.queue("q", placement=Placement.ROUND_ROBIN)
    for name in ("n2", "n1", "n3"):
        c.node(name, credit=10)
    tasks = [c.submit(queue="q") for _ in range(7)]
    assert places(c, tasks) == ["n1", "n2", "n3", "n1", "n2", "n3", "n1"]


def test_round_robin_skips_full_nodes():
    c = Cluster()
    c.queue("q", placement=Placement.ROUND_ROBIN)
    c.node("n1", credit=1)
    c.node("n2", credit=10)
    tasks = [c.submit(queue="q") for _ in range(4)]
    assert places(c, tasks) == ["n1", "n2", "n2", "n2"]


def hashed(nodes: list[str], keys: list[str], credit: int = 500) -> dict[str, str]:
    """Where each key's task goes."""
    c = Cluster(checked=False)
    c.queue("q", placement=Placement.CONSISTENT_HASH)
    for name in nodes:
        c.node(name, credit=credit)
    return {key: c.place_of(c.submit(spec(affinity=key), queue="q")) for key in keys}


KEYS = [f"key-{number}" for number in range(300)]


def test_consistent_hash_keeps_a_key_on_its_node():
    c = Cluster()
    c.queue("q", placement=Placement.CONSISTENT_HASH)
    for name in ("n1", "n2", "n3"):
        c.node(name, credit=50)
    assert len(set(places(c, [c.submit(spec(affinity="k"), queue="q") for _ in range(20)]))) == 1


def test_consistent_hash_spreads_keys_and_moves_few_when_a_node_goes():
    before = hashed(["n1", "n2", "n3", "n4"], KEYS)
    share = Counter(before.values())
    assert len(share) == 4
    assert min(share.values()) > 300 / 4 / 2
    after = hashed(["n1", "n2", "n4"], KEYS)
    moved = [key for key in KEYS if before[key] != after[key]]
    assert moved == [key for key in KEYS if before[key] == "n3"]


def test_consistent_hash_passes_on_when_the_node_is_full():
    c = Cluster()
    c.queue("q", placement=Placement.CONSISTENT_HASH)
    for name in ("n1", "n2"):
        c.node(name, credit=3)
    tasks = [c.submit(spec(affinity="k"), queue="q") for _ in range(7)]
    assert Counter(places(c, tasks)) == {"n1": 3, "n2": 3, "": 1}
    assert len(set(places(c, tasks[:3]))) == 1


def test_consistent_hash_without_a_key_spreads_by_task():
    c = Cluster()
    c.queue("q", placement=Placement.CONSISTENT_HASH)
    for name in ("n1", "n2"):
        c.node(name, credit=500)
    where = Counter(places(c, [c.submit(queue="q") for _ in range(100)]))
    assert min(where.values()) > 20


def test_order_of_registration_does_not_matter():
    for placement in Placement:
        found = []
        for names in (["n1", "n2", "n3"], ["n3", "n1", "n2"]):
            c = Cluster()
            c.queue("q", placement=placement)
            for name in names:
                c.node(name, credit=9)
            tasks = [c.submit(spec(affinity=f"k{n}"), queue="q") for n in range(12)]
            found.append(places(c, tasks))
        assert found[0] == found[1]


def test_queues_with_different_strategies_share_the_nodes_of_one_pass():
    c = Cluster()
    c.placing = False
    for placement in Placement:
        c.queue(placement.name.lower().replace("_", "-"), placement=placement)
        for _ in range(40):
            c.submit(queue=placement.name.lower().replace("_", "-"))
    nodes = [c.node(name, credit=20) for name in ("n1", "n2")]
    c.place()
    assert [len(node.has) for node in nodes] == [20, 20]
