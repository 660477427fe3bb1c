"""Pauses of tasks that match: by label, queue and tenant; what waits and what comes back."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.handlers.queues.matching_pauses import MOST_OF_ONE, MOST_PAUSES
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.pauses import Pauses
from scheduler.core.model.rows import PauseRow, TaskRow
from scheduler.core.placement import aside
from scheduler.core.placement.explain import Why, explain
from scheduler.core.values import Kind, Origin, PauseScope, TaskState
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec
from tests.support.core_log import Log
from tests.support.core_placement import placed
from tests.support.core_specs import spec
from tests.support.core_updates import update

MAIL = (("app", "mail"),)
ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/CreatePause")


BOB = ALICE._replace(caller="bob")


def pause(c: Cluster, name: str = "p", origin: Origin | None = ALICE, **fields: object) -> object:
    row = PauseRow(name, **fields)  # type: ignore[arg-type]
    return c.call(lambda token: e.PauseSubmitted(row, e.Request(origin=origin), token))


def end(c: Cluster, name: str = "p", queue: str = "") -> object:
    return c.call(lambda token: e.PauseDeleteAsked(name, QueueName(queue), e.Request(), token))


def states(c: Cluster, *tasks: TaskId) -> list[str]:
    return [state.name if (state := c.state_of(task)) else "" for task in tasks]


def test_a_label_is_paused_and_hides_no_other():
    c = Cluster()
    c.node("n1", credit=50)
    before = c.submit(placed({"app": "mail"}))
    pause(c, labels=MAIL)
    mail = [c.submit(placed({"app": "mail", "n": str(n)})) for n in range(3)]
    other = c.submit(placed({"app": "web"}))
    assert states(c, before, *mail, other) == ["RUNNING", *["PENDING"] * 3, "RUNNING"]
    end(c)
    assert states(c, *mail) == ["RUNNING"] * 3


def test_a_tenant_is_paused():
    c = Cluster()
    c.node("n1", credit=50)
    pause(c, tenant="acme")
    acme, other = c.submit(spec(tenant="acme")), c.submit(spec(tenant="umbrella"))
    nobody = c.submit()
    assert states(c, acme, other, nobody) == ["PENDING", "RUNNING", "RUNNING"]
    end(c)
    assert states(c, acme) == ["RUNNING"]


def test_all_that_is_set_must_match():
    c = Cluster()
    c.node("n1", credit=50)
    c.queue("letters")
    pause(c, queue=QueueName("letters"), labels=MAIL)
    elsewhere = c.submit(placed({"app": "mail"}))
    unlabelled = c.submit(queue="letters")
    held = c.submit(placed({"app": "mail"}), queue="letters")
    assert states(c, elsewhere, unlabelled, held) == ["RUNNING", "RUNNING", "PENDING"]


def test_what_waited_before_the_pause_waits_on_in_its_order():
    c = Cluster()
    tasks = [c.submit(placed({"app": "mail" if n % 2 else "web"})) for n in range(10)]
    pause(c, labels=MAIL)
    node = c.node("n1", credit=50)
    assert states(c, *tasks) == ["RUNNING", "PENDING"] * 5
    node.credit(0)
    end(c)
    c.place()
    for task in tasks[0::2]:
        node.succeed(task)
    node.credit(1)
    for task in tasks[1::2]:
        assert states(c, task) == ["RUNNING"]
        node.succeed(task)


@pytest.mark.parametrize("key", ["", "k"])
def test_many_are_set_aside_and_brought_back_in_parts(key: str):
    c = Cluster(checked=False)
    c.placing = False
    what = placed({"app": "mail"}, limit_key=key)
    tasks = [c.submit(what) for _ in range(2_500)]
    pause(c, labels=MAIL)
    c.placing = True
    c.node("n1", credit=5_000)
    rounds = 0
    while c.place().more:
        rounds += 1
    assert rounds <= 3
    assert not any(c.row(task).node for task in tasks)
    c.placing = False
    end(c)
    rounds = 0
    while c.place(10_000).more:
        rounds += 1
    assert rounds == 2
    assert all(c.row(task).node for task in tasks)


def test_a_paused_task_can_be_cancelled_updated_and_expire():
    c = Cluster()
    c.node("n1")
    pause(c, labels=MAIL)
    cancelled = c.submit(placed({"app": "mail"}))
    late = c.submit(placed({"app": "mail"}, start_deadline=5.0))
    c.cancel(cancelled)
    c.advance(6.0)
    assert states(c, cancelled, late) == ["CANCELLED", "EXPIRED"]


@pytest.mark.parametrize("again", ["resumed", "later"])
def test_a_task_that_waits_for_something_else_when_the_pause_ends_starts_after_that(again: str):
    c = Cluster()
    c.node("n1")
    pause(c, labels=MAIL)
    task = c.submit(placed({"app": "mail"}))
    if again == "resumed":
        c.step(e.TaskPauseAsked(task, True, e.Request(), c.token()))
    else:
        update(c, [task], not_before=c.now + 5.0)
    end(c)
    c.advance(1.0)
    if again == "resumed":
        c.step(e.TaskPauseAsked(task, False, e.Request(), c.token()))
    c.advance(5.0)
    assert states(c, task) == ["RUNNING"]


def test_an_ordering_key_keeps_its_order_behind_a_paused_task():
    c = Cluster()
    c.node("n1")
    pause(c, labels=MAIL)
    first = c.submit(placed({"app": "mail"}, ordering_key="k"))
    second = c.submit(placed({"app": "web"}, ordering_key="k"))
    assert states(c, first, second) == ["PENDING", "PENDING"]
    end(c)
    assert states(c, first, second) == ["RUNNING", "PENDING"]


def test_a_job_is_paused_by_the_labels_of_its_template():
    c = Cluster()
    c.node("n1")
    pause(c, labels=MAIL)
    jobs = Jobs(c)
    jobs.create(10, job_spec()._replace(labels=MAIL))
    assert not c.state.chunks
    end(c)
    assert c.state.chunks


def test_a_pause_ends_by_itself():
    c = Cluster()
    c.node("n1")
    pause(c, labels=MAIL, until=c.now + 60.0)
    task = c.submit(placed({"app": "mail"}))
    assert c.state.next_pause_end() == c.now + 60.0
    c.advance(59.0)
    assert states(c, task) == ["PENDING"]
    c.advance(1.0)
    assert states(c, task) == ["RUNNING"]
    assert not c.state.pauses.rows


def test_admission_is_refused():
    c = Cluster()
    c.node("n1")
    pause(c, labels=MAIL, scope=PauseScope.ADMISSION, reason="vendor down")
    answer = c.call(
        lambda token: e.TaskSubmitted(
            QueueName("default"), c.new_id(), placed({"app": "mail"}), e.Request(), token, ""
        )
    )
    assert isinstance(answer, Rejection)
    assert answer.reason == "TASKS_PAUSED"
    assert answer.message.startswith(
        "tasks with app=mail are not accepted: pause 'p' by operator:alice (vendor down) holds"
    )
    assert states(c, c.submit()) == ["RUNNING"]
    job = Jobs(c).ask_create(5, job_spec()._replace(labels=MAIL))
    assert isinstance(job, Rejection)


def test_a_pause_that_matches_replicas_does_not_hold_them():
    c = Cluster()
    c.node("n1")
    pause(c, queue=QueueName("services"))
    c.service("web", replicas=1)
    assert [row.state for row in c.state.tasks.values()] == [TaskState.RUNNING]


def test_names_are_taken_once_and_pauses_are_bounded():
    c = Cluster()
    pause(c, labels=MAIL)
    again = pause(c, labels=MAIL)
    assert isinstance(again, Rejection)
    assert again.reason == "PAUSE_ALREADY_EXISTS"
    for number in range(MOST_PAUSES - 1):
        pause(c, f"p{number}", None, tenant="x")
    more = pause(c, "more", BOB, tenant="x")
    assert isinstance(more, Rejection)
    assert (more.reason, more.name) == ("TOO_MANY_PAUSES", str(MOST_PAUSES))


def test_one_caller_leaves_room_for_the_pauses_of_others():
    c = Cluster()
    for number in range(MOST_OF_ONE):
        assert isinstance(pause(c, f"p{number}", tenant="x"), PauseRow)
    more = pause(c, "more", tenant="x")
    assert isinstance(more, Rejection)
    assert (more.reason, more.name) == ("TOO_MANY_PAUSES", str(MOST_OF_ONE))
    assert "operator:alice has made 50" in more.message
    assert isinstance(pause(c, "more", BOB, tenant="x"), PauseRow)
    end(c, "p0")
    assert isinstance(pause(c, "another", tenant="x"), PauseRow)


def test_a_pause_of_another_queue_is_not_found():
    c = Cluster()
    pause(c, queue=QueueName("default"))
    answer = end(c, "p", "letters")
    assert isinstance(answer, Rejection)
    assert answer.reason == "PAUSE_NOT_FOUND"
    assert not isinstance(end(c, "p", "default"), Rejection)


def test_the_explanation_says_who_paused_what_until_when():
    c = Cluster()
    c.node("n1")
    pause(c, "outage", labels=MAIL, reason="vendor down", until=c.now + 60.0)
    task = c.submit(placed({"app": "mail"}))
    found = explain(c.state, c.row(task), c.now)
    (reason,) = found.reasons
    assert reason.why is Why.PAUSED
    assert reason.sentence == (
        "waits until pause 'outage' by operator:alice ends: it holds back tasks with app=mail "
        "until 2023-11-14 22:14:20 UTC (vendor down)"
    )
    assert (reason.until, reason.paused_by) == (c.now + 60.0, "operator:alice")


def test_no_reservation_for_a_task_that_is_paused():
    c = Cluster(limits=Limits(reserve_after=5.0))
    c.node("n1", cpu=4.0)
    c.submit(spec(cpu=3.0))
    c.submit(placed({"app": "mail"}, cpu=4.0))
    pause(c, labels=MAIL)
    c.advance(10.0)
    c.place()
    assert c.state.reservation is None


def test_whoever_leads_names_the_same_one_of_several():
    log = Log()
    c = Cluster(log=log)
    for name in ("second", "first"):
        pause(c, name, labels=MAIL)
    assert [row.name for row in c.state.pauses.dispatch] == ["first", "second"]
    assert log.loaded().state.pauses.dispatch == c.state.pauses.dispatch


def test_tasks_that_nothing_has_room_for_are_looked_at_in_bounded_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aside, "_COMPARED", 3)
    c = Cluster()
    held = []
    for number in range(5):
        queue = c.queue(f"q{number}")
        c.submit(queue=queue)
        held.append(c.submit(spec(cpu=1.0)._replace(labels=MAIL), queue=queue))
    looked: list[TaskId] = []
    of = Pauses.of

    def count(pauses: Pauses, row: TaskRow) -> PauseRow | None:
        looked.append(row.id)
        return of(pauses, row)

    monkeypatch.setattr(Pauses, "of", count)
    pause(c, labels=MAIL)
    most = 0
    for _ in range(20):
        looked.clear()
        # No pass meets them, and time brings the next look.
        c.advance(0.6)
        most = max(most, len(looked))
    assert most <= 8
    waits = [c.row(task).kind for task in held]
    assert [isinstance(kind, Kind) and kind.pause for kind in waits] == ["p"] * 5
    # Nothing is left: passes of the same moment look at none again.
    looked.clear()
    c.submit(queue="q0")
    c.submit(queue="q1")
    assert len(looked) <= 4
