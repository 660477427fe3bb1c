"""How many answers to repeated calls are kept: bounded for every call, each kind by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quorate.runtime.ids import NodeName, QueueName, TaskId
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.machine import CALLS
from scheduler.core.model import events as e
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.rows import Control
from scheduler.core.model.schedules import Backfill, Overlap, Pause, ScheduleName
from scheduler.core.values import Change, Disconnect, Placement, QueueLimits, ServiceName
from scheduler.storage import records
from tests.support.core import DAY, Cluster
from tests.support.core_calls import create_pause, delete_pause, signal_task
from tests.support.core_jobs import Jobs, job_spec, updating
from tests.support.core_schedules import Schedules, at, schedule_spec
from tests.support.core_specs import START, service_spec, spec
from tests.support.tokens import Token

# Makes the `number`th call of a kind, which must not be refused for its own sake.
Make = Callable[[Cluster, int], Callable[[e.Request, Token], e.Event]]


def create_task(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = c.new_id()
    return lambda r, token: e.TaskSubmitted(QueueName("default"), task, spec(), r, token)


def cancel_task(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = c.submit()
    return lambda r, token: e.TaskCancelAsked(task, r, token)


def cancel_cancelled(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = _cancelled(c)
    return lambda r, token: e.TaskCancelAsked(task, r, token)


def retry_task(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = _cancelled(c)
    return lambda r, token: e.TaskRetryAsked(task, e.TaskRecorded(spec(), START), r, token)


def delete_task(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = _cancelled(c)
    return lambda r, token: e.TaskDeleteAsked(task, r, token)


def create_queue(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = QueueName(f"made-{number}")
    how = (Placement.LEAST_LOADED, Disconnect.KEEP, DAY, 10)
    return lambda r, token: e.QueueSubmitted(name, *how, r, token)


def delete_queue(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = c.queue(f"gone-{number}")
    return lambda r, token: e.QueueDeleteAsked(name, r, token)


def pause_queue(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    return lambda r, token: e.QueuePauseAsked(QueueName("default"), number % 2 == 0, r, token)


def control_node(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    if not c.nodes:
        c.node("n1")
    control = Control(cordoned=number % 2 == 0)
    return lambda r, token: e.NodeControlAsked(NodeName("n1"), control, r, token)


def dismiss_node(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = NodeName(f"lost-{number}")
    node = c.node(name, announces_end=True)
    c.step(e.NodeLost(name, node.instance, "gone"))
    return lambda r, token: e.NodeDismissAsked(name, r, token)


def create_service(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = ServiceName(f"made-{number}")
    what = records.service_spec(name, 1, service_spec())
    return lambda r, token: e.ServiceSubmitted(name, what, r, token)


def update_service(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = ServiceName(f"changed-{number}")
    c.service(name, outside=True)
    what = records.service_spec(name, 1, service_spec(outside=True, hosts=[f"h{number}"]))
    return lambda r, token: e.ServiceUpdateAsked(name, what, 1, r, token)


def set_quota(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    quota = Quota(live_tasks=100 + number)
    return lambda r, token: e.QuotaSubmitted("caller", f"admin:{number}", quota, r, token)


def update_queue(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    limits = QueueLimits(max_running=number + 1)
    settings = settings_of(c.state.queues[QueueName("default")])._replace(limits=limits)
    return lambda r, token: e.QueueUpdateAsked(QueueName("default"), settings, r, token)


def set_message_template(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    return lambda r, token: e.MessageTemplateSubmitted(QueueName("default"), spec(), r, token)


def create_limit(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    return lambda r, token: e.LimitSubmitted(f"made-{number}", 1, None, r, token)


def update_limit(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    c.limit("changed", 1)
    return lambda r, token: e.LimitUpdateAsked("changed", number + 2, None, r, token)


def delete_limit(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    c.limit(f"gone-{number}", 1)
    return lambda r, token: e.LimitDeleteAsked(f"gone-{number}", r, token)


def create_batch(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    first, specs = c.new_id(), [spec()] * 3
    return lambda r, token: e.BatchSubmitted(QueueName("default"), first, specs, r, token)


def cancel_tasks(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    tasks = [c.submit(), c.submit()]
    return lambda r, token: e.BulkAsked(tasks, frozenset(), r, token)


def create_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    job, queue, what = c.new_id(), QueueName("default"), job_spec()
    return lambda r, token: e.JobSubmitted(
        job=job,
        queue=queue,
        spec=what,
        template=b"t",
        size=3,
        open=False,
        loading=False,
        request=r,
        token=token,
    )


def close_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    job = Jobs(c).create(0, job_spec(items=True), open=True)
    return lambda r, token: e.JobClosed(job, r, token)


def cancel_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    job = Jobs(c).create(3)
    return lambda r, token: e.JobCancelAsked(job, r, token)


def update_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    job, make = Jobs(c).create(1), updating(name=f"job {number}")
    changes = (Change("name", "", f"job {number}"),)
    return lambda r, token: e.JobUpdateAsked(job, make, changes, r, token)


def pause_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    job = Jobs(c).create(3)
    return lambda r, token: e.JobPauseAsked(job, True, r, token)


def retry_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    jobs = Jobs(c)
    job = jobs.create(3)
    jobs.cancel(job)
    return lambda r, token: e.JobRetryAsked(job, r, token)


def cancel_subtask(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = TaskId(f"{Jobs(c).create(3)}.1")
    return lambda r, token: e.SubtaskCancelAsked(task, r, token)


def retry_subtask(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    jobs = Jobs(c)
    job = jobs.create(3)
    jobs.cancel_one(job, 1)
    return lambda r, token: e.SubtaskRetryAsked(TaskId(f"{job}.1"), r, token)


def delete_job(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    jobs = Jobs(c)
    job = jobs.create(3)
    jobs.cancel(job)
    return lambda r, token: e.JobDeleteAsked(job, r, token)


def pause_task(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    task = c.submit()
    return lambda r, token: e.TaskPauseAsked(task, True, r, token)


def delete_service(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = ServiceName(f"gone-{number}")
    c.service(name, outside=True)
    return lambda r, token: e.ServiceDeleteAsked(name, r, token)


def _scheduled(c: Cluster, name: str) -> ScheduleName:
    Schedules(c).create(name, every=60)
    return ScheduleName(name)


def create_schedule(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = ScheduleName(f"made-{number}")
    what = schedule_spec(name, every=60)
    return lambda r, token: e.ScheduleSubmitted(name, what, at(0), r, token)


def update_schedule(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = _scheduled(c, f"changed-{number}")
    what = schedule_spec(name, every=90)
    return lambda r, token: e.ScheduleUpdateAsked(name, what, 1, at(0), r, token)


def delete_schedule(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name = _scheduled(c, f"gone-{number}")
    return lambda r, token: e.ScheduleDeleteAsked(name, r, token)


def pause_schedule(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name, pause = _scheduled(c, f"paused-{number}"), Pause("", "")
    return lambda r, token: e.SchedulePauseAsked(name, pause, at(0), r, token)


def run_schedule(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name, task = _scheduled(c, f"run-{number}"), c.new_id()
    return lambda r, token: e.ScheduleRunAsked(name, task, at(0), r, token)


def backfill_schedule(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    name, range_ = _scheduled(c, f"past-{number}"), Backfill(at(-100), at(0), Overlap.ALLOW)
    return lambda r, token: e.ScheduleBackfillAsked(name, range_, r, token)


def _cancelled(c: Cluster) -> TaskId:
    task = c.submit()
    c.cancel(task)
    return task


ALL: list[Make] = [
    create_task,
    cancel_task,
    cancel_cancelled,
    retry_task,
    delete_task,
    *(create_queue, delete_queue, pause_queue),
    control_node,
    dismiss_node,
    *(create_service, delete_service, update_service),
    *(set_quota, update_queue, set_message_template),
    *(create_limit, update_limit, delete_limit),
    *(create_batch, pause_task, cancel_tasks),
    *(create_schedule, update_schedule, delete_schedule, pause_schedule),
    *(run_schedule, backfill_schedule),
    *(create_job, close_job, cancel_job, pause_job, update_job, retry_job, delete_job),
    *(cancel_subtask, retry_subtask),
    *(signal_task, create_pause, delete_pause),
]
# One of each that has room of its own.
KINDS: list[Make] = [
    create_task,
    cancel_task,
    pause_queue,
    control_node,
    create_service,
    set_quota,
    create_limit,
    create_schedule,
    create_job,
]


def ask(c: Cluster, make: Callable[[e.Request, Token], e.Event], request: e.Request) -> object:
    return c.call(lambda token: make(request, token))


def is_full(answer: object) -> bool:
    return isinstance(answer, Rejection) and answer.reason == "TOO_MANY_REQUESTS_REMEMBERED"


def test_every_call_that_can_be_repeated_is_tested_here() -> None:
    c = Cluster()
    assert {type(make(c, 0)(e.Request(), Token("t"))) for make in ALL} == set(CALLS)
    # A part of a call is no call, nor is what the audit log is told of a call to another machine.
    parts = {e.BatchContinued, e.BulkContinued, e.ChangeRecorded}
    kinds = [kind for kind in vars(e).values() if "request" in getattr(kind, "_fields", ())]
    assert set(kinds) - parts == set(CALLS)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_an_id_that_another_caller_used_says_nothing(make: Make) -> None:
    c = Cluster()
    theirs, mine, third = (make(c, number) for number in range(3))
    same = e.Request("r", b"1", caller="admin:a")
    assert not isinstance(ask(c, theirs, same), Rejection)
    for call, request in (
        (mine, same._replace(caller="admin:b", digest=b"2")),
        # Even with the same digest it is another call, whose answer is its own.
        (third, same._replace(caller="admin:c")),
    ):
        writes = c.token()
        assert c.step(call(request, writes)).writes, "it was not done"
        assert not isinstance(c.reply(writes), Rejection)
    # Each is remembered for its own caller.
    for call, request in (
        (theirs, same),
        (mine, same._replace(caller="admin:b", digest=b"2")),
    ):
        token = c.token()
        assert not c.step(call(request, token)).writes
        assert not isinstance(c.reply(token), Rejection)
    again = ask(c, mine, same._replace(caller="admin:b", digest=b"3"))
    assert isinstance(again, Rejection)
    assert again.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_a_call_beyond_the_bound_is_refused_and_does_nothing(make: Make) -> None:
    c = Cluster(limits=Limits(requests=2, control_requests=2))
    calls = [make(c, number) for number in range(3)]
    first = e.Request("r0", b"0")
    for number, call in enumerate(calls[:2]):
        answer = ask(c, call, e.Request(f"r{number}", str(number).encode()))
        assert not isinstance(answer, Rejection), answer
    token = c.token()
    out = c.step(calls[2](e.Request("r2", b"2"), token))
    answer = c.reply(token)
    assert isinstance(answer, Rejection)
    assert (answer.kind, answer.reason, answer.name) == (
        ErrorKind.EXHAUSTED,
        "TOO_MANY_REQUESTS_REMEMBERED",
        "2",
    )
    assert not out.writes
    assert len(c.state.dedup) == 2
    # What was answered is answered again, and without an id there is nothing to remember.
    assert not is_full(ask(c, calls[0], first))
    assert not isinstance(ask(c, calls[2], e.Request()), Rejection)


@pytest.mark.parametrize("flooded", KINDS, ids=lambda make: make.__name__)
def test_one_kind_of_call_leaves_room_for_the_others(flooded: Make) -> None:
    c = Cluster(limits=Limits(requests=3, control_requests=3))
    for number in range(4):
        answer = ask(c, flooded(c, number), e.Request(f"flood-{number}", b"d"))
    assert is_full(answer)
    for make in KINDS:
        if make is not flooded:
            answer = ask(c, make(c, 10), e.Request(f"after-{make.__name__}", b"d"))
            assert not isinstance(answer, Rejection), answer


@pytest.mark.parametrize("make", [pause_queue, control_node], ids=lambda make: make.__name__)
def test_there_is_room_again_when_answers_are_old(make: Make) -> None:
    c = Cluster(limits=Limits(control_requests=2, request_age=60.0))
    for number in range(2):
        ask(c, make(c, number), e.Request(f"r{number}", b"d"))
    assert is_full(ask(c, make(c, 2), e.Request("r2", b"d")))
    c.advance(61.0)
    c.retain()
    assert not isinstance(ask(c, make(c, 2), e.Request("r2", b"d")), Rejection)


def test_a_call_that_is_refused_for_its_own_sake_says_why() -> None:
    """Room is looked for last: a caller learns first what it has wrong."""
    c = Cluster(limits=Limits(requests=1, control_requests=0))
    ask(c, cancel_task(c, 0), e.Request("r0", b"d"))
    nothing = TaskId("0" * 32)
    for make, reason in (
        (lambda r, token: e.TaskCancelAsked(nothing, r, token), "TASK_NOT_FOUND"),
        (lambda r, token: e.TaskDeleteAsked(nothing, r, token), "TASK_NOT_FOUND"),
        (lambda r, token: e.QueuePauseAsked(QueueName("x"), True, r, token), "QUEUE_NOT_FOUND"),
        (lambda r, token: e.QueueDeleteAsked(QueueName("x"), r, token), "QUEUE_NOT_FOUND"),
        (
            lambda r, token: e.NodeControlAsked(NodeName("x"), Control(), r, token),
            "NODE_NOT_FOUND",
        ),
        (
            lambda r, token: e.ServiceDeleteAsked(ServiceName("x"), r, token),
            "SERVICE_NOT_FOUND",
        ),
    ):
        answer = ask(c, make, e.Request("other", b"d"))
        assert isinstance(answer, Rejection)
        assert answer.reason == reason
