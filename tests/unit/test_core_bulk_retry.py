"""RetryTasks and DeleteTasks in the core: parts, counts, rates, history, repeats, failover."""

from __future__ import annotations

from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.values import BulkAct, Origin, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import START, spec

ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/RetryTasks")
REQUEST = e.Request("bulk", b"digest", ALICE)
PARTS_OF_TWO = Limits(part_tasks=2)


def ask(c: Cluster, tasks: list, act: BulkAct = BulkAct.RETRY, **more: object) -> str:
    token = c.token()
    event = e.BulkAsked(tasks, frozenset(), REQUEST, token, act=act)
    c.step(event._replace(**more))  # type: ignore[arg-type]
    return token


def counts(c: Cluster, token: str) -> tuple[int, ...]:
    answer = c.reply(token)
    assert isinstance(answer, BulkDone), answer
    return answer.counts


def write_parts(c: Cluster) -> None:
    while c.parts:
        c.step(c.parts.popleft())


def failed(c: Cluster, count: int, **options: object) -> list:
    """Tasks that failed, on a node that takes no more work afterwards."""
    node = c.node("worker", credit=count)
    tasks = [c.submit(spec(**options)) for _ in range(count)]  # type: ignore[arg-type]
    for task in tasks:
        node.fail(task)
    node.credit(0)
    return tasks


def test_each_task_is_counted_as_what_became_of_it():
    c = Cluster()
    one, two = failed(c, 2)
    live, cancelled, unknown = c.submit(), c.submit(), c.new_id()
    c.cancel(cancelled)
    assert counts(c, ask(c, [one, two, live, cancelled, unknown])) == (3, 1, 0, 1, 0)
    assert c.state_of(one) is c.state_of(cancelled) is TaskState.PENDING


def test_states_leave_the_others_alone_and_what_succeeded_is_never_retried():
    c = Cluster()
    (dead,) = failed(c, 1)
    node = c.node("n2", credit=1)
    good = c.submit()
    node.succeed(good)
    node.credit(0)
    cancelled = c.submit()
    c.cancel(cancelled)
    token = ask(c, [dead, good, cancelled], states=frozenset({TaskState.FAILED}))
    assert counts(c, token) == (1, 0, 2, 0, 0)
    assert c.state_of(cancelled) is TaskState.CANCELLED


def test_past_attempts_stay_and_numbers_go_on():
    c = Cluster()
    (task,) = failed(c, 1, attempts=1)
    ask(c, [task])
    row = c.row(task)
    assert [(past.number, past.node, past.error_type) for past in row.past] == [
        (1, "worker", "ValueError")
    ]
    assert (row.attempt, row.failures) == (1, 0)


def test_a_rate_spreads_the_starts_and_they_are_on_record():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    tasks = failed(c, 5)
    answer = c.reply(ask(c, tasks, rate=2.0))
    assert isinstance(answer, BulkDone)
    assert answer.last_start == c.now + 2.0
    states = [c.state_of(task) for task in tasks]
    assert states == [TaskState.PENDING, *[TaskState.SCHEDULED] * 4]
    standby = log.followed()
    assert [standby.tasks[task].not_before for task in tasks[1:]] == [
        c.now + n / 2 for n in range(1, 5)
    ]
    c.lead(standby)
    c.advance(1.0)
    assert [c.state_of(task) for task in tasks].count(TaskState.PENDING) == 3


def test_the_next_page_goes_on_behind_the_one_before():
    c = Cluster()
    tasks = failed(c, 2)
    ask(c, tasks, rate=1.0, start=c.now + 10)
    assert [c.row(task).not_before for task in tasks] == [c.now + 10, c.now + 11]


def test_next_leader_goes_on_behind_what_is_on_record_and_keeps_the_rate():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    tasks = failed(c, 5)
    began = c.now
    c.hold_parts = True
    ask(c, tasks, rate=1.0)
    c.step(c.parts.popleft())
    c.lead(log.followed())
    c.now += 0.5
    c.cancel(tasks[0])
    token = ask(c, tasks, rate=1.0)
    write_parts(c)
    assert counts(c, token) == (5, 0, 0, 0, 0)
    assert c.state_of(tasks[0]) is TaskState.CANCELLED
    assert [c.row(task).not_before for task in tasks[1:]] == [began + n for n in range(1, 5)]


def test_repeat_of_a_finished_call_gets_the_first_answer():
    c = Cluster()
    tasks = failed(c, 2)
    first = c.reply(ask(c, tasks, rate=1.0))
    c.cancel(tasks[0])
    assert c.reply(ask(c, tasks, rate=1.0)) == first
    assert c.state_of(tasks[0]) is TaskState.CANCELLED


def test_a_repeat_before_the_first_part_is_answered_together_with_it():
    c = Cluster(limits=PARTS_OF_TWO)
    tasks = failed(c, 3)
    c.hold_parts = True
    one, two = ask(c, tasks), ask(c, tasks)
    assert len(c.parts) == 1
    write_parts(c)
    assert counts(c, one) == counts(c, two) == (3, 0, 0, 0, 0)


def test_the_limit_of_live_tasks_holds_for_each_of_them():
    c = Cluster(limits=Limits(live_tasks=3))
    tasks = failed(c, 3)
    c.submit()
    assert counts(c, ask(c, tasks)) == (2, 0, 0, 0, 1)


def test_one_audit_entry_for_the_call():
    c = Cluster(limits=PARTS_OF_TWO)
    tasks = failed(c, 5)
    c.hold_parts = True
    ask(c, tasks, subject=("queue", "default", "default"))
    entries = []
    while c.parts:
        out = c.step(c.parts.popleft())
        entries += [write for write in out.writes if isinstance(write, fx.PutAudit)]
    assert [(entry.kind, entry.name) for entry in entries] == [("queue", "default")]
    assert ("tasks", "", "5") in entries[0].changes


def test_a_replica_is_left_alone():
    c = Cluster()
    c.service("web", replicas=1)
    (replica,) = c.replicas("web")
    c.cancel(replica)
    assert counts(c, ask(c, [replica]))[0] == 0


def test_finished_tasks_are_deleted_and_others_counted():
    c = Cluster(limits=PARTS_OF_TWO)
    tasks = failed(c, 3)
    live, unknown = c.submit(), c.new_id()
    token = ask(c, [*tasks, live, unknown], BulkAct.DELETE)
    assert counts(c, token) == (3, 1, 0, 1)
    assert [c.state_of(task) for task in tasks] == [None] * 3
    assert counts(c, ask(c, [*tasks, live, unknown], BulkAct.DELETE)) == (3, 1, 0, 1)


def test_redriving_what_was_redriven_says_so():
    c = Cluster()
    (task,) = failed(c, 1)
    ask(c, [task])
    rejection = c.retry(task)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "TASK_NOT_RETRIABLE"
    assert "is PENDING" in rejection.message
    again = e.Request("other", b"digest")
    assert counts(c, ask(c, [task], request=again)) == (0, 1, 0, 0, 0)


def test_a_rate_needs_no_timer_of_the_call():
    """What is due is derived from the tasks' records alone."""
    c = Cluster(now=START)
    tasks = failed(c, 3)
    ask(c, tasks, rate=0.1)
    assert c.state.next_due() == c.row(tasks[1]).not_before
