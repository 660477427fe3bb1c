"""UpdateTask in the core: other limits and keys of tasks that wait, and whom they hold up then."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.values import BulkAct, Rate, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec, spec_update
from tests.support.core_updates import asked, update
from tests.support.same_state import differences

RUNNING, PENDING, SCHEDULED = TaskState.RUNNING, TaskState.PENDING, TaskState.SCHEDULED
ONE = (1, 0, 0, 0, 0)


def states(c: Cluster, *tasks: TaskId) -> list[TaskState | None]:
    return [c.state_of(task) for task in tasks]


# -- shared limits


def test_a_task_that_no_longer_names_a_full_limit_starts() -> None:
    c = Cluster()
    c.limit("licence", 1)
    c.node("n1", credit=10)
    held = [c.submit(spec(limits=["licence"])) for _ in range(3)]
    assert states(c, *held) == [RUNNING, PENDING, PENDING]
    assert update(c, [held[2]], limits=()) == ONE
    assert states(c, *held) == [RUNNING, PENDING, RUNNING]
    assert (c.state.permits.live, c.state.permits.running) == ({"licence": 2}, {"licence": 1})


def test_a_task_that_names_a_limit_from_now_on_waits_for_a_permit() -> None:
    c = Cluster()
    c.limit("licence", 1)
    task = c.submit()
    assert update(c, [task], limits=["licence"]) == ONE
    n = c.node("n1", credit=0)
    first = c.submit(spec(limits=["licence"], priority=5))
    n.credit(10)
    assert states(c, first, task) == [RUNNING, PENDING]
    n.succeed(first)
    assert c.state_of(task) is RUNNING
    assert c.state.permits.running == {"licence": 1}
    n.succeed(task)
    assert c.state.permits.running == c.state.permits.live == {}


def test_starts_of_a_rate_are_taken_of_the_limits_that_a_task_has_when_it_starts() -> None:
    c = Cluster()
    for name in ("before", "after"):
        c.limit(name, 0, Rate(1, 60.0, 1))
    task, other = c.submit(spec(limits=["before"])), c.submit(spec(limits=["before"]))
    update(c, [task], limits=["after"])
    c.node("n1", credit=10)
    assert states(c, task, other) == [RUNNING, RUNNING]
    assert {name for _, name, _ in c.state.permits.arrivals} == {"before", "after"}


def test_a_limit_that_does_not_exist_is_refused_and_nothing_changes() -> None:
    c = Cluster()
    c.limit("licence", 1)
    tasks = [c.submit(spec(limits=["licence"])) for _ in range(2)]
    answer = asked(c, tasks, limits=["licence", "licences"])
    assert isinstance(answer, Rejection)
    assert (answer.reason, answer.field) == ("LIMIT_NOT_FOUND", "task.spec.limits")
    assert "licences" in answer.message
    assert c.state.permits.live == {"licence": 2}


def test_tasks_that_are_left_when_a_limit_is_deleted_are_counted_as_refused() -> None:
    c = Cluster(limits=Limits(part_tasks=1))
    c.limit("licence", 1)
    first, second = c.submit(), c.submit()
    c.hold_parts = True
    token = c.token()
    change = spec_update(limits=["licence"])
    tasks = [first, second]
    c.step(e.BulkAsked(tasks, frozenset(), e.Request(), token, act=BulkAct.UPDATE, update=change))
    c.step(c.parts.popleft())
    c.cancel(first)
    assert not isinstance(c.delete_limit("licence"), Rejection)
    while c.parts:
        c.step(c.parts.popleft())
    answer = c.reply(token)
    assert answer.counts == (1, 0, 0, 0, 1)  # type: ignore[attr-defined]
    assert c.row(second).limits is None


# -- limit keys


def test_a_task_leaves_a_full_limit_key_and_another_one_may_join_it() -> None:
    c = Cluster()
    c.set_limits(max_running_per_key=1)
    n = c.node("n1", credit=10)
    runs, first, second = (c.submit(spec(key="x")) for _ in range(3))
    assert states(c, runs, first, second) == [RUNNING, PENDING, PENDING]
    assert update(c, [second], limit_key="y") == ONE
    assert c.state_of(second) is RUNNING
    third = c.submit(spec(key="y"))
    assert c.state_of(third) is PENDING
    assert update(c, [third], limit_key="") == ONE
    assert c.state_of(third) is RUNNING
    n.succeed(runs)
    assert c.state_of(first) is RUNNING
    assert c.state.queues[DEFAULT_QUEUE].running_by_key == {"x": 1, "y": 1}


# -- ordering keys


def test_a_task_takes_its_place_in_another_line_by_its_age() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    runs = c.submit(spec(ordering="b"))
    blocked = c.submit(spec(ordering="a", cpu=100.0))
    moved, newer = c.submit(spec(ordering="a")), c.submit(spec(ordering="b"))
    assert states(c, runs, blocked, moved, newer) == [RUNNING, PENDING, PENDING, PENDING]
    assert update(c, [moved], ordering_key="b") == ONE
    n.succeed(runs)
    assert states(c, moved, newer) == [RUNNING, PENDING]
    n.succeed(moved)
    assert c.state_of(newer) is RUNNING


def test_the_next_one_of_a_line_starts_when_the_first_one_leaves_it() -> None:
    c = Cluster()
    c.node("n1", credit=10)
    first = c.submit(spec(ordering="a", cpu=100.0))
    second = c.submit(spec(ordering="a", key="k"))
    assert states(c, first, second) == [PENDING, PENDING]
    assert update(c, [first], ordering_key="") == ONE
    assert states(c, first, second) == [PENDING, RUNNING]


def test_a_task_of_no_line_waits_for_the_one_that_runs() -> None:
    c = Cluster()
    n = c.node("n1", credit=1)
    runs, task = c.submit(spec(ordering="a")), c.submit()
    assert update(c, [task], ordering_key="a") == ONE
    n.credit(10)
    assert c.state_of(task) is PENDING
    n.succeed(runs)
    assert c.state_of(task) is RUNNING


def test_a_retry_gives_its_turn_away_and_has_that_of_the_other_key() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    retried = c.submit(spec(ordering="a", attempts=2, backoff=50.0))
    of_a, of_b = c.submit(spec(ordering="a")), c.submit(spec(ordering="b", cpu=100.0))
    n.fail(retried)
    assert states(c, retried, of_a) == [SCHEDULED, PENDING]
    assert update(c, [retried], ordering_key="b") == ONE
    assert states(c, retried, of_a) == [SCHEDULED, RUNNING]
    assert c.state.queues[DEFAULT_QUEUE].turns_taken == {"a": 1, "b": 1}
    update(c, [of_b], priority=1)
    assert c.state_of(of_b) is PENDING
    c.advance(50.0)
    assert c.state_of(retried) is RUNNING
    n.succeed(retried)
    n.succeed(of_a)
    assert c.state.queues[DEFAULT_QUEUE].turns_taken == {}


# -- fairness keys


def test_a_task_counts_for_the_share_of_its_new_tenant() -> None:
    c = Cluster()
    tasks = [c.submit(spec(tenant="big")) for _ in range(4)]
    small = c.submit(spec(tenant="small"))
    assert update(c, tasks[1:3], fairness_key="small") == (2, 0, 0, 0, 0)
    assert update(c, [tasks[3]], fairness_key="") == ONE
    pending = c.state.queues[DEFAULT_QUEUE].pending
    assert pending.tenants is not None
    assert {name: order.size for name, order in pending.tenants.items()} == {"big": 1, "small": 3}
    n = c.node("n1", credit=1)
    went = []
    while n.has:
        task = next(iter(n.has))
        went.append(task)
        n.start(task)
        c.advance(1.0)
        n.succeed(task)
    assert sorted(went) == sorted([*tasks, small])
    # Each tenant's turn comes before one of them has two.
    assert {went.index(tasks[0]), went.index(tasks[1]), went.index(tasks[3])} == {0, 1, 2}
    assert went[3:] == [tasks[2], small]


# -- what all of them promise


def test_what_runs_keeps_its_limits_and_keys() -> None:
    c = Cluster()
    c.limit("licence", 5)
    c.node("n1", credit=1)
    runs = c.submit(spec(key="x", limits=["licence"], ordering="a", tenant="gold"))
    before = c.row(runs)
    counts = update(c, [runs], limit_key="y", limits=(), ordering_key="b", fairness_key="")
    assert counts == (0, 1, 0, 0, 0)
    assert c.row(runs) is before


@pytest.mark.parametrize("join", [1, 10])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_standby_that_follows_or_loads_has_the_same_and_leads_on(join: int, loaded: bool) -> None:
    log = Log(join=join)
    c = Cluster(log=log)
    c.limit("licence", 1)
    c.limit("api", 1)
    c.set_limits(max_running_per_key=1)
    n = c.node("n1", credit=1)
    runs = c.submit(spec(key="x", limits=["licence"], ordering="a", attempts=2, backoff=50.0))
    n.credit(0)
    tasks = [c.submit(spec(key="x", limits=["licence"], ordering="a")) for _ in range(3)]
    tasks += [c.submit(spec(not_before=c.now + 90.0)), c.submit()]
    n.fail(runs)
    update(c, [runs], ordering_key="b", limits=["api"], limit_key="z")
    update(c, tasks[:1], ordering_key="b", limit_key="y", fairness_key="gold")
    update(c, tasks[1:2], limits=(), limit_key="", ordering_key="")
    update(c, tasks[3:], limits=["licence", "api"], fairness_key="gold", ordering_key="a")
    log.flush()
    state = _led(log, loaded=loaded)
    assert not differences(c.state, state)
    c.lead(state)
    n.open()
    n.credit(10)
    # The retry has the turn of "b" until it is due; "licence" is the first one's that is free.
    assert states(c, runs, *tasks) == [
        *(SCHEDULED, PENDING, RUNNING, RUNNING, SCHEDULED, PENDING),
    ]
    c.advance(50.0)
    assert states(c, runs, tasks[0]) == [RUNNING, PENDING]


def _led(log: Log, *, loaded: bool) -> State:
    return log.loaded().state if loaded else log.followed()
