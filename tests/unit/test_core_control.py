"""What callers may do to tasks and queues: cancel, retry by hand, delete, pause."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import Done, ErrorKind, Rejection, TaskKnown
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.values import Disconnect, Placement, TaskState
from tests.support.core import Cluster
from tests.support.core_specs import START, spec
from tests.support.tokens import Token

DEFAULT = QueueName("default")


def reason(answer: object) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.reason


@pytest.mark.parametrize("ahead", [0.0, 100.0])
def test_task_that_waits_is_cancelled_at_once(ahead: float):
    c = Cluster()
    task = c.submit(spec(not_before=START + ahead))
    assert c.cancel(task) == TaskKnown(task, DEFAULT)
    assert c.state_of(task) is TaskState.CANCELLED
    assert c.finished == [task]
    c.node("n1")
    c.advance(200)
    assert c.state_of(task) is TaskState.CANCELLED


def test_running_task_is_cancelled_when_its_node_says_so():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    assert c.cancel(task) == TaskKnown(task, DEFAULT)
    assert n.ended == [(task, 1)]
    assert c.state_of(task) is TaskState.RUNNING
    n.fail(task, "CANCELLED")
    assert c.state_of(task) is TaskState.CANCELLED


def test_cancelled_task_that_fails_is_not_tried_again():
    c = Cluster()
    n = c.node("n1")
    task = c.submit(spec(attempts=5))
    c.cancel(task)
    n.fail(task, "ValueError")
    assert c.state_of(task) is TaskState.CANCELLED


def test_cancelled_task_that_succeeds_first_keeps_its_result():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    c.cancel(task)
    n.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_cancelled_task_that_is_handed_back_is_cancelled():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    c.cancel(task)
    n.give_back(task)
    assert c.state_of(task) is TaskState.CANCELLED


def test_cancelling_twice_writes_once_and_tells_the_node_again():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    c.cancel(task)
    out = c.step(e.TaskCancelAsked(task, e.Request(), Token("again")))
    assert out.writes == []
    assert n.ended == [(task, 1)] * 2


def test_cancelling_what_is_finished_is_refused_unless_it_is_cancelled():
    c = Cluster()
    n = c.node("n1")
    done = c.submit()
    n.succeed(done)
    assert reason(c.cancel(done)) == "TASK_FINISHED"
    waiting = c.submit(spec(not_before=START + 9))
    c.cancel(waiting)
    assert c.cancel(waiting) == TaskKnown(waiting, DEFAULT)
    assert reason(c.cancel(c.new_id())) == "TASK_NOT_FOUND"


def test_repeated_cancel_is_answered_after_the_task_was_retried_by_hand():
    c = Cluster()
    task = c.submit()
    request = e.Request("r", b"cancel")
    c.cancel(task, request)
    c.retry(task)
    assert c.cancel(task, request) == TaskKnown(task, DEFAULT)
    assert c.state_of(task) is TaskState.PENDING


def test_cancel_between_assignment_and_its_commit_ends_the_attempt_after_it_was_sent():
    c = Cluster()
    n = c.node("n1", credit=0)
    task = c.submit()
    c.commit_late = True
    n.credit(1)
    c.step(e.TaskCancelAsked(task, e.Request(), Token("t")))
    assert (n.started, n.ended) == ([], [])
    c.commit()
    assert (n.started, n.ended) == ([(task, 1)], [(task, 1)])


@pytest.mark.parametrize("final", [TaskState.FAILED, TaskState.CANCELLED])
def test_retry_by_hand_makes_fresh_attempts_whose_numbers_go_on(final: TaskState):
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    if final is TaskState.CANCELLED:
        c.cancel(task)
        n.fail(task, "CANCELLED")
    else:
        n.fail(task)
    assert c.state_of(task) is final
    assert c.retry(task) == TaskKnown(task, DEFAULT)
    assert n.number(task) == 2
    assert c.row(task).failures == 0
    assert not c.row(task).cancel_requested
    # The old attempt's late result is refused.
    assert n.succeed(task, 1).writes == []
    n.succeed(task, 2)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_retry_by_hand_writes_the_spec_before_the_status():
    c = Cluster()
    task = c.submit()
    c.cancel(task)
    out = c.step(e.TaskRetryAsked(task, e.TaskRecorded(spec(), START), e.Request(), Token("t")))
    assert [type(write) for write in out.writes] == [fx.PutTask, fx.PutRun]


def test_retry_by_hand_does_not_wait_for_the_first_instant_again():
    c = Cluster()
    later = spec(not_before=START + 500)
    task = c.submit(later)
    c.cancel(task)
    c.retry(task, later)
    assert c.state_of(task) is TaskState.PENDING


def test_only_failed_and_cancelled_tasks_are_retried_by_hand():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    assert reason(c.retry(task)) == "TASK_NOT_RETRIABLE"
    n.succeed(task)
    assert reason(c.retry(task)) == "TASK_NOT_RETRIABLE"
    assert reason(c.retry(c.new_id())) == "TASK_NOT_FOUND"


def test_retry_by_hand_is_refused_at_the_limit_of_live_tasks():
    c = Cluster(limits=Limits(live_tasks=1))
    task = c.submit()
    c.cancel(task)
    c.submit()
    refused = c.retry(task)
    assert reason(refused) == "TOO_MANY_LIVE_TASKS"
    # The rule stands once, and so does its text.
    token, _ = c.batch([spec()])
    assert c.reply(token) == refused
    assert c.state_of(task) is TaskState.CANCELLED


def test_deleted_task_is_gone_with_both_records():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.succeed(task)
    out = c.step(e.TaskDeleteAsked(task, e.Request(), Token("t")))
    assert out.writes == [fx.DropTask(DEFAULT, task)]
    assert c.reply("t") == Done()
    assert c.state_of(task) is None
    assert reason(c.delete(task)) == "TASK_NOT_FOUND"


def test_live_task_is_not_deleted():
    c = Cluster()
    task = c.submit()
    assert reason(c.delete(task)) == "TASK_NOT_FINISHED"
    assert c.state_of(task) is TaskState.PENDING


def test_repeated_delete_is_answered_like_the_first():
    c = Cluster()
    task = c.submit()
    c.cancel(task)
    request = e.Request("r", b"delete")
    for _ in range(2):
        assert c.call(lambda token: e.TaskDeleteAsked(task, request, token)) == Done()


def test_task_retried_by_hand_while_waiting_ones_were_cancelled_keeps_its_place():
    # The heap of those that came back holds the task twice then: once dead.
    c = Cluster()
    n = c.node("n1", credit=4)
    tasks = [c.submit() for _ in range(4)]
    young = c.submit()
    n.credit(0)
    for task in tasks:
        n.give_back(task)
    for task in (tasks[1], tasks[2]):
        c.cancel(task)
        c.retry(task)
        c.cancel(task)
        c.retry(task)
    n.started.clear()
    n.has.clear()
    n.credit(5)
    assert [task for task, _ in n.started] == [*tasks, young]


# -- queues


def test_paused_queue_starts_nothing_and_lets_running_tasks_end():
    c = Cluster()
    n = c.node("n1", credit=1)
    running, waiting = c.submit(), c.submit()
    c.pause()
    n.succeed(running)
    assert c.state_of(running) is TaskState.SUCCEEDED
    assert c.state_of(waiting) is TaskState.PENDING
    c.pause(paused=False)
    assert c.state_of(waiting) is TaskState.RUNNING


def test_pausing_a_paused_queue_writes_nothing():
    c = Cluster()
    c.pause()
    out = c.step(e.QueuePauseAsked(DEFAULT, True, e.Request(), Token("t")))
    assert out.writes == []
    assert c.reply("t").paused  # type: ignore[attr-defined]


def test_queue_names_are_unique_and_their_number_is_bounded():
    c = Cluster(limits=Limits(queues=2))
    c.queue("one")

    def make(name: str) -> object:
        return c.call(
            lambda token: e.QueueSubmitted(
                QueueName(name),
                Placement.LEAST_LOADED,
                Disconnect.KEEP,
                1.0,
                1,
                e.Request(),
                token,
            )
        )

    answer = make("one")
    assert isinstance(answer, Rejection)
    assert answer.kind is ErrorKind.EXISTS
    assert reason(make("two")) == "TOO_MANY_QUEUES"


def test_queue_with_tasks_even_finished_ones_is_not_deleted():
    c = Cluster()
    c.queue("q")
    task = c.submit(queue="q")

    def delete(name: str) -> object:
        return c.call(lambda token: e.QueueDeleteAsked(QueueName(name), e.Request(), token))

    assert reason(delete("q")) == "QUEUE_NOT_EMPTY"
    c.cancel(task)
    assert reason(delete("q")) == "QUEUE_NOT_EMPTY"
    c.delete(task)
    assert delete("q") == Done()
    assert reason(delete("q")) == "QUEUE_NOT_FOUND"
    assert reason(delete("default")) == "QUEUE_IS_DEFAULT"


def test_repeated_queue_call_is_answered_from_its_record():
    c = Cluster()
    request = e.Request("r", b"d")

    def make() -> object:
        return c.call(
            lambda token: e.QueueSubmitted(
                QueueName("q"),
                Placement.LEAST_LOADED,
                Disconnect.KEEP,
                1.0,
                1,
                request,
                token,
            )
        )

    assert make() == make()
    assert list(c.state.queues) == ["default", "q"]


def test_a_repeated_cancel_of_a_cancelled_task_does_not_cancel_its_retry():
    c = Cluster()
    task = c.submit()
    c.cancel(task)
    again = e.Request("again", b"digest")
    assert c.cancel(task, again) == TaskKnown(task, DEFAULT)
    c.retry(task)
    assert c.cancel(task, again) == TaskKnown(task, DEFAULT)
    assert c.state_of(task) is TaskState.PENDING
