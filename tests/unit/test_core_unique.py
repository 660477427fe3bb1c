"""Unique keys: at most one unfinished task of a queue has the same one."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection, TaskCreated, TaskKnown
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import START, spec


def created(c: Cluster, what, queue: str = "default", request: str = "") -> object:
    task, asked = c.new_id(), e.Request(request)
    return c.call(lambda token: e.TaskSubmitted(QueueName(queue), task, what, asked, token))


def made(answer: object) -> TaskId:
    assert isinstance(answer, TaskCreated), answer
    return answer.task


def test_a_second_task_with_the_key_is_the_first() -> None:
    c = Cluster()
    first = made(created(c, spec(unique="a")))
    # Whatever else would refuse it: nothing is created.
    c.set_limits(max_length=1)
    answer = created(c, spec(unique="a"), request="r")
    assert answer == TaskKnown(first, DEFAULT_QUEUE)
    assert created(c, spec(unique="a"), request="r") == answer
    assert len(c.state.tasks) == 1


def test_keys_and_queues_are_apart() -> None:
    c = Cluster()
    c.queue("other")
    assert made(created(c, spec(unique="a"))) != made(created(c, spec(unique="b")))
    made(created(c, spec(unique="a"), "other"))
    made(created(c, spec()))
    made(created(c, spec()))


def test_a_task_that_rejects_is_refused_and_names_the_other() -> None:
    c = Cluster()
    first = made(created(c, spec(unique="a")))
    answer = created(c, spec(unique="a", rejects=True))
    assert isinstance(answer, Rejection)
    assert (answer.reason, answer.name) == ("TASK_ALREADY_EXISTS", first)


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel"])
def test_whatever_finishes_a_task_frees_its_key(end: str) -> None:
    c = Cluster()
    first = made(created(c, spec(unique="a")))
    if end in ("succeed", "fail"):
        getattr(c.node("n1"), end)(first)
    else:
        c.cancel(first)
    made(created(c, spec(unique="a")))


def test_a_retry_holds_its_key_and_a_retry_by_hand_takes_it_again() -> None:
    c = Cluster()
    n = c.node("n1")
    first = made(created(c, spec(unique="a", attempts=2)))
    n.fail(first)
    assert c.state_of(first) is TaskState.SCHEDULED
    assert isinstance(created(c, spec(unique="a")), TaskKnown)
    c.cancel(first)
    second = made(created(c, spec(unique="a")))
    answer = c.retry(first, spec(unique="a"), START)
    assert isinstance(answer, Rejection)
    assert answer.reason == "TASK_ALREADY_EXISTS"
    n.succeed(second)
    assert not isinstance(c.retry(first, spec(unique="a"), START), Rejection)
    assert isinstance(created(c, spec(unique="a")), TaskKnown)


@pytest.mark.parametrize("join", [1, 10])
def test_a_new_leader_knows_who_has_a_key(join: int) -> None:
    log = Log(join=join)
    c = Cluster(log=log)
    n = c.node("n1")
    n.succeed(made(created(c, spec(unique="a"))))
    second = made(created(c, spec(unique="a")))
    for state in (log.loaded().state, log.followed()):
        assert state.queues[DEFAULT_QUEUE].unique == {"a": {second: None}}
    c.lead(state)
    assert created(c, spec(unique="a")) == TaskKnown(second, DEFAULT_QUEUE)


def test_a_snapshot_with_a_newer_finished_task_loses_no_key() -> None:
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    first = made(created(c, spec(unique="a")))
    c.cancel(first)
    n.fail(first, "CANCELLED")
    n.succeed(made(created(c, spec(unique="a"))))
    assert not isinstance(c.retry(first, spec(unique="a"), START), Rejection)
    for state in (log.loaded().state, log.followed()):
        assert state.queues[DEFAULT_QUEUE].unique == {"a": {first: None}}
