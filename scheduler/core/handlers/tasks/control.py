"""What callers ask for beside creating tasks: cancel, retry, delete."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.bulk.acts import delete_finished
from scheduler.core.handlers.bulk.retry import refuse_member, reopen
from scheduler.core.handlers.finishing import cancel_live
from scheduler.core.handlers.limits.length import refuse_longer
from scheduler.core.handlers.limits.shared import refuse_unknown
from scheduler.core.handlers.limits.unique import refuse_duplicate
from scheduler.core.handlers.quotas.check import refuse_blobs, refuse_created
from scheduler.core.handlers.requests import TASKS_SCOPE, Answer, Call
from scheduler.core.handlers.tasks.blob_check import refuse_old_blobs
from scheduler.core.model.answers import (
    Done,
    ErrorKind,
    Rejection,
    TaskKnown,
    no_task,
)
from scheduler.core.model.effects import (
    Effects,
)
from scheduler.core.model.events import (
    TaskCancelAsked,
    TaskDeleteAsked,
    TaskRetryAsked,
)
from scheduler.core.model.indexes.usage import task_units, tasks_blobs
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import RETRIABLE, Change, TaskState


def _refuse_cancel(state: State, limits: Limits, event: TaskCancelAsked) -> Rejection | None:
    if event.task in state.tasks:
        return None
    done = state.finished.get(event.task)
    if done is None:
        return no_task(event.task)
    if done.state is TaskState.CANCELLED:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_FINISHED",
        f"task {event.task!r} is already {done.state.name}",
        "task",
        event.task,
    )


def _cancel(
    state: State, limits: Limits, event: TaskCancelAsked, now: float, out: Effects
) -> Answer:
    row = state.tasks.get(event.task)
    if row is None:
        # Remembered all the same: repeated after a retry by hand, it must not cancel that.
        queue = state.finished[event.task].queue.name
    else:
        queue = row.queue.name
        change = cancel_live(state, row, now, out)
        if change is not None:
            audit.note(state, limits, out, event.request, now, "task", row.id, change, queue=queue)
    return Answer(TaskKnown(event.task, queue), queue, event.task, progress=1)


def _known_task(
    state: State, event: TaskCancelAsked | TaskRetryAsked, known: DedupRow
) -> TaskKnown:
    return TaskKnown(event.task, known.queue)


on_task_cancel_asked = Call(TASKS_SCOPE, _refuse_cancel, _cancel, _known_task)


def _refuse_retry(state: State, limits: Limits, event: TaskRetryAsked) -> Rejection | None:
    done = state.finished.get(event.task)
    if done is None or done.state not in RETRIABLE or event.record.spec.replica is not None:
        return _not_retriable(state, event)
    if (refused := refuse_member(done)) is not None:
        return refused
    specs = (event.record.spec,)
    # It weighs as much as before, unless it was edited and is heavier now.
    units = task_units(len(event.record.spec.spec))
    more = units if units > done.units else 0
    blobs = tasks_blobs(specs) - state.blobs.size_of(event.task)
    return (
        (refuse_old_blobs(state, specs) if event.edited else None)
        or refuse_unknown(state, event.record.spec.limits)
        or refuse_duplicate(state, done.queue, specs, retried=True)
        or refuse_longer(done.queue, 1)
        or refuse_created(state, limits, done.queue.usage, done.creator.name, 1, more)
        or refuse_blobs(state, limits, done.queue.usage, done.creator.name, blobs)
    )


def _retry(state: State, limits: Limits, event: TaskRetryAsked, now: float, out: Effects) -> Answer:
    done = state.finished[event.task]
    queue, before = done.queue.name, done.state
    # What its old spec said about its start was about its first time.
    start = event.record.spec.not_before if event.edited else 0.0
    row = reopen(state, done, event.record, start if start > now else 0.0, now, out)
    changes = [Change("state", before.name, row.state.name)]
    if event.edited:
        changes.append(Change("spec"))
    audit.note(state, limits, out, event.request, now, "task", row.id, *changes, queue=queue)
    return Answer(TaskKnown(event.task, queue), queue, event.task, size=1, progress=1)


on_task_retry_asked = Call(TASKS_SCOPE, _refuse_retry, _retry, _known_task)


def _not_retriable(state: State, event: TaskRetryAsked) -> Rejection:
    if not state.on_record(event.task):
        return no_task(event.task)
    done = state.finished.get(event.task)
    if event.record.spec.replica is not None:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_IS_REPLICA",
            f"task {event.task!r} is a replica of service {event.record.spec.replica.service!r}, "
            "which replaces replicas by itself",
            "task",
            event.task,
        )
    found = done.state.name if done else state.tasks[event.task].state.name
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_NOT_RETRIABLE",
        f"task {event.task!r} is {found}; only FAILED, CANCELLED and EXPIRED tasks can be retried",
        "task",
        event.task,
    )


def _refuse_delete(state: State, limits: Limits, event: TaskDeleteAsked) -> Rejection | None:
    done = state.finished.get(event.task)
    if done is not None and done.member is not None:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_IN_JOB",
            f"task {event.task!r} belongs to job {done.member.job.id!r}; delete the job",
            "task",
            event.task,
            metadata=(("job", done.member.job.id),),
        )
    if done is not None:
        return None
    live = state.tasks.get(event.task)
    if live is None:
        return no_task(event.task)
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_NOT_FINISHED",
        f"task {event.task!r} is {live.state.name}; cancel it first",
        "task",
        event.task,
    )


def _delete(
    state: State, limits: Limits, event: TaskDeleteAsked, now: float, out: Effects
) -> Answer:
    done = state.finished[event.task]
    queue = done.queue.name
    delete_finished(state, done, out)
    change = Change("state", done.state.name)
    audit.note(state, limits, out, event.request, now, "task", done.id, change, queue=queue)
    return Answer(Done(), queue)


def _done(state: State, event: TaskDeleteAsked, known: DedupRow) -> Done:
    return Done()


on_task_delete_asked = Call(TASKS_SCOPE, _refuse_delete, _delete, _done)
