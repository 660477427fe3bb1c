"""Creating one task: order, instants, repeated calls, limits."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import ErrorKind, Rejection, TaskCreated, TaskKnown
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.core.values import TaskState
from tests.support.core import DAY, Cluster
from tests.support.core_specs import START, spec
from tests.support.tokens import Token


def test_created_task_is_pending_and_its_record_precedes_the_reply():
    c = Cluster()
    c.commit_late = True
    token, task = c.token(), c.new_id()
    out = c.step(e.TaskSubmitted(QueueName("default"), task, spec(), e.Request("r", b"d"), token))
    assert [type(write) for write in out.writes] == [fx.PutTask, fx.PutDedup]
    assert c.reply(token) is None
    c.commit()
    assert c.reply(token) == TaskCreated(task, QueueName("default"), TaskState.PENDING, START, 0.0)


def test_created_task_is_given_to_a_node_in_the_next_placement():
    c = Cluster()
    n = c.node("n1", credit=1)
    task = c.submit()
    assert c.state_of(task) is TaskState.RUNNING
    assert n.started == [(task, 1)]


def test_task_of_an_unknown_queue_is_refused_and_nothing_is_written():
    c = Cluster()
    out = c.step(e.TaskSubmitted(QueueName("no"), c.new_id(), spec(), e.Request("r"), Token("t")))
    assert out.writes == []
    answer = c.reply("t")
    assert isinstance(answer, Rejection)
    assert answer.reason == "QUEUE_NOT_FOUND"
    assert not c.state.dedup


def test_repeated_call_gets_the_first_id_and_makes_nothing():
    c = Cluster()
    request = e.Request("r", b"d")
    first = c.submit(request=request)
    again = c.call(
        lambda token: e.TaskSubmitted(QueueName("default"), c.new_id(), spec(), request, token)
    )
    assert again == TaskKnown(first, QueueName("default"))
    assert list(c.state.tasks) == [first]


def test_repeated_call_with_another_body_is_refused():
    c = Cluster()
    c.submit(request=e.Request("r", b"one"))
    answer = c.call(
        lambda token: e.TaskSubmitted(
            QueueName("default"), c.new_id(), spec(), e.Request("r", b"two"), token
        )
    )
    assert isinstance(answer, Rejection)
    assert (answer.kind, answer.reason) == (ErrorKind.INVALID, "REQUEST_ID_REUSED")
    assert len(c.state.tasks) == 1


def test_same_request_id_in_another_queue_is_another_call():
    c = Cluster()
    c.queue("other")
    request = e.Request("r", b"d")
    assert c.submit(request=request) != c.submit(queue="other", request=request)


def test_repeated_call_is_answered_after_the_task_was_deleted_by_retention():
    c = Cluster(limits=Limits(request_age=2 * DAY))
    n = c.node("n1")
    request = e.Request("r", b"d")
    task = c.submit(request=request)
    n.succeed(task)
    c.advance(DAY + 1)
    c.retain()
    assert c.state_of(task) is None
    assert c.submit(request=request) == task
    assert not c.state.tasks


def test_calls_without_a_request_id_are_not_remembered():
    c = Cluster()
    assert c.submit() != c.submit()
    assert not c.state.dedup


@pytest.mark.parametrize("ahead", [0.001, 30 * DAY])
def test_task_scheduled_ahead_waits_for_its_instant(ahead: float):
    c = Cluster()
    c.node("n1")
    task = c.submit(spec(not_before=START + ahead))
    assert c.state_of(task) is TaskState.SCHEDULED
    assert c.state.next_due() == pytest.approx(START + ahead)
    c.advance(ahead * 0.9)
    assert c.state_of(task) is TaskState.SCHEDULED
    c.advance(ahead * 0.2)
    assert c.state_of(task) is TaskState.RUNNING
    assert c.state.next_due() is None


def test_task_scheduled_for_the_past_is_pending_at_once():
    c = Cluster()
    assert c.state_of(c.submit(spec(not_before=START - 5))) is TaskState.PENDING


def test_many_tasks_that_come_due_together_are_made_pending_in_bounded_steps():
    c = Cluster(checked=False)
    for _ in range(2_500):
        c.submit(spec(not_before=START + 10))
    c.now += 11
    c.step(e.TimersDue())
    pending = c.state.queues[QueueName("default")].counts[TaskState.PENDING]
    assert 0 < pending < 2_500
    assert c.state.next_due() == START + 10
    c.step(e.TimersDue())
    assert c.state.queues[QueueName("default")].counts[TaskState.PENDING] == 2_500


def test_timers_of_cancelled_tasks_do_not_pile_up_until_their_instants():
    c = Cluster(checked=False)
    keep = c.submit(spec(not_before=START + 60 * DAY))
    for _ in range(20):
        made = [c.submit(spec(not_before=START + 30 * DAY)) for _ in range(200)]
        for task in made:
            c.cancel(task)
    assert len(c.state.timers) < 1_000
    c.advance(61 * DAY)
    assert c.state_of(keep) is TaskState.PENDING


def test_tasks_go_oldest_first():
    c = Cluster()
    tasks = [c.submit() for _ in range(5)]
    n = c.node("n1", credit=1)
    for task in tasks:
        assert list(n.has) == [task]
        n.succeed(task)


def test_higher_priority_goes_first_and_within_it_the_oldest():
    c = Cluster()
    low = c.submit(spec(priority=-1))
    first, second = c.submit(), c.submit()
    high = c.submit(spec(priority=7))
    n = c.node("n1", credit=1)
    for task in (high, first, second, low):
        assert list(n.has) == [task]
        n.succeed(task)


def test_task_that_comes_back_goes_before_younger_ones():
    c = Cluster()
    n = c.node("n1", credit=1)
    old, young = c.submit(), c.submit()
    n.give_back(old)
    assert list(n.has) == [old]
    assert n.number(old) == 2
    assert c.state_of(young) is TaskState.PENDING


def test_limit_of_live_tasks_refuses_and_room_is_made_by_finishing():
    c = Cluster(limits=Limits(live_tasks=2))
    n = c.node("n1")
    first, _ = c.submit(), c.submit()
    answer = c.call(
        lambda token: e.TaskSubmitted(QueueName("default"), c.new_id(), spec(), e.Request(), token)
    )
    assert isinstance(answer, Rejection)
    assert (answer.kind, answer.reason) == (ErrorKind.EXHAUSTED, "TOO_MANY_LIVE_TASKS")
    n.succeed(first)
    c.submit()


def test_limit_of_remembered_requests_refuses_new_ones_and_answers_known_ones():
    c = Cluster(limits=Limits(requests=1))
    request = e.Request("r", b"d")
    task = c.submit(request=request)
    answer = c.call(
        lambda token: e.TaskSubmitted(
            QueueName("default"), c.new_id(), spec(), e.Request("other", b"d"), token
        )
    )
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_REQUESTS_REMEMBERED"
    assert c.submit(request=request) == task
    # Without an id there is nothing to remember.
    c.submit()


def test_specs_beyond_the_cache_are_not_kept_and_the_count_stays_true():
    small = spec(payload=b"x" * 100)
    c = Cluster(state=State(spec_cache_bytes=2 * len(small.spec)))
    n = c.node("n1", credit=0)
    tasks = [c.submit(small) for _ in range(3)]
    assert [c.row(task).spec is None for task in tasks] == [False, False, True]
    n.credit(3)
    for task in tasks:
        n.succeed(task)
    assert c.state.spec_bytes == 0
