"""CancelTasks in the core: parts, counts, repeats, and what it leaves alone."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import TaskId
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.values import Origin, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec
from tests.support.tokens import Token

REQUEST = e.Request("bulk", b"digest")
PARTS_OF_TWO = Limits(part_tasks=2)
ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/CancelTasks")


def ask(
    c: Cluster,
    tasks: list[TaskId],
    request: e.Request = REQUEST,
    states: tuple[TaskState, ...] = (),
    **more: object,
) -> str:
    token = c.token()
    event = e.BulkAsked(tasks, frozenset(states), request, token)
    c.step(event._replace(**more))  # type: ignore[arg-type]
    return token


def counts(c: Cluster, token: str) -> tuple[int, ...]:
    answer = c.reply(token)
    assert isinstance(answer, BulkDone), answer
    return answer.counts


def write_parts(c: Cluster) -> None:
    while c.parts:
        c.step(c.parts.popleft())


def test_each_task_is_counted_as_what_became_of_it():
    c = Cluster()
    node = c.node("n1", credit=2)
    runs, done = c.submit(), c.submit()
    node.succeed(done)
    runs_too = c.submit()
    waits, unknown = c.submit(), c.new_id()
    token = ask(c, [waits, runs, runs_too, done, unknown])
    assert counts(c, token) == (1, 2, 1, 1, 0)
    assert c.state_of(waits) is TaskState.CANCELLED
    assert [task for task, _ in node.ended] == [runs, runs_too]
    assert c.state_of(runs) is TaskState.RUNNING
    assert c.state.tasks[runs].cancel_requested


def test_states_leave_the_others_alone():
    c = Cluster()
    node = c.node("n1", credit=1)
    runs, waits = c.submit(), c.submit()
    token = ask(c, [runs, waits], states=(TaskState.PENDING, TaskState.SCHEDULED))
    assert counts(c, token) == (1, 0, 0, 0, 1)
    assert not node.ended
    assert not c.state.tasks[runs].cancel_requested


def test_hundreds_are_one_txn_with_the_answer_of_the_call():
    c = Cluster(limits=Limits(part_tasks=384))
    tasks = [c.submit() for _ in range(300)]
    out = c.step(e.BulkAsked(tasks, frozenset(), REQUEST, Token("token")))
    assert not out.then
    assert sum(isinstance(write, fx.PutRun) for write in out.writes) == 300
    remembered = [write.row for write in out.writes if isinstance(write, fx.PutDedup)]
    assert [(row.progress, row.counts) for row in remembered] == [(300, (300, 0, 0, 0, 0))]


def test_parts_are_cut_by_bytes_too_but_hold_at_least_one_task():
    c = Cluster(limits=Limits(part_bytes=1))
    c.hold_parts = True
    tasks = [c.submit() for _ in range(3)]
    token = ask(c, tasks)
    assert c.state.dedup["_tasks", "bulk"].progress == 1
    write_parts(c)
    assert counts(c, token) == (3, 0, 0, 0, 0)


def test_it_is_answered_when_the_last_part_is_written():
    c = Cluster(limits=PARTS_OF_TWO)
    c.hold_parts = True
    tasks = [c.submit() for _ in range(5)]
    token = ask(c, tasks)
    assert [c.state_of(task) for task in tasks[1:3]] == [TaskState.CANCELLED, TaskState.PENDING]
    assert c.reply(token) is None
    write_parts(c)
    assert counts(c, token) == (5, 0, 0, 0, 0)


def test_repeat_of_a_finished_call_gets_the_first_answer_and_spares_who_was_retried():
    c = Cluster()
    tasks = [c.submit() for _ in range(3)]
    ask(c, tasks)
    c.retry(tasks[0])
    assert counts(c, ask(c, tasks)) == (3, 0, 0, 0, 0)
    assert c.state_of(tasks[0]) is TaskState.PENDING


def test_repeats_of_a_call_under_way_are_answered_together_and_bounded():
    c = Cluster(limits=Limits(part_tasks=1, batch_waiters=1))
    c.hold_parts = True
    tasks = [c.submit() for _ in range(3)]
    one, two, three = (ask(c, tasks) for _ in range(3))
    assert len(c.parts) == 1
    rejection = c.reply(three)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "TOO_MANY_BATCH_WAITERS"
    write_parts(c)
    assert counts(c, one) == counts(c, two) == (3, 0, 0, 0, 0)


def test_next_leader_goes_on_behind_what_is_on_record():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    c.hold_parts = True
    tasks = [c.submit() for _ in range(5)]
    ask(c, tasks)
    c.lead(log.followed())
    c.retry(tasks[0])
    token = ask(c, tasks)
    write_parts(c)
    assert counts(c, token) == (5, 0, 0, 0, 0)
    assert c.state_of(tasks[0]) is TaskState.PENDING
    assert [c.state_of(task) for task in tasks[1:]] == [TaskState.CANCELLED] * 4


def test_next_leader_goes_on_with_what_a_filter_finds_of_the_rest():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    c.hold_parts = True
    tasks = [c.submit() for _ in range(4)]
    ask(c, tasks, page_end=tasks[3])
    c.lead(log.followed())
    row = c.state.dedup["_tasks", "bulk"]
    assert (row.progress, row.last_id, row.first_id) == (2, tasks[1], tasks[3])
    token = ask(c, tasks[2:], offset=2, page_end=tasks[3])
    write_parts(c)
    assert c.reply(token) == BulkDone((4, 0, 0, 0, 0), tasks[3])
    # And the record says so to whoever asks again.
    assert c.reply(ask(c, [], offset=0)) == BulkDone((4, 0, 0, 0, 0), tasks[3])


def test_a_filter_that_found_nothing_finds_nothing_when_repeated():
    c = Cluster()
    assert counts(c, ask(c, [])) == (0, 0, 0, 0, 0)
    later = c.submit()
    assert counts(c, ask(c, [])) == (0, 0, 0, 0, 0)
    assert c.state_of(later) is TaskState.PENDING


def test_the_same_request_id_with_other_tasks_is_refused():
    c = Cluster()
    ask(c, [c.submit()])
    rejection = c.reply(ask(c, [c.submit()], e.Request("bulk", b"other")))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "REQUEST_ID_REUSED"


def test_room_for_remembered_answers_is_asked_before_anything_is_done():
    c = Cluster(limits=Limits(requests=1))
    ask(c, [c.submit()])
    task = c.submit()
    rejection = c.reply(ask(c, [task], e.Request("more", b"digest")))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "TOO_MANY_REQUESTS_REMEMBERED"
    assert c.state_of(task) is TaskState.PENDING


@pytest.mark.parametrize("parts", [1, 5])
def test_the_audit_log_gets_one_entry_for_the_call(parts):
    c = Cluster(limits=Limits(part_tasks=10 // parts))
    tasks = [c.submit() for _ in range(10)]
    writes: list[fx.PutAudit] = []
    c.hold_parts = True
    event = e.BulkAsked(
        tasks, frozenset(), e.Request("bulk", b"d", ALICE), Token("t"), subject=("queue", "q", "q")
    )
    out = c.step(event)
    writes += [write for write in out.writes if isinstance(write, fx.PutAudit)]
    while c.parts:
        out = c.step(c.parts.popleft())
        writes += [write for write in out.writes if isinstance(write, fx.PutAudit)]
    assert [(write.kind, write.name) for write in writes] == [("queue", "q")]
    assert ("tasks", "", "10") in writes[0].changes


def test_a_call_that_changed_nothing_is_not_in_the_audit_log():
    c = Cluster()
    node = c.node("n1")
    task = c.submit()
    node.succeed(task)
    out = c.step(e.BulkAsked([task], frozenset(), e.Request("bulk", b"d", ALICE), Token("t")))
    assert not [write for write in out.writes if isinstance(write, fx.PutAudit)]


def test_cancelling_a_task_with_a_long_past_makes_no_txn_too_large():
    c = Cluster(limits=Limits(part_tasks=48, part_bytes=4_000))
    node = c.node("n1", credit=1)
    tasks = [c.submit(spec(attempts=20, backoff=1.0)) for _ in range(3)]
    for _ in range(27):
        running = next(task for task in tasks if c.state_of(task) is TaskState.RUNNING)
        node.fail(running)
        c.advance(1_000.0)
    c.hold_parts = True
    token = ask(c, tasks)
    assert c.parts
    write_parts(c)
    assert sum(counts(c, token)[:2]) == 3
