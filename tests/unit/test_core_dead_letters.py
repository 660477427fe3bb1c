"""Dead letters in the core: groups by error, their bounds, and what takes tasks out of them."""

from __future__ import annotations

import pytest

from scheduler.core.model import events as e
from scheduler.core.model.indexes import dead_letters
from scheduler.core.values import BulkAct, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec


def fail(c: Cluster, *messages: str, queue: str = "default") -> list:
    node = c.node(f"w{len(c.nodes)}", credit=1)
    tasks = []
    for message in messages:
        task = c.submit(spec(attempts=1), queue=queue)
        node.fail(task, message=message)
        tasks.append(task)
        c.advance(1.0)
    node.credit(0)
    return tasks


def groups(c: Cluster) -> list[tuple[str, int]]:
    found = c.state.dead.groups()
    return sorted((group.key, len(group.rows)) for group in found)


def test_messages_that_differ_in_digits_are_one_group():
    c = Cluster()
    first, _, last = fail(c, "row 17 of 20", "row 4 of 7", "row 1234 of 9")
    fail(c, "no row")
    assert groups(c) == [("valueerror\nno row", 1), ("valueerror\nrow # of #", 3)]
    (group,) = [one for one in c.state.dead.groups() if len(one.rows) == 3]
    assert (group.first.id, group.last.id) == (first, last)
    assert not group.mixed


def test_the_same_error_is_a_group_with_an_id_of_its_own_in_each_queue():
    c = Cluster()
    c.queue("a")
    fail(c, "x")
    fail(c, "x", queue="a")
    found = list(c.state.dead.groups())
    assert len({group.id for group in found}) == 2
    assert [group.queue for group in found] == ["default", "a"]


def test_retried_and_deleted_tasks_leave_and_empty_groups_go():
    c = Cluster()
    one, two, three = fail(c, "x", "x", "x")
    c.retry(one)
    assert groups(c) == [("valueerror\nx", 2)]
    c.delete(two)
    token = c.token()
    c.step(e.BulkAsked([three], frozenset(), e.Request(), token, act=BulkAct.DELETE))
    assert groups(c) == []
    assert c.state_of(one) is TaskState.PENDING


def test_retention_takes_them_out():
    c = Cluster()
    c.queue("a", age=5.0)
    fail(c, "x", queue="a")
    c.advance(10.0)
    c.retain()
    assert groups(c) == []


def test_cancelled_and_succeeded_tasks_are_no_dead_letters():
    c = Cluster()
    node = c.node("n", credit=1)
    node.succeed(c.submit())
    waits = c.submit()
    c.cancel(waits)
    assert groups(c) == []


def test_too_many_kinds_of_errors_share_one_group(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dead_letters, "MOST_OF_QUEUE", 2)
    c = Cluster()
    fail(c, "a", "b", "c", "d", "a")
    assert [count for _, count in groups(c)] == [2, 2, 1]
    (mixed,) = [group for group in c.state.dead.groups() if group.mixed]
    assert len(mixed.rows) == 2
    monkeypatch.setattr(dead_letters, "MOST", 3)
    c.queue("other")
    fail(c, "new", queue="other")
    assert [g.mixed for g in c.state.dead.groups() if g.queue == "other"] == [True]


def test_a_standby_that_loads_a_snapshot_has_them_in_the_order_of_time():
    log = Log()
    c = Cluster(log=log)
    node = c.node("n", credit=2)
    one, two = c.submit(), c.submit()
    node.fail(two, message="x")
    c.advance(1.0)
    node.fail(one, message="x")
    (group,) = log.loaded().state.dead.groups()
    assert list(group.rows) == [two, one]
