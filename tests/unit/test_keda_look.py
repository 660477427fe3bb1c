"""What a trigger sees of the leader's state."""

from __future__ import annotations

from math import inf

import pytest

from quorate.runtime.ids import QueueName
from scheduler.autoscaling import look as looking
from scheduler.autoscaling.ask import Ask, Shape
from scheduler.autoscaling.look import look
from scheduler.autoscaling.plan import Demand, NodeSeen, Seen, plan
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control, PauseRow
from scheduler.core.place_rules import Taint
from scheduler.core.values import NO_NEEDS, Needs, Rate
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_placement import placed
from tests.support.core_specs import START, spec


def seen(c: Cluster, ask: Ask | None = None) -> Seen:
    return look(c.state, ask or Ask(), c.now)


def one(c: Cluster, ask: Ask | None = None) -> NodeSeen:
    (found,) = seen(c, ask).nodes
    return found


def pause(c: Cluster, paused: bool = True) -> None:
    c.call(lambda token: e.QueuePauseAsked("default", paused, e.Request(), token))  # type: ignore[arg-type]


def control(c: Cluster, node: FakeNode, what: Control) -> None:
    c.call(lambda token: e.NodeControlAsked(node.name, what, e.Request(), token))


def test_an_empty_cluster_has_nothing_to_tell() -> None:
    assert seen(Cluster()) == Seen([], [], 0.0, inf)


def test_tasks_that_wait_are_counted_by_what_they_need() -> None:
    c = Cluster()
    for priority in (0, 1, 1):
        c.submit(spec(priority=priority, cpu=2.0))
    c.submit()
    c.queue("mail")
    c.submit(spec(cpu=2.0), queue="mail")
    demands = {d.needs: d for d in seen(c).demands}
    assert demands == {
        Needs(cpu=2.0): Demand(Needs(cpu=2.0), 4),
        NO_NEEDS: Demand(NO_NEEDS, 1),
    }
    assert seen(c, Ask(queues=("ma*",))).demands == [Demand(Needs(cpu=2.0), 1)]


def test_kinds_beyond_the_bound_count_as_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MAX_KINDS", 2)
    c = Cluster()
    for cpu in (1.0, 2.0, 3.0, 4.0):
        c.submit(spec(cpu=cpu))
    assert sum(demand.count for demand in seen(c).demands) == 4
    assert Demand(NO_NEEDS, 2) in seen(c).demands


def test_what_a_limit_holds_back_waits_for_no_node() -> None:
    c = Cluster()
    c.limit("licence", 2)
    c.queue("mail", max_running=3)
    c.queue("paced", rate=Rate(1, 60.0, 2))
    c.queue("keyed", max_running_per_key=1)
    for _ in range(5):
        c.submit(queue="mail")
        c.submit(queue="paced")
        c.submit(spec(limits=["licence"], cpu=2.0))
    assert {(d.needs.cpu, d.count) for d in seen(c).demands} == {(0.0, 5), (2.0, 2)}
    n = c.node("n1", slots=20, credit=20)
    tasks = [c.submit(spec(key="a"), queue="keyed") for _ in range(3)]
    assert seen(c).demands == []
    assert len(n.has) == 8
    c.control("n1", Control(cordoned=True))
    n.succeed(tasks[0])
    # One at a time: the demand may be too large by what waits behind it, never too small.
    assert [d.count for d in seen(c).demands] == [2]


def test_rules_are_told_apart_and_labels_taints_and_what_runs_are_seen() -> None:
    c = Cluster()
    node = c.node("n1", labels={"disk": "hdd"}, credit=5)
    c.control("n1", Control(taints=(Taint("repair"),)))
    for _ in range(2):
        c.submit(placed(where=["disk=ssd"], tolerate=["repair"]))
    c.submit()
    there = c.submit(placed({"app": "web"}, tolerate=["repair"]))
    assert list(node.has) == [there]
    found = {str(d.rules.nodes[0]) if d.rules else "": d.count for d in seen(c).demands}
    assert found == {"disk = ssd": 2, "": 1}
    assert one(c).labels == {"disk": "hdd"}
    assert one(c).taints == (Taint("repair"),)
    assert one(c).running == {("app", "web"): 1}


def test_kinds_that_no_node_of_the_pool_runs_take_no_others_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "MAX_KINDS", 2)
    c = Cluster()
    for number in range(5):
        c.submit(placed(where=[f"disk=none-{number}"]))
    ask = Ask(shape=Shape(labels=(("disk", "ssd"), ("zone", "a"))))
    for where in ("disk=ssd", "zone=a", "zone!=b"):
        c.submit(placed(where=[where]))
    found = {str(d.rules.nodes[0]) if d.rules else "": d.count for d in seen(c, ask).demands}
    # The third one counts as a slot.
    assert found == {
        "disk = ssd": 1,
        "zone = a": 1,
        "": 1,
        "disk = none-0": 1,
        "disk = none-1": 1,
    }
    assert plan(ask, seen(c, ask)).nodes == 3


def test_of_many_nodes_fewer_kinds_are_distinguished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MAX_COMPARED", 30)
    c = Cluster()
    for cpu in range(1, 20):
        c.submit(spec(cpu=float(cpu)))
    assert len(seen(c).demands) == 19
    c.node("n1", credit=0)
    c.node("n2", credit=0)
    c.node("n3", credit=0)
    found = seen(c).demands
    # What is left counts as slots.
    assert (len(found), sum(demand.count for demand in found)) == (11, 19)


def test_a_look_is_bounded_also_where_each_task_is_another_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "MOST_LANES", 3)
    c = Cluster()
    for cpu in range(1, 10):
        c.submit(spec(cpu=float(cpu)))
    assert len(seen(c).demands) == 3


def test_subtasks_have_the_rules_of_their_job_and_wait_for_its_pause() -> None:
    c = Cluster()
    task = placed(where=["disk=ssd"])
    Jobs(c).create(10, job_spec()._replace(labels=(("app", "mail"),), rules=task.rules))
    (demand,) = seen(c).demands
    assert demand.count == 10
    assert demand.rules is not None
    assert [str(rule) for rule in demand.rules.nodes] == ["disk = ssd"]
    pause = PauseRow("p", labels=(("app", "mail"),))
    c.call(lambda token: e.PauseSubmitted(pause, e.Request(), token))
    # Placement has met it.
    c.node("n1")
    assert seen(c).demands == []


def test_what_a_pause_holds_back_waits_for_no_node() -> None:
    c = Cluster()
    pause = PauseRow("p", labels=(("app", "mail"),))
    c.call(lambda token: e.PauseSubmitted(pause, e.Request(), token))
    for number in range(5):
        c.submit(placed({"app": "mail"}, priority=number % 2))
    c.submit(placed({"app": "mail"}, fairness_key="acme"))
    # Looked for now and then.
    c.advance(1.0)
    assert seen(c).demands == []
    c.submit(placed({"app": "web"}))
    assert [d.count for d in seen(c).demands] == [1]
    c.call(lambda token: e.PauseDeleteAsked("p", QueueName(""), e.Request(), token))
    c.advance(0.0)
    assert sum(d.count for d in seen(c).demands) == 7


def test_what_waits_in_a_paused_queue_waits_for_no_node() -> None:
    c = Cluster()
    c.submit()
    pause(c)
    assert seen(c).demands == []
    assert seen(c).oldest == 0.0


def test_the_oldest_waits_since_it_was_created() -> None:
    c = Cluster()
    c.submit(spec(not_before=START + 100.0))
    assert (seen(c).demands, seen(c).oldest) == ([], 0.0)
    c.advance(130.0)
    c.submit()
    assert seen(c).oldest == 130.0


def test_a_node_is_idle_since_its_last_attempt_ended() -> None:
    c = Cluster()
    n = c.node("n1")
    c.advance(5.0)
    assert one(c).idle == 5.0
    task = c.submit(spec(cpu=1.5, counters={}))
    c.advance(600.0)
    assert (one(c).held, one(c).slots_held, one(c).cpu_held, one(c).idle) == (1, 1, 1.5, 0.0)
    n.succeed(task)
    c.advance(7.0)
    assert (one(c).held, one(c).cpu_held, one(c).idle) == (0, 0.0, 7.0)
    assert seen(c).ended == 7.0


def test_a_new_leader_counts_the_idle_time_of_nodes_anew_and_that_of_queues_on() -> None:
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    n.succeed(c.submit())
    c.advance(50.0)
    c.lead(log.followed())
    assert one(c).idle == 0.0
    assert seen(c).ended == 50.0


def test_a_queue_remembers_its_last_task_beyond_its_retention() -> None:
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.succeed(task)
    c.advance(5.0)
    c.call(lambda token: e.TaskDeleteAsked(task, e.Request(), token))
    assert not c.state.finished
    assert seen(c).ended == 5.0


def test_only_nodes_with_the_labels_are_scaled() -> None:
    c = Cluster()
    n = c.node("n1")
    c.state.nodes[n.name].labels["pool"] = "gpu"
    c.node("n2")
    assert [node.name for node in seen(c, Ask(labels=(("pool", "gpu"),))).nodes] == ["n1"]
    assert seen(c, Ask(labels=(("pool", "cpu"),))).nodes == []


def test_a_marked_node_is_seen_with_its_mark() -> None:
    c = Cluster()
    n = c.node("n1")
    assert (one(c).marked, one(c).instance) == (None, n.instance)
    c.step(e.ScaleDownDecided([(n.name, n.instance)], ()))
    c.advance(4.0)
    assert (one(c).marked, one(c).idle, one(c).draining) == (4.0, 4.0, False)
    control(c, n, Control(True, True, 5.0))
    assert one(c).draining


@pytest.mark.parametrize("what", [Control(cordoned=True), Control(True, True, 5.0)])
def test_a_node_that_an_operator_closed_takes_nothing(what: Control) -> None:
    c = Cluster()
    n = c.node("n1")
    assert one(c).open
    control(c, n, what)
    assert not one(c).open
