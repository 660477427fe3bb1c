"""UpdateTasks that move tasks to another queue: records, standbys, what the other queue refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import QUEUE, Quota
from scheduler.core.model.rows import PauseRow
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import BulkAct, LengthPolicy, PauseScope, QueuePause, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec, spec_update
from tests.support.same_state import differences

OTHER = QueueName("other")
MOVED, REFUSED = (1, 0, 0, 0, 0), (0, 0, 0, 0, 1)


def move(c: Cluster, *tasks: TaskId, to: str = OTHER, **fields: object) -> object:
    answer = c.call(
        lambda token: e.BulkAsked(
            list(tasks),
            frozenset(),
            e.Request(),
            token,
            act=BulkAct.UPDATE,
            update=spec_update(to=to, **fields),
        )
    )
    return answer.counts if isinstance(answer, BulkDone) else answer


def cluster(log: Log | None = None) -> Cluster:
    c = Cluster(log=log)
    c.queue(OTHER)
    return c


def standbys(c: Cluster, log: Log) -> None:
    for how, state in (("loaded", log.loaded().state), ("followed", log.followed())):
        assert differences(c.state, state) == [], how


@pytest.mark.parametrize("join", [1, 10])
def test_a_task_waits_runs_and_ends_in_the_other_queue(join: int) -> None:
    log = Log(join=join)
    c = cluster(log)
    task = c.submit(spec(unique="u", ordering="o", tenant="gold"))
    assert move(c, task) == MOVED
    assert c.row(task).queue is c.state.queues[OTHER]
    assert list(c.state.waiting) == [OTHER]
    standbys(c, log)
    c.lead(log.loaded().state)
    n = c.node("n1")
    n.succeed(task)
    assert c.state.finished[task].queue.name == OTHER
    standbys(c, log)


@pytest.mark.parametrize("state", ["SCHEDULED", "PAUSED", "backoff"])
def test_what_is_known_of_a_task_goes_along(state: str) -> None:
    log = Log()
    c = cluster(log)
    task = c.submit(
        spec(attempts=3, backoff=50.0, not_before=c.now + 5 if state == "SCHEDULED" else 0.0)
    )
    if state == "backoff":
        c.node("n1").fail(task)
    elif state == "PAUSED":
        c.call(lambda token: e.TaskPauseAsked(task, True, e.Request(), token, "why"))
    before = replace(c.row(task))
    assert move(c, task, priority=7) == MOVED
    row = c.row(task)
    assert (row.state, row.failures, row.past) == (before.state, before.failures, before.past)
    assert (row.not_before, row.pause, row.create_time) == (
        before.not_before,
        before.pause,
        before.create_time,
    )
    assert row.priority == 7
    standbys(c, log)


def test_records_of_the_old_queue_go_first_and_in_the_same_txn() -> None:
    c = cluster()
    task = c.submit()
    asked = e.BulkAsked(
        [task],
        frozenset(),
        e.Request(),
        c.token(),
        act=BulkAct.UPDATE,
        update=spec_update(to=OTHER),
    )
    part = c.recorded.read_back(e.BulkContinued(asked, 0, (0, 0, 0, 0, 0)), Limits())
    out = c.machine.step(part, c.now)
    assert [type(write) for write in out.writes] == [fx.DropTask, fx.PutTask, fx.PutRun]


@pytest.mark.parametrize("join", [1, 3, 10])
def test_there_and_back_again(join: int) -> None:
    log = Log(join=join)
    c = cluster(log)
    first, second = c.submit(), c.submit()
    move(c, first)
    standbys(c, log)
    move(c, second)
    move(c, first, to=DEFAULT_QUEUE)
    move(c, first)
    move(c, first, to=DEFAULT_QUEUE)
    log.flush()
    standbys(c, log)
    # Among its new neighbours it goes by its age.
    third = c.submit(queue=OTHER)
    n = c.node("n1", credit=1)
    started = []
    for _ in range(3):
        (task,) = n.has
        started.append(task)
        n.succeed(task)
    assert set(started) == {first, second, third}
    assert started.index(second) < started.index(third)
    standbys(c, log)


def test_quotas_and_lengths_count_it_where_it_is() -> None:
    c = cluster()
    task = c.submit()
    old, new = c.state.queues[DEFAULT_QUEUE].usage, c.state.queues[OTHER].usage
    weight = old.units
    move(c, task)
    assert (old.live, old.units, new.live, new.units) == (0, 0, 1, weight)
    assert c.state.queues[DEFAULT_QUEUE].index.size == 0


def test_what_the_other_queue_refuses_stays() -> None:
    c = cluster()
    tasks = [c.submit(spec(unique=name)) for name in "abc"]
    c.submit(spec(unique="a"), queue=OTHER)
    assert move(c, tasks[0]) == REFUSED
    c.state.set_quota(QUEUE, OTHER, Quota(live_tasks=1))
    assert move(c, tasks[1]) == REFUSED
    c.state.set_quota(QUEUE, OTHER, None)
    c.queue("full", max_length=1)
    assert move(c, *tasks, to="full") == (1, 0, 0, 0, 2)
    pause = QueuePause(scope=PauseScope.ADMISSION)
    c.call(lambda token: e.QueuePauseAsked(OTHER, True, e.Request(), token, pause))
    assert move(c, tasks[2]) == REFUSED
    answer = move(c, tasks[2], to="none")
    assert isinstance(answer, Rejection)
    assert answer.reason == "QUEUE_NOT_FOUND"
    assert {c.row(task).queue.name for task in tasks[1:]} == {DEFAULT_QUEUE}


def test_a_full_queue_that_drops_makes_room() -> None:
    c = cluster()
    c.queue("drops", max_length=1, length_policy=LengthPolicy.DROP_OLDEST)
    old = c.submit(queue="drops")
    task = c.submit()
    assert move(c, task, to="drops") == MOVED
    assert c.state_of(old) is TaskState.FAILED
    assert c.state_of(task) is TaskState.PENDING


def test_its_window_goes_along() -> None:
    log = Log()
    c = cluster(log)
    task = c.submit(spec(unique="a", window=60.0))
    move(c, task)
    ((queue, _),) = c.state.permits.windows
    assert queue == OTHER
    standbys(c, log)
    c.node("n1").succeed(task)
    assert c.submit(spec(unique="a")) != task
    assert c.submit(spec(unique="a"), queue=OTHER) == task


def test_what_runs_stays_where_it_is() -> None:
    c = cluster()
    task = c.submit()
    c.node("n1")
    assert move(c, task) == (0, 1, 0, 0, 0)
    # To its own queue: nothing moves.
    waits = c.submit(spec(not_before=c.now + 9))
    assert move(c, waits, to=DEFAULT_QUEUE) == MOVED


def test_a_pause_of_what_matches_refuses_it_as_if_it_were_created_there() -> None:
    c = cluster()
    c.pause()
    task = c.submit()
    row = PauseRow("p", OTHER, scope=PauseScope.ADMISSION)
    c.call(lambda token: e.PauseSubmitted(row, e.Request(), token))
    assert move(c, task) == REFUSED
    assert c.row(task).queue.name == DEFAULT_QUEUE
    c.call(lambda token: e.PauseDeleteAsked("p", OTHER, e.Request(), token))
    assert move(c, task) == MOVED
