"""Retention: by age, by count, never beside what is live."""

from __future__ import annotations

from quorate.etcd.api import Delete
from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.values import TaskState
from tests.support.core import DAY, Cluster, ids
from tests.support.core_log import Log
from tests.support.core_specs import START, spec

DEFAULT = QueueName("default")


def finish(c: Cluster, count: int, queue: str = "default") -> list[TaskId]:
    """Tasks created and cancelled."""
    tasks = [c.submit(queue=queue) for _ in range(count)]
    for task in tasks:
        c.cancel(task)
    return tasks


def test_finished_tasks_go_when_they_are_old_enough():
    c = Cluster()
    c.queue("q", age=60.0)
    old = finish(c, 2, "q")
    c.advance(30)
    young = finish(c, 1, "q")
    c.advance(29)
    assert c.retain().purges == []
    c.advance(1)
    out = c.retain()
    assert out.purges == [fx.PurgeRun(QueueName("q"), old[0], old[1])]
    assert [c.state_of(task) for task in (*old, *young)] == [None, None, TaskState.CANCELLED]


def test_finished_tasks_beyond_the_count_go_oldest_first():
    c = Cluster()
    c.queue("q", count=2)
    tasks = finish(c, 5, "q")
    out = c.retain()
    assert out.purges == [fx.PurgeRun(QueueName("q"), tasks[0], tasks[2])]
    assert sorted(c.state.finished) == tasks[3:]


def test_what_finished_under_a_leader_ahead_of_time_keeps_nothing_from_expiring():
    c = Cluster()
    c.queue("q", age=60.0)
    ahead = finish(c, 1, "q")
    c.state.finished[ahead[0]].finish_time += 365 * DAY
    others = finish(c, 2, "q")
    c.advance(60)
    assert c.retain().purges == [fx.PurgeRun(QueueName("q"), others[0], others[1])]
    c.advance(365 * DAY)
    assert c.retain().purges == [fx.PurgeRun(QueueName("q"), ahead[0], ahead[0])]


def test_retention_takes_no_more_than_its_limit_at_once():
    c = Cluster()
    c.queue("q", age=0.0)
    c.queue("p", age=0.0)
    finish(c, 3, "q")
    finish(c, 3, "p")
    c.retain(limit=4)
    assert len(c.state.finished) == 2
    c.retain(limit=4)
    assert len(c.state.finished) == 0


def test_retention_beside_a_task_scheduled_for_next_month_keeps_it():
    log = Log()
    c = Cluster(log=log)
    before = finish(c, 3)
    scheduled = c.submit(spec(not_before=START + 30 * DAY))
    after = finish(c, 3)
    c.advance(2 * DAY)
    out = c.retain()
    assert out.purges == [
        fx.PurgeRun(DEFAULT, before[0], before[-1]),
        fx.PurgeRun(DEFAULT, after[0], after[-1]),
    ]
    assert [key for key in log.kept if key.startswith(b"tasks/")] == [
        f"tasks/default/{scheduled}".encode()
    ]
    # A new leader, by either way, still runs it next month.
    for state in (log.loaded().state, log.followed()):
        c.lead(state)
        assert c.state_of(scheduled) is TaskState.SCHEDULED
    n = c.node("n1")
    c.advance(29 * DAY)
    assert n.number(scheduled) == 1


def test_runs_end_at_live_tasks_at_kept_ones_and_at_holes():
    c = Cluster()
    c.queue("q", age=60.0)
    tasks = [c.submit(queue="q") for _ in range(9)]
    hole, live, kept = tasks[2], tasks[4], tasks[6]
    for task in tasks:
        if task not in (live, kept):
            c.cancel(task)
    c.delete(hole)
    c.advance(60)
    c.cancel(kept)
    runs = [(run.first, run.last) for run in c.retain().purges]
    assert runs == [
        (tasks[0], tasks[1]),
        (tasks[3], tasks[3]),
        (tasks[5], tasks[5]),
        (tasks[7], tasks[8]),
    ]


def test_run_of_one_queue_never_spans_another():
    log = Log()
    c = Cluster(log=log)
    c.queue("q", age=0.0)
    first = c.submit(queue="q")
    other = c.submit()
    last = c.submit(queue="q")
    c.cancel(first)
    c.cancel(last)
    c.retain()
    assert [key for key in log.kept if key.startswith(b"tasks/")] == [
        f"tasks/default/{other}".encode()
    ]


def test_tasks_whose_finishing_is_not_committed_are_not_looked_at():
    c = Cluster()
    c.queue("q", age=0.0)
    task = c.submit(queue="q")
    c.commit_late = True
    c.cancel(task)
    assert c.retain().purges == []
    c.commit()
    assert len(c.retain().purges) == 1


def test_task_retried_by_hand_is_not_deleted_by_its_old_end():
    c = Cluster()
    c.queue("q", age=60.0)
    task = c.submit(queue="q")
    c.cancel(task)
    c.retry(task)
    c.advance(61)
    assert c.retain().purges == []
    c.cancel(task)
    c.advance(30)
    assert c.retain().purges == []
    c.advance(31)
    assert len(c.retain().purges) == 1


def test_deleting_tasks_one_by_one_leaves_no_trail_in_memory():
    c = Cluster(checked=False)
    first = c.submit()
    c.cancel(first)
    for _ in range(4_000):
        task = c.submit()
        c.cancel(task)
        c.delete(task)
        assert len(c.state.queues[DEFAULT].retained) < 300
    c.advance(DAY)
    assert c.retain().purges == [fx.PurgeRun(DEFAULT, first, first)]


def test_answers_outlive_the_tasks_they_made():
    c = Cluster(limits=Limits(request_age=10.0))
    c.queue("q", age=100.0)
    task = c.submit(queue="q", request=e.Request("r", b"d"))
    c.cancel(task)
    c.advance(50)
    assert c.retain().purged_requests == []
    c.advance(50)
    # The task goes; its answer may go with it, since it is old enough.
    out = c.retain()
    assert out.purges
    assert out.purged_requests == [("q", "r")]
    assert not c.state.dedup


def test_young_answers_stay_when_their_tasks_are_gone():
    c = Cluster(limits=Limits(request_age=1_000.0))
    c.queue("q", age=0.0)
    task = c.submit(queue="q", request=e.Request("r", b"d"))
    c.cancel(task)
    c.retain()
    assert c.state_of(task) is None
    assert ("q", "r") in c.state.dedup


def test_answer_of_a_batch_stays_while_any_of_its_tasks_is_on_record():
    c = Cluster(limits=Limits(request_age=10.0))
    c.queue("q", age=20.0)
    _, first = c.batch([spec()] * 4, queue="q", request=e.Request("r", b"d"))
    made = ids(first, 4)
    for task in made[:3]:
        c.cancel(task)
    c.advance(30)
    out = c.retain()
    assert (len(out.purges), out.purged_requests) == (1, [])
    c.cancel(made[3])
    c.advance(30)
    out = c.retain()
    assert out.purged_requests == [("q", "r")]


def test_answer_that_must_stay_does_not_hold_back_the_next_one():
    c = Cluster(limits=Limits(request_age=10.0))
    c.submit(request=e.Request("stays", b"d"))
    gone = c.submit(request=e.Request("goes", b"d"))
    c.cancel(gone)
    c.delete(gone)
    c.advance(11)
    assert c.retain().purged_requests == [("default", "goes")]


def test_both_keys_of_a_run_are_deleted_as_ranges():
    log = Log()
    c = Cluster(log=log)
    tasks = finish(c, 3)
    c.advance(2 * DAY)
    out = c.retain()
    deletes = c.codec.encode_purges(out)
    assert len(deletes) == 2
    assert all(isinstance(op, Delete) and op.range_end for op in deletes)
    assert not [key for key in log.kept if tasks[0].encode() in key]


def test_standby_keeps_no_trail_of_answers_behind_one_that_stays():
    log = Log()
    c = Cluster(log=log, limits=Limits(request_age=1.0), checked=False)
    c.submit(spec(not_before=START + 30 * DAY), request=e.Request("stays", b"d"))
    for number in range(1_000):
        task = c.submit(request=e.Request(f"goes-{number}", b"d"))
        c.cancel(task)
        c.delete(task)
        if number % 50 == 49:
            c.advance(2)
            c.retain()
    assert list(log.fold.state.dedup) == [("default", "stays")]
    assert len(log.fold.state.dedup_line) < 300


def test_standby_keeps_no_trail_of_finished_tasks():
    log = Log()
    c = Cluster(log=log, checked=False)
    c.queue("q", count=3)
    for _ in range(1_000):
        c.cancel(c.submit(queue="q"))
        c.retain()
    standby = log.fold.state
    assert len(standby.finished) == 3
    assert len(standby.queues[QueueName("q")].retained) < 300
