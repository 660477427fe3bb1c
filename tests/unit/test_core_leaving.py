"""Nodes that a scale-down may end: marked only while idle, and taken back before work waits."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import InstanceId, NodeName
from quorate.v1 import node_pb2
from scheduler.api.nodes import views
from scheduler.api.views import instant
from scheduler.core.handlers.nodes.scaling_down import CHANGES_AT_ONCE, decided
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control, ScalingDown
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import START, spec


def mark(c: Cluster, *nodes: FakeNode) -> fx.Effects:
    return c.step(e.ScaleDownDecided([(n.name, n.instance) for n in nodes], ()))


def back(c: Cluster, *nodes: FakeNode) -> None:
    c.step(e.ScaleDownDecided((), [(n.name, n.instance) for n in nodes]))


def leaving(c: Cluster) -> list[str]:
    return sorted(c.state.scaling_down)


def test_an_idle_node_is_marked_told_and_gets_no_more_work():
    c = Cluster()
    one, two = c.node("n1"), c.node("n2")
    out = mark(c, one)
    assert out.writes == [fx.PutScalingDown(one.name, ScalingDown(one.instance, START))]
    assert (one.leaving, two.leaving) == ([True], [])
    for _ in range(4):
        assert c.place_of(c.submit()) == "n2"
    assert leaving(c) == ["n1"]


def test_the_node_is_told_only_when_the_mark_is_on_record():
    c = Cluster()
    n = c.node("n1")
    c.commit_late = True
    mark(c, n)
    assert n.leaving == []
    c.commit()
    assert n.leaving == [True]


def test_a_busy_node_is_never_marked():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    out = mark(c, n)
    assert (out.writes, out.after, leaving(c)) == ([], [], [])
    n.succeed(task)
    mark(c, n)
    assert leaving(c) == ["n1"]


@pytest.mark.parametrize("name", ["n1", "n9"])
def test_a_process_that_is_not_there_any_more_is_not_marked(name: str):
    c = Cluster()
    c.node("n1")
    out = c.step(e.ScaleDownDecided([(NodeName(name), InstanceId("gone"))], ()))
    assert out.writes == []


def test_marking_twice_writes_once_and_keeps_the_first_instant():
    c = Cluster()
    n = c.node("n1")
    mark(c, n)
    c.advance(5.0)
    assert mark(c, n).writes == []
    assert c.state.scaling_down[n.name].since == START


def test_a_mark_that_is_taken_back_lets_the_node_work():
    c = Cluster()
    n = c.node("n1")
    mark(c, n)
    back(c, n)
    assert (leaving(c), n.leaving) == ([], [True, False])
    assert c.place_of(c.submit()) == "n1"


def test_another_process_of_the_name_does_not_lose_its_mark_to_an_old_decision():
    c = Cluster()
    n = c.node("n1")
    mark(c, n)
    c.step(e.ScaleDownDecided((), [(n.name, InstanceId("older"))]))
    assert leaving(c) == ["n1"]


def test_work_that_nobody_else_takes_takes_the_newest_mark_back_at_once():
    c = Cluster()
    nodes = [c.node(f"n{number}", credit=1) for number in range(1, 4)]
    for n in nodes[1:]:
        mark(c, n)
        c.advance(1.0)
    assert c.place_of(c.submit()) == "n1"
    assert leaving(c) == ["n2", "n3"]
    # In one step: no look of the scaler, and no task that waits.
    assert c.place_of(c.submit()) == "n3"
    assert leaving(c) == ["n2"]
    assert nodes[2].leaving == [True, False]
    assert c.place_of(c.submit()) == "n2"
    assert leaving(c) == []


def test_a_backlog_takes_back_as_many_as_it_fills():
    c = Cluster()
    c.placing = False
    nodes = [c.node(f"n{number}", credit=2) for number in range(5)]
    mark(c, *nodes[:4])
    for _ in range(5):
        c.submit()
    c.place()
    assert len(leaving(c)) == 2
    assert sum(len(n.has) for n in nodes) == 5


def test_each_mark_taken_back_is_one_write_and_one_effect():
    # The driver cuts what placement wants into Txns, writes and effects alike.
    c = Cluster()
    c.placing = False
    nodes = [c.node(f"n{number}", credit=1) for number in range(3)]
    mark(c, *nodes)
    for _ in range(3):
        c.submit()
    out = c.machine.place(c.now, 100)
    assert len(out.writes) == len(out.after) == 6


def test_work_that_the_node_could_not_hold_leaves_its_mark():
    c = Cluster()
    n = c.node("n1", cpu=1.0)
    mark(c, n)
    c.submit(spec(cpu=2.0))
    c.submit(spec(counters={"gpu": 1}))
    assert leaving(c) == ["n1"]
    # Behind what fits nowhere.
    assert c.place_of(c.submit(spec(cpu=1.0))) == "n1"


@pytest.mark.parametrize("what", [Control(cordoned=True), Control(True, True, 5.0)])
def test_a_node_that_an_operator_closed_is_not_taken_back_for_work(what: Control):
    c = Cluster()
    n = c.node("n1")
    mark(c, n)
    c.control("n1", what)
    c.submit()
    assert leaving(c) == ["n1"]
    c.control("n1", Control())
    assert leaving(c) == []
    assert len(n.has) == 1


def test_a_paused_queue_takes_nobody_back():
    c = Cluster()
    mark(c, c.node("n1"))
    c.pause()
    c.submit()
    assert leaving(c) == ["n1"]
    c.pause(paused=False)
    assert leaving(c) == []


def test_a_replica_takes_a_node_back():
    c = Cluster()
    mark(c, c.node("n1", credit=1))
    c.service("web", replicas=1)
    assert leaving(c) == []
    assert len(c.replicas("web")) == 1
    assert c.place_of(c.replicas("web")[0]) == "n1"


def test_an_agent_that_takes_no_work_now_keeps_its_mark():
    # As one that has had its SIGTERM: the task waits for another node.
    c = Cluster()
    n = c.node("n1")
    mark(c, n)
    n.credit(0)
    c.submit()
    assert leaving(c) == ["n1"]


def test_a_mark_goes_with_its_process():
    c = Cluster()
    n = c.node("n1")
    mark(c, n)
    n.lose()
    assert leaving(c) == []
    n = c.node("n1")
    mark(c, n)
    again = c.node("n1")
    assert (leaving(c), again.leaving) == ([], [])
    assert c.place_of(c.submit()) == "n1"


def test_the_next_leader_keeps_the_marks():
    log = Log()
    c = Cluster(log=log)
    one, two = c.node("n1"), c.node("n2")
    c.advance(10.0)
    mark(c, one)
    c.advance(5.0)
    c.lead(log.followed())
    assert c.state.scaling_down == {one.name: ScalingDown(one.instance, START + 10.0)}
    # Idle since then, for all that is on record; of the others nothing is.
    idle = {name: row.allocation.idle_since for name, row in c.state.nodes.items()}
    assert idle == {"n1": START + 10.0, "n2": START + 15.0}
    for n in (one, two):
        n.open()
        n.credit(1)
    assert c.place_of(c.submit()) == "n2"
    assert c.place_of(c.submit()) == "n1"
    assert leaving(c) == []


def test_a_new_leader_drops_marks_of_processes_that_are_gone():
    log = Log()
    c = Cluster(log=log)
    nodes = [c.node(f"n{number}") for number in range(CHANGES_AT_ONCE + 3)]
    mark(c, *nodes)
    for n in nodes[1:]:
        log.lease_ended(n.name, n.instance)
    c.lead(log.followed())
    assert leaving(c) == ["n0"]
    log.flush()
    assert [key for key in log.kept if key.startswith(b"leaving/")] == [b"leaving/n0"]


def test_a_new_leader_drops_the_mark_of_a_node_that_an_older_version_gave_work():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    mark(c, n)
    older = c.state.scaling_down
    # It knows no marks: to it the node is like any other.
    c.state.scaling_down = {}
    task = c.submit()
    c.state.scaling_down = older
    c.lead(log.followed())
    assert leaving(c) == []
    n.open()
    assert n.leaving == [True, False]
    assert c.place_of(task) == "n1"


def test_many_changes_are_events_that_fit_into_the_smallest_txn():
    nodes = [(NodeName(f"n{number}"), InstanceId(f"i{number}")) for number in range(11)]
    events = decided(nodes[:5], nodes[5:])
    assert [len(event.mark) + len(event.back) for event in events] == [4, 4, 3]
    # Back first: what is needed is needed now.
    assert [each for event in events for each in event.back] == nodes[5:]
    assert [each for event in events for each in event.mark] == nodes[:5]
    assert not events[0].mark


def test_callers_see_the_mark():
    c = Cluster()
    n = c.node("n1")

    def seen() -> node_pb2.Node:
        state = c.state
        return views.node(
            state.nodes[n.name], state.control(n.name), state.scaling_down.get(n.name)
        )

    assert seen().state == node_pb2.NODE_STATE_READY
    assert not seen().HasField("leaving_since")
    c.advance(2.0)
    mark(c, n)
    assert seen().state == node_pb2.NODE_STATE_LEAVING
    assert seen().leaving_since == instant(START + 2.0)
    # What an operator did says more.
    c.control("n1", Control(cordoned=True))
    assert seen().state == node_pb2.NODE_STATE_CORDONED
    assert seen().HasField("leaving_since")


def test_one_step_takes_back_a_bounded_number_of_marks_and_says_that_there_is_more():
    """Each costs a pass over all nodes: a thousand would hold the loop for half a lease."""
    c = Cluster()
    nodes = [c.node(f"n{place:03}", credit=1) for place in range(70)]
    for event in decided([(n.name, n.instance) for n in nodes], ()):
        c.step(event)
    c.placing = False
    for _ in range(60):
        c.submit()
    taken = []
    while True:
        before = len(c.state.scaling_down)
        out = c.place()
        taken.append(before - len(c.state.scaling_down))
        if not out.more:
            break
    assert (len(taken), max(taken), sum(taken)) == (2, 32, 60)
    assert sum(len(n.has) for n in nodes) == 60
