"""Explanations: every reason, and every filter of a node, is produced by what it is about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control
from scheduler.core.place_rules import PlaceSettings, Taint
from scheduler.core.placement.explain import Explained, Filter, Why, explain
from scheduler.core.values import Origin, QueuePause, Rate
from tests.support.core import Cluster
from tests.support.core_placement import placed
from tests.support.core_specs import spec

DEFAULT = QueueName("default")
ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/PauseQueue")


def told(c: Cluster, task: TaskId) -> Explained:
    return explain(c.state, c.row(task), c.now)


def paused(c: Cluster) -> TaskId:
    pause = QueuePause(reason="deploy", until=c.now + 60.0)
    request = e.Request(origin=ALICE)
    c.call(lambda token: e.QueuePauseAsked(DEFAULT, True, request, token, pause))
    c.node("n1")
    return c.submit()


def later(c: Cluster) -> TaskId:
    return c.submit(spec(not_before=c.now + 60.0))


def failed_once(c: Cluster) -> TaskId:
    node = c.node("n1")
    task = c.submit(spec(attempts=3, backoff=60.0))
    node.fail(task, "OSError")
    return task


def limited(c: Cluster) -> TaskId:
    c.set_limits(max_running=1)
    c.node("n1")
    c.submit()
    return c.submit()


def replacing(c: Cluster) -> TaskId:
    c.node("n1")
    c.submit(spec(unique="report"))
    return c.submit(spec(unique="report", replaces=True))


def in_line(c: Cluster) -> TaskId:
    c.node("n1")
    c.submit(spec(ordering="account"))
    return c.submit(spec(ordering="account"))


def nowhere(c: Cluster) -> TaskId:
    return c.submit()


def too_small(c: Cluster) -> TaskId:
    c.node("n1", cpu=2.0)
    return c.submit(spec(cpu=3.0))


def busy(c: Cluster) -> TaskId:
    c.node("n1", credit=1)
    c.submit()
    return c.submit()


def behind(c: Cluster) -> TaskId:
    c.node("n1", credit=1)
    c.submit()
    c.submit(spec(priority=5))
    c.submit()
    return c.submit()


def about_to_start(c: Cluster) -> TaskId:
    c.placing = False
    c.node("n1")
    return c.submit()


def assigned(c: Cluster) -> TaskId:
    c.node("n1")
    return c.submit()


def runs(c: Cluster) -> TaskId:
    node = c.node("n1")
    task = c.submit()
    node.start(task)
    c.step(e.AttemptStarted(node.instance, task, node.number(task), c.now))
    return task


def stopping(c: Cluster) -> TaskId:
    task = assigned(c)
    c.cancel(task)
    return task


def unreachable(c: Cluster) -> TaskId:
    node = c.node("n1")
    task = c.submit()
    node.close()
    return task


def reserved(c: Cluster) -> TaskId:
    """A large task waits, and keeps what is free of the node."""
    c.node("n1", cpu=4.0)
    c.submit(spec(cpu=3.0))
    task = c.submit(spec(cpu=4.0))
    c.advance(c.limits.reserve_after)
    c.place()
    return task


REASONS: dict[Why, tuple[Callable[[Cluster], TaskId], str]] = {
    Why.QUEUE_PAUSED: (
        paused,
        "waits until queue 'default' is resumed: it is paused by operator:alice until 2023",
    ),
    Why.NOT_BEFORE: (later, "waits for its start time, 2023-11-14 22:14:20 UTC"),
    Why.BACKOFF: (failed_once, "waits until 2023"),
    Why.LIMIT: (limited, "waits for the limit of queue 'default': 1 of 1 in use"),
    Why.REPLACES: (replacing, "waits for the end of task 0"),
    Why.ORDER: (
        in_line,
        "waits for an earlier task with ordering key 'account' of queue 'default'",
    ),
    Why.NO_NODE: (nowhere, "waits for a node: none is registered"),
    Why.NO_NODE_FITS: (too_small, "waits, but no registered node can take it: node n1 has 2 cores"),
    Why.NODES_BUSY: (
        busy,
        "waits for room: every node that could take it is busy (node n1 is full",
    ),
    Why.RESERVED: (
        reserved,
        "waits until node n1 has enough room, which is kept for it since 2023",
    ),
    Why.TURN: (
        behind,
        "waits for its turn: 1 task with a higher priority and 1 older task like it of ",
    ),
    Why.STARTING: (about_to_start, "nothing holds the task back"),
    Why.ASSIGNED: (assigned, "attempt 1 on node n1 was assigned at"),
    Why.RUNNING: (runs, "attempt 1 on node n1 has been running since"),
    Why.STOPPING: (stopping, "the task was cancelled, and attempt 1 on node n1 is being ended"),
    Why.NODE_UNREACHABLE: (unreachable, "attempt 1 on node n1 may still run"),
}

# The task runs, or is about to.
NOT_WAITING = (Why.STARTING, Why.ASSIGNED, Why.RUNNING, Why.STOPPING, Why.NODE_UNREACHABLE)


@pytest.mark.parametrize("why", REASONS, ids=lambda why: why.name)
def test_each_reason_of_a_live_task(why: Why):
    make, sentence = REASONS[why]
    c = Cluster()
    task = make(c)
    found = told(c, task)
    (reason,) = (one for one in found.reasons if one.why is why)
    assert reason.sentence.startswith(sentence)
    assert reason.sentence.startswith("waits") is (why not in NOT_WAITING)
    if why is not Why.TURN:
        assert found.reasons[0].why is why


def test_a_retry_says_why_it_waits():
    c = Cluster()
    sentence = told(c, failed_once(c)).reasons[0].sentence
    assert sentence.endswith("for its next attempt: attempt 1 failed with OSError")


def test_more_may_run_than_a_limit_that_was_lowered_allows():
    c = Cluster()
    c.node("n1")
    c.submit()
    c.submit()
    c.set_limits(max_running=1)
    sentence = told(c, c.submit()).reasons[0].sentence
    assert sentence == "waits for the limit of queue 'default': 2 in use, and 1 allowed"


def test_what_a_task_waits_for_is_named():
    c = Cluster()
    task = replacing(c)
    first = next(iter(c.state.tasks))
    assert told(c, task).reasons[0].holders == (first,)
    c = Cluster()
    # The first one runs: which of those with the key that is would be a search.
    second = in_line(c)
    assert told(c, second).reasons[0].holders == ()
    third = c.submit(spec(ordering="account"))
    assert told(c, third).reasons[0].holders == (second,)


def test_a_limit_of_the_queue_comes_before_its_keys():
    c = Cluster()
    c.set_limits(max_running=1)
    assert told(c, in_line(c)).reasons[0].why is Why.LIMIT


def test_the_others_are_about_finished_tasks():
    """tests/unit/test_explain_calls.py produces them; test_explain_every_reason.py all by calls."""
    # And tests/unit/test_core_task_pauses.py, test_graphs_api.py these.
    paused = {Why.TASK_PAUSED, Why.BLOCKED, Why.SKIPPED}
    ended = {Why.SUCCEEDED, Why.FAILED, Why.CRASH_LIMIT, Why.CANCELLED, Why.EXPIRED, Why.DROPPED}
    # And tests/unit/test_core_explain_subtasks.py these.
    of_jobs = {Why.JOB_PAUSED, Why.MAX_PARALLEL, Why.JOB_LOADING}
    assert set(Why) == set(REASONS) | ended | paused | {Why.PAUSED} | of_jobs


def disconnected(c: Cluster) -> None:
    c.node("n1").close()


def suspect(c: Cluster) -> None:
    node = c.node("n1")
    c.submit()
    c.step(e.NodeLeaseEnded(node.name, node.instance))


def full_disk(c: Cluster) -> None:
    c.node("n1").stats(disk_error="No space left")  # type: ignore[arg-type]


def taken(c: Cluster) -> None:
    c.node("n1", cpu=4.0, counters={"gpu": 1})
    c.submit(spec(cpu=3.0))


def full(c: Cluster) -> None:
    c.node("n1", credit=1, counters={"gpu": 1})
    c.submit()


def marked(c: Cluster) -> None:
    node = c.node("n1", counters={"gpu": 1})
    c.step(e.ScaleDownDecided([(node.name, node.instance)], []))


def filtered(c: Cluster) -> None:
    c.node("n1")
    row = c.state.queues[DEFAULT]
    settings = settings_of(row)._replace(place=PlaceSettings(filters=("licensed",)))
    c.call(lambda token: e.QueueUpdateAsked(DEFAULT, settings, e.Request(), token))


FILTERS: dict[Filter, tuple[Callable[[Cluster], object], dict[str, object], str]] = {
    Filter.NONE: (lambda c: c.node("n1"), {}, "has room"),
    Filter.DISCONNECTED: (disconnected, {}, "has no session"),
    Filter.SUSPECT: (suspect, {}, "its lease has ended"),
    Filter.CORDONED: (
        lambda c: (c.node("n1"), c.control("n1", Control(cordoned=True))),
        {},
        "is cordoned",
    ),
    Filter.DRAINING: (
        lambda c: (c.node("n1"), c.control("n1", Control(True, True, 5.0))),
        {},
        "is being drained",
    ),
    Filter.DISK: (full_disk, {}, "cannot write to its disk (No space left)"),
    Filter.CPU: (lambda c: c.node("n1", cpu=1.0), {"cpu": 2.0}, "1 cores, and the task needs 2"),
    Filter.MEMORY: (lambda c: c.node("n1", memory=1 << 20), {"memory": 1 << 30}, "has 1 MiB"),
    Filter.COUNTER: (lambda c: c.node("n1"), {"counters": {"gpu": 1}}, "has 0 gpu"),
    Filter.SLOTS: (full, {}, "is full with 1 attempt"),
    Filter.RESOURCES: (taken, {"cpu": 2.0}, "has given the resources"),
    Filter.LABELS: (
        lambda c: c.node("n1", labels={"disk": "hdd"}),
        {"where": "disk=ssd"},
        "has disk=hdd, and the task needs disk = ssd",
    ),
    Filter.TAINT: (lambda c: c.node("n1", taints=[Taint("gpu")]), {}, "has the taint gpu, which"),
    Filter.NEAR: (
        lambda c: c.node("n1"),
        {"near": {"app": "db"}},
        "runs no task with the label app=db",
    ),
    Filter.APART: (
        lambda c: (c.node("n1"), c.submit(placed({"app": "db"}))),
        {"apart": {"app": "db"}},
        "runs a task with the label app=db, and the task must be apart",
    ),
    Filter.PLUGIN: (filtered, {}, "is refused by the leader has no filter 'licensed'"),
    Filter.RESERVED: (
        reserved,
        {"cpu": 1.0},
        "has free room held back for the reservation of ",
    ),
    Filter.SCALING_DOWN: (marked, {}, "may be ended by a scale-down"),
}


@pytest.mark.parametrize("wanted", Filter, ids=lambda one: one.name)
def test_each_filter_of_a_node(wanted: Filter):
    make, needs, words = FILTERS[wanted]
    c = Cluster()
    make(c)
    c.placing = False
    rules = {"where", "near", "apart"} & set(needs)
    task = c.submit(placed(**needs) if rules else spec(**needs))  # type: ignore[arg-type]
    (node,) = told(c, task).nodes
    assert node.filter is wanted
    assert words in node.sentence


def test_a_limit_names_who_holds_it_and_a_rate_when_it_goes_on():
    c = Cluster()
    task = limited(c)
    (holder,) = (t for t, row in c.state.tasks.items() if row.instance)
    assert told(c, task).reasons[0].holders == (holder,)
    c = Cluster()
    c.set_limits(rate=Rate(1, 10.0, 1))
    c.node("n1")
    c.submit()
    reason = told(c, c.submit()).reasons[0]
    assert (reason.why, reason.until) == (Why.LIMIT, c.now + 10.0)


def test_the_place_is_exact_where_tasks_left_and_came_back():
    c = Cluster()
    tasks = [c.submit() for _ in range(200)]
    for task in tasks[10:150:2]:
        c.cancel(task)
    place = told(c, tasks[-1]).place
    assert place is not None
    assert (place.ahead, place.exact, place.next) == (129, True, tasks[0])
    c.retry(tasks[10])
    place = told(c, tasks[-1]).place
    assert place is not None
    assert (place.ahead, place.exact) == (130, True)


def test_of_many_nodes_fifty_are_shown():
    c = Cluster(checked=False)
    for number in range(60):
        c.node(f"n{number}", credit=0)
    found = told(c, c.submit())
    assert (len(found.nodes), found.nodes_total) == (50, 60)


def test_the_place_of_a_task_of_a_tenant_is_among_the_tenants_own():
    c = Cluster()
    c.submit()
    mine = [c.submit(spec(tenant="mine")) for _ in range(3)]
    c.submit(spec(tenant="other"))
    found = told(c, mine[-1])
    assert found.place is not None
    assert (found.place.ahead, found.place.exact, found.place.other_tenants) == (2, True, 2)
    assert "tenant mine takes turns with others of queue 'default'" in found.reasons[-1].sentence
