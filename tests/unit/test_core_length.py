"""A full queue: a new task is refused, or the oldest one makes room."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.values import LengthPolicy, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

DROP = LengthPolicy.DROP_OLDEST


def submitted(c: Cluster, what=None) -> object:
    task = c.new_id()
    return c.call(
        lambda token: e.TaskSubmitted(
            QueueName("default"), task, what or spec(), e.Request(), token
        )
    )


def test_a_full_queue_refuses_new_tasks_and_counts_what_waits() -> None:
    c = Cluster()
    c.set_limits(max_length=2)
    n = c.node("n1", credit=1)
    running = c.submit()
    c.submit(spec(not_before=c.now + 60))
    c.submit()
    answer = submitted(c)
    assert isinstance(answer, Rejection)
    assert (answer.reason, answer.name, answer.retry_delay) == ("QUEUE_FULL", "default", 1.0)
    n.give_back(running)
    # What comes back is always taken.
    assert sum(row.state is TaskState.PENDING for row in c.state.tasks.values()) == 1
    n.succeed(running)
    assert not isinstance(submitted(c), Rejection)


def test_a_batch_is_refused_as_a_whole() -> None:
    c = Cluster()
    c.set_limits(max_length=3)
    c.submit()
    token, _ = c.batch([spec()] * 3)
    answer = c.reply(token)
    assert isinstance(answer, Rejection)
    assert answer.reason == "QUEUE_FULL"
    assert len(c.state.tasks) == 1
    token, _ = c.batch([spec()] * 2)
    assert not isinstance(c.reply(token), Rejection)


def test_a_retry_by_hand_needs_room_too() -> None:
    c = Cluster()
    task = c.submit()
    c.cancel(task)
    c.set_limits(max_length=1)
    c.submit()
    answer = c.retry(task)
    assert isinstance(answer, Rejection)
    assert answer.reason == "QUEUE_FULL"


def test_the_oldest_makes_room_and_is_a_dead_letter() -> None:
    log = Log()
    c = Cluster(log=log)
    c.set_limits(max_length=3, length_policy=DROP)
    tasks = [c.submit() for _ in range(5)]
    assert [c.state_of(task) for task in tasks] == [TaskState.FAILED] * 2 + [TaskState.PENDING] * 3
    assert "queue_full" in c.state.finished[tasks[0]].text.lower()
    followed = log.followed()
    assert followed.finished.keys() == set(tasks[:2])
    assert c.finished == tasks[:2]


def test_a_lowered_length_is_reached_bit_by_bit() -> None:
    c = Cluster()
    for _ in range(10):
        c.submit()
    c.set_limits(max_length=2, length_policy=DROP)
    assert len(c.state.tasks) == 10
    for left in (9, 8, 7):
        c.submit()
        assert len(c.state.tasks) == left


def test_what_is_not_due_yet_cannot_make_room() -> None:
    c = Cluster()
    c.set_limits(max_length=1, length_policy=DROP)
    c.submit(spec(not_before=c.now + 60))
    answer = submitted(c)
    assert isinstance(answer, Rejection)
    assert answer.reason == "QUEUE_FULL"


@pytest.mark.parametrize("size", [1, 7, 60])
def test_a_batch_pushes_out_what_waits_in_parts_that_fit_a_txn(size: int) -> None:
    c = Cluster()
    c.set_limits(max_length=5, length_policy=DROP)
    for _ in range(5):
        c.submit()
    token, first = c.batch([spec()] * size)
    assert not isinstance(c.reply(token), Rejection)
    waiting = [t for t, row in c.state.tasks.items() if row.state is TaskState.PENDING]
    assert len(waiting) == 5
    assert sum(task >= first for task in waiting) == min(size, 5)
