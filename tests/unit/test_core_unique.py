"""Unique keys: at most one unfinished task of a queue has the same one."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.handlers.limits import unique
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection, TaskCreated, TaskKnown
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.placement.held_back import why_held_back
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


@pytest.mark.parametrize("seconds", [5.0, 40.0])
def test_who_succeeded_has_its_key_to_the_end_of_its_window(seconds: float) -> None:
    c = Cluster()
    n = c.node("n1")
    first = made(created(c, spec(unique="a", window=60.0)))
    c.advance(seconds)
    n.succeed(first)
    # Counted from the creation.
    c.advance(59.0 - seconds)
    assert created(c, spec(unique="a")) == TaskKnown(first, DEFAULT_QUEUE)
    answer = created(c, spec(unique="a", rejects=True))
    assert isinstance(answer, Rejection)
    assert "window" in answer.message
    c.advance(1.5)
    made(created(c, spec(unique="a", rejects=True)))


def test_who_runs_beyond_its_window_has_its_key_until_it_is_finished() -> None:
    c = Cluster()
    n = c.node("n1")
    first = made(created(c, spec(unique="a", window=10.0)))
    c.advance(20.0)
    assert created(c, spec(unique="a")) == TaskKnown(first, DEFAULT_QUEUE)
    n.succeed(first)
    made(created(c, spec(unique="a")))


@pytest.mark.parametrize("end", ["fail", "cancel", "expire"])
def test_who_did_not_succeed_has_no_window(end: str) -> None:
    log = Log()
    c = Cluster(log=log)
    deadline = 5.0 if end == "expire" else 0.0
    first = made(created(c, spec(unique="a", window=60.0, start_deadline=deadline)))
    if end == "fail":
        n = c.node("n1")
        n.credit(0)
        n.fail(first)
    elif end == "cancel":
        c.cancel(first)
    else:
        c.advance(6.0)
    assert c.state.permits.windows == {}
    assert log.loaded().state.permits.windows == log.followed().permits.windows == {}
    second = made(created(c, spec(unique="a", window=60.0)))
    # The retry begins the window anew.
    if end != "expire":
        c.cancel(second)
        assert not isinstance(c.retry(first, spec(unique="a", window=60.0), START), Rejection)
        (window,) = c.state.permits.windows.values()
        assert (window.task, window.until) == (first, c.now + 60.0)


@pytest.mark.parametrize("join", [1, 10])
def test_a_window_outlives_its_task_and_the_leader(join: int) -> None:
    log = Log(join=join)
    c = Cluster(log=log)
    n = c.node("n1")
    first = made(created(c, spec(unique="a", window=60.0)))
    n.succeed(first)
    c.delete(first)
    assert not c.state.finished
    for state in (log.loaded().state, log.followed()):
        assert state.permits.windows == c.state.permits.windows
    c.lead(state)
    assert created(c, spec(unique="a")) == TaskKnown(first, DEFAULT_QUEUE)
    c.advance(61.0)
    c.retain()
    assert log.loaded().state.permits.windows == log.followed().permits.windows == {}


def test_a_queue_of_the_same_name_does_not_know_the_windows_of_the_one_before() -> None:
    c = Cluster()
    c.queue("mail")
    n = c.node("n1")
    first = made(created(c, spec(unique="a", window=600.0), "mail"))
    n.succeed(first)
    c.delete(first)
    c.advance(1.0)
    c.call(lambda token: e.QueueDeleteAsked(QueueName("mail"), e.Request(), token))
    c.queue("mail")
    made(created(c, spec(unique="a"), "mail"))
    c.retain()
    assert c.state.permits.windows == {}


def test_there_is_a_most_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique, "MOST_WINDOWS", 1)
    c = Cluster()
    made(created(c, spec(unique="a", window=5.0)))
    answer = created(c, spec(unique="b", window=5.0))
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_UNIQUE_WINDOWS"
    made(created(c, spec(unique="b")))


@pytest.mark.parametrize("before", [0.0, 100.0])
def test_replacing_cancels_who_waits(before: float) -> None:
    c = Cluster()
    first = made(created(c, spec(unique="a", not_before=before and c.now + before)))
    second = made(created(c, spec(unique="a", replaces=True)))
    assert c.state_of(first) is TaskState.CANCELLED
    assert c.state_of(second) is TaskState.PENDING
    assert created(c, spec(unique="a")) == TaskKnown(second, DEFAULT_QUEUE)
    # A retry by hand takes the key, and replaces nothing.
    answer = c.retry(first, spec(unique="a", replaces=True), START)
    assert isinstance(answer, Rejection)
    assert (answer.reason, answer.name) == ("TASK_ALREADY_EXISTS", second)


@pytest.mark.parametrize("end", ["succeed", "fail", "lost"])
@pytest.mark.parametrize("failover", [False, True])
def test_who_replaces_a_running_task_starts_after_its_end(end: str, failover: bool) -> None:
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", credit=4)
    first = made(created(c, spec(unique="a")))
    n.start(first)
    second = made(created(c, spec(unique="a", replaces=True)))
    third = made(created(c, spec(unique="a", replaces=True)))
    other = made(created(c, spec()))
    assert c.row(first).cancel_requested
    assert c.state_of(second) is TaskState.CANCELLED
    # It hides nobody else.
    assert c.state_of(other) is TaskState.RUNNING
    assert c.state_of(third) is TaskState.PENDING
    assert first in why_held_back(c.state, c.row(third), c.now)
    assert created(c, spec(unique="a")) == TaskKnown(third, DEFAULT_QUEUE)
    if failover:
        c.lead(log.loaded().state)
        n.open()
        n.credit(4)
        assert c.state_of(third) is TaskState.PENDING
    if end == "succeed":
        n.succeed(first)
    elif end == "fail":
        n.fail(first, "CANCELLED")
    else:
        n.lose()
        n = c.node("n2", credit=4)
    c.place()
    assert first not in c.state.tasks
    assert c.state_of(third) is TaskState.RUNNING
    assert list(c.state.queues[DEFAULT_QUEUE].unique["a"]) == [third]


def test_replacing_within_a_window_leaves_who_succeeded_as_it_is() -> None:
    c = Cluster()
    n = c.node("n1")
    first = made(created(c, spec(unique="a", window=60.0)))
    n.succeed(first)
    second = made(created(c, spec(unique="a", window=60.0, replaces=True)))
    assert c.state.finished[first].state is TaskState.SUCCEEDED
    n.succeed(second)
    assert created(c, spec(unique="a")) == TaskKnown(second, DEFAULT_QUEUE)


def test_keys_of_a_batch_are_taken_before_its_last_part_is_written() -> None:
    c = Cluster(limits=Limits(part_tasks=4))
    c.hold_parts = True
    specs = [spec(unique=f"k{n}", rejects=True) for n in range(4)]
    token = c.token()
    first = c.new_id()
    c.step(e.BatchSubmitted(DEFAULT_QUEUE, first, specs, e.Request(), token))
    assert len(c.state.tasks) == 1
    answer = created(c, spec(unique="k3"))
    assert isinstance(answer, Rejection)
    assert answer.reason == "TASK_ALREADY_EXISTS"
    while c.parts:
        c.step(c.parts.popleft())
    assert c.reply(token) is not None
    assert c.state.queues[DEFAULT_QUEUE].coming_unique == {}
    assert isinstance(created(c, spec(unique="k3")), TaskKnown)
