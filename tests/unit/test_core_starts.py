"""That an attempt began is on record in time: a task may take the leader's machine with its own."""

from __future__ import annotations

import pytest

from scheduler.core.handlers.attempts import LIVED, starts_due
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.values import TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import START, spec


def both_die(c: Cluster, log: Log, node: FakeNode) -> None:
    """The leader and a node are killed in the same instant; a standby leads on."""
    state = log.followed()
    c.lead(state)
    node.lose()


@pytest.mark.parametrize("lived", [LIVED, 30.0])
def test_a_task_that_takes_leaders_down_with_its_nodes_is_set_aside(lived: float) -> None:
    log = Log()
    c = Cluster(log=log)
    task = c.submit(spec(crash_limit=3))
    for crash in (1, 2, 3):
        assert c.state_of(task) is TaskState.PENDING
        node = c.node("n1")
        node.start(task)
        c.advance(lived)
        both_die(c, log, node)
        if crash < 3:
            assert [past.number for past in c.row(task).past] == list(range(1, crash + 1))
            assert c.row(task).crashes == crash
    assert c.state_of(task) is TaskState.FAILED


def test_a_task_that_kills_at_once_has_one_loss_more_than_its_limit() -> None:
    """Of the first attempt nobody was left who knew that it had begun; the next ones are watched
    from their first moment."""
    log = Log()
    c = Cluster(log=log)
    task = c.submit(spec(crash_limit=2))
    for crashes in (0, 1):
        node = c.node("n1")
        node.start(task)
        both_die(c, log, node)
        assert (c.state_of(task), c.row(task).crashes) == (TaskState.PENDING, crashes)
    assert [past.error_type for past in c.row(task).past] == ["NODE_LOST"] * 2
    node = c.node("n1")
    node.start(task)
    both_die(c, log, node)
    assert c.state_of(task) is TaskState.FAILED


def test_short_attempts_write_nothing_more() -> None:
    c = Cluster(log=Log())
    node = c.node("n1", credit=50)
    tasks = [c.submit() for _ in range(50)]
    for task in tasks:
        node.start(task)
    c.now += LIVED * 0.9
    for task in tasks:
        node.succeed(task)
    c.now += LIVED
    out = c.step(e.StartsDue())
    assert (out.writes, out.then) == ([], [])
    assert not c.state.recent_starts


def test_a_start_is_written_once_and_is_the_first_one_told() -> None:
    log = Log()
    c = Cluster(log=log)
    node = c.node("n1")
    task = c.submit()
    node.start(task)
    c.advance(LIVED)
    assert log.loaded().state.tasks[task].start_time == START
    revision = log.revision
    # Told again, and again by another session, and time goes by.
    node.start(task)
    node.close()
    node.open()
    c.advance(60.0)
    assert log.revision == revision
    assert c.row(task).start_time == START


def test_of_an_attempt_that_a_new_leader_adopts_the_start_is_on_record_at_its_first_look() -> None:
    log = Log()
    c = Cluster(log=log)
    node = c.node("n1")
    task = c.submit()
    node.start(task)
    c.lead(log.followed())
    c.now += LIVED
    node.register()
    node.open()
    assert starts_due(c.state, c.now)
    c.step(e.StartsDue())
    assert log.loaded().state.tasks[task].start_time == START


def test_a_look_at_many_is_bounded_and_each_start_is_an_event_of_its_own() -> None:
    c = Cluster(checked=False)
    node = c.node("n1", credit=2_000)
    for _ in range(1_200):
        node.start(c.submit())
    c.now += LIVED
    looks = []
    while starts_due(c.state, c.now):
        out = c.step(e.StartsDue())
        assert out.writes == []
        looks.append(len(out.then))
    assert sum(looks) == 1_200
    assert max(looks) == 500
    lived = c.machine.step(out.then[0], c.now)
    assert [type(write) for write in lived.writes] == [fx.PutRun]


def test_an_inventory_of_attempts_that_are_watched_fits_into_any_txn() -> None:
    c = Cluster(checked=False)
    c.placing = False
    tasks = [c.submit(spec(crash_limit=100)) for _ in range(200)]
    for _ in range(2):
        node = c.node("n1", credit=200)
        c.place()
        for task in tasks:
            number = node.number(task)
            node.has[task] = (number, c.now)
        out = node.open()
        assert out.writes == []
        node.lose()
    assert {c.row(task).crashes for task in tasks} == {2}
