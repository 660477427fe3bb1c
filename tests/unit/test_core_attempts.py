"""Attempts: retried with backoff, fenced, returned, lost with their node."""

from __future__ import annotations

import pytest

from quorate.v1.task_pb2 import TaskResult
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.values import MAX_PAST, RetryPolicy, TaskState
from tests.support.core import Cluster
from tests.support.core_specs import START, spec


def runs(out: fx.Effects) -> list[fx.PutRun]:
    return [write for write in out.writes if isinstance(write, fx.PutRun)]


def test_success_is_written_with_its_result_before_it_is_acknowledged():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    c.commit_late = True
    result = TaskResult(json="1")
    out = c.step(e.AttemptSucceeded(n.instance, task, 1, 10.0, 12.0, result))
    assert [(put.row.id, put.result) for put in runs(out)] == [(task, result)]
    assert n.acknowledged == []
    assert c.finished == []
    c.commit()
    assert n.acknowledged == [(task, 1)]
    assert c.finished == [task]


def test_start_time_is_on_the_leaders_clock_and_agents_clocks_count_for_durations():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    c.advance(10)
    out = c.step(e.AttemptSucceeded(n.instance, task, 1, 5.0, 8.0, None))
    assert runs(out)[0].row.start_time == START + 7
    assert runs(out)[0].finish_time == START + 10
    # Never before it was assigned, whatever the agent says.
    other = c.submit()
    out = c.step(e.AttemptSucceeded(n.instance, other, 1, 0.0, 900.0, None))
    assert runs(out)[0].row.start_time == START + 10


def test_failed_task_is_tried_again_after_its_backoff_and_then_fails():
    c = Cluster()
    n = c.node("n1")
    task = c.submit(spec(attempts=3, backoff=2.0, multiplier=10.0))
    n.fail(task)
    assert c.state_of(task) is TaskState.SCHEDULED
    assert c.row(task).not_before == START + 2
    assert c.place_of(task) == ""
    c.advance(2)
    assert n.number(task) == 2
    n.fail(task)
    assert c.row(task).not_before == START + 2 + 20
    c.advance(20)
    assert n.number(task) == 3
    n.fail(task)
    assert c.state_of(task) is TaskState.FAILED
    assert c.finished == [task]


def test_backoff_grows_to_its_bound_and_never_overflows():
    policy = RetryPolicy(initial_backoff=1.0, max_backoff=60.0, multiplier=2.0, jitter=0.0)
    waits = [policy.backoff(failures, 0.5) for failures in (1, 2, 3, 7, 1_000)]
    assert waits == [1.0, 2.0, 4.0, 60.0, 60.0]


def test_jitter_spreads_the_waits_of_tasks_that_failed_together():
    c = Cluster()
    n = c.node("n1", credit=50)
    tasks = [c.submit(spec(attempts=2, backoff=10.0, jitter=0.2)) for _ in range(50)]
    for task in tasks:
        n.fail(task)
    waits = [c.row(task).not_before - START for task in tasks]
    assert all(8.0 <= wait <= 12.0 for wait in waits)
    assert len(set(waits)) > 40
    assert max(waits) - min(waits) > 2.0


def test_jitter_is_the_same_for_whoever_leads():
    def wait() -> float:
        c = Cluster()
        n = c.node("n1")
        task = c.submit(spec(attempts=2, jitter=0.5))
        n.fail(task)
        return c.row(task).not_before

    assert wait() == wait()


def test_fatal_error_is_final_at_once():
    c = Cluster()
    n = c.node("n1")
    task = c.submit(spec(attempts=5, fatal=["ValueError"]))
    n.fail(task, "ValueError")
    assert c.state_of(task) is TaskState.FAILED
    other = c.submit(spec(attempts=5, fatal=["ValueError"]))
    n.fail(other, "OSError")
    assert c.state_of(other) is TaskState.SCHEDULED


def test_a_fatal_error_matches_subclasses_too():
    c = Cluster()
    n = c.node("n1")
    task = c.submit(spec(attempts=5, fatal=["OSError"]))
    bases = ("OSError", "Exception", "BaseException")
    c.step(e.AttemptFailed(n.instance, task, 1, 0.0, 0.0, "FileNotFoundError", "gone", None, bases))
    assert c.state_of(task) is TaskState.FAILED
    other = c.submit(spec(attempts=5, fatal=["ValueError"]))
    c.step(
        e.AttemptFailed(n.instance, other, 1, 0.0, 0.0, "FileNotFoundError", "gone", None, bases)
    )
    assert c.state_of(other) is TaskState.SCHEDULED


def test_past_attempts_are_kept_up_to_a_bound_and_their_messages_cut():
    c = Cluster()
    n = c.node("n1")
    task = c.submit(spec(attempts=100))
    for _ in range(MAX_PAST + 5):
        number = n.number(task)
        c.step(e.AttemptFailed(n.instance, task, number, 0.0, 0.0, "E", "m" * 5_000, None))
        c.advance(400)
    past = c.row(task).past
    assert [attempt.number for attempt in past] == list(range(6, MAX_PAST + 6))
    assert max(len(attempt.error_message) for attempt in past) <= 256


@pytest.mark.parametrize("report", ["succeed", "fail", "give_back"])
def test_result_of_a_stale_attempt_is_acknowledged_and_changes_nothing(report: str):
    c = Cluster()
    n = c.node("n1", credit=1)
    task = c.submit(spec(attempts=3))
    n.fail(task)
    c.advance(5)
    assert n.number(task) == 2
    event: e.Event = {
        "succeed": e.AttemptSucceeded(n.instance, task, 1, 0.0, 0.0, None),
        "fail": e.AttemptFailed(n.instance, task, 1, 0.0, 0.0, "E", "", None),
        "give_back": e.AttemptReturned(n.instance, task, 1),
    }[report]  # type: ignore[assignment]
    n.acknowledged.clear()
    out = c.step(event)
    assert out.writes == []
    assert n.acknowledged == [(task, 1)]
    assert c.state_of(task) is TaskState.RUNNING
    assert c.row(task).attempt == 2


def test_result_of_another_instance_is_acknowledged_and_changes_nothing():
    c = Cluster()
    n = c.node("n1")
    other = c.node("n2", credit=0)
    task = c.submit()
    out = c.step(e.AttemptSucceeded(other.instance, task, n.number(task), 0.0, 0.0, None))
    assert out.writes == []
    assert other.acknowledged == [(task, 1)]
    assert c.state_of(task) is TaskState.RUNNING


def test_result_of_a_task_nobody_knows_is_acknowledged():
    c = Cluster()
    n = c.node("n1")
    ghost = c.new_id()
    out = c.step(e.AttemptSucceeded(n.instance, ghost, 1, 0.0, 0.0, None))
    assert out.writes == []
    assert n.acknowledged == [(ghost, 1)]


def test_result_that_is_repeated_is_accepted_once():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    assert len(runs(n.succeed(task, 1))) == 1
    assert n.succeed(task, 1).writes == []
    assert n.fail(task, number=1).writes == []
    assert n.acknowledged == [(task, 1)] * 3
    assert c.finished == [task]


def test_attempt_handed_back_is_pending_again_and_no_failure():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.credit(0)
    n.give_back(task)
    row = c.row(task)
    assert (row.state, row.attempt, row.failures, row.crashes) == (TaskState.PENDING, 1, 0, 0)
    assert n.acknowledged == [(task, 1)]


def test_only_attempts_that_started_count_towards_the_crash_limit():
    c = Cluster()
    task = c.submit(spec(crash_limit=2))
    for _ in range(4):
        n = c.node("n1")
        assert n.number(task)
        n.lose()
        assert c.state_of(task) is TaskState.PENDING
        assert c.row(task).crashes == 0
    for crash in (1, 2):
        n = c.node("n1")
        n.start(task)
        n.lose()
        assert c.state_of(task) is (TaskState.PENDING if crash < 2 else TaskState.FAILED)


def test_crash_limit_writes_why():
    c = Cluster()
    c.placing = True
    task = c.submit(spec(crash_limit=1, attempts=9))
    n = c.node("n1")
    n.start(task)
    number = n.number(task)
    c.placing = False
    out = c.step(e.AttemptLost(task, number, n.instance, "gone"))
    assert [put.error_type for put in runs(out)] == ["CRASH_LIMIT"]


def test_crash_is_no_failure_of_the_task():
    c = Cluster()
    task = c.submit(spec(attempts=1, crash_limit=3))
    n = c.node("n1")
    n.start(task)
    n.lose()
    assert c.row(task).failures == 0
    assert [past.error_type for past in c.row(task).past] == ["NODE_LOST"]


def test_cancelled_task_whose_node_is_lost_is_cancelled_even_at_the_crash_limit():
    c = Cluster()
    task = c.submit(spec(crash_limit=1))
    n = c.node("n1")
    n.start(task)
    c.cancel(task)
    n.lose()
    assert c.state_of(task) is TaskState.CANCELLED


def test_past_attempts_stay_small_whatever_an_exception_is_called() -> None:
    cluster = Cluster()
    node = cluster.node("n1", credit=1)
    task = cluster.submit(spec(attempts=2))
    node.fail(task, "x" * 1_000_000)
    (past,) = cluster.state.tasks[task].past
    assert len(past.error_type) == 256
