"""What callers ask for of one subtask of an array: cancel, retry.

Each changes the record of its block, and that of its chunk or job where it has to. The last subtask
that is cancelled ends the job; the first that is retried of a finished job makes it live again,
with all others as they are. Subtasks of a level of reduces are not for callers: nobody could do
anything with a part of the results."""

from __future__ import annotations

from scheduler.core.arrays.positions import BLOCK
from scheduler.core.handlers import audit
from scheduler.core.handlers.bulk.retry import part_of_job
from scheduler.core.handlers.chunks import cancelling
from scheduler.core.handlers.finishing import move_on
from scheduler.core.handlers.jobs.creation import finished
from scheduler.core.handlers.limits.length import refuse_longer
from scheduler.core.handlers.quotas.check import refuse_subtasks
from scheduler.core.handlers.requests import TASKS_SCOPE, Answer, Call
from scheduler.core.model.answers import ErrorKind, Rejection, TaskKnown, no_task
from scheduler.core.model.effects import Effects, PutChunk, PutJobBlock
from scheduler.core.model.events.jobs import SubtaskCancelAsked, SubtaskRetryAsked
from scheduler.core.model.jobs.subtasks import chunk_of, find, state_in, state_of
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, JobRow
from scheduler.core.model.state import State
from scheduler.core.values import Change, JobState, TaskState

_AT_AN_END = (TaskState.SUCCEEDED, TaskState.FAILED)
_RETRIABLE = (TaskState.FAILED, TaskState.CANCELLED)


def _known(
    state: State, event: SubtaskCancelAsked | SubtaskRetryAsked, known: DedupRow
) -> TaskKnown:
    return TaskKnown(event.task, known.queue)


def _found(state: State, event: SubtaskCancelAsked | SubtaskRetryAsked) -> tuple[JobRow, int]:
    job, position = find(state, event.task)
    assert job is not None
    return job, position


def _refuse_cancel(state: State, limits: Limits, event: SubtaskCancelAsked) -> Rejection | None:
    job, position = find(state, event.task)
    if job is None or position < 0:
        return no_task(event.task)
    if job.level:
        return part_of_job(job)
    found = state_of(job, position)
    if found is TaskState.PENDING and job.array.gated and not _is_let_in(job, position):
        return Rejection(
            ErrorKind.PRECONDITION,
            "SUBTASK_BLOCKED",
            f"task {event.task!r} waits for the same subtask of another array; cancel that one",
            "task",
            event.task,
        )
    if found not in _AT_AN_END:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_FINISHED",
        f"task {event.task!r} is already {found.name}",
        "task",
        event.task,
    )


def _is_let_in(job: JobRow, position: int) -> bool:
    """Whether the same subtask of the array that it waits for has succeeded."""
    gate = job.array.gate
    return gate is not None and state_in(gate, position) is TaskState.SUCCEEDED


def _cancel(
    state: State, limits: Limits, event: SubtaskCancelAsked, now: float, out: Effects
) -> Answer:
    job, position = _found(state, event)
    number, place = divmod(position, BLOCK)
    change = None
    row = chunk_of(job, position)
    before = state_of(job, position)
    if row is not None and job.ending is None:
        assert row.chunk is not None
        if not row.chunk.is_cancelled(number, place):
            cancelled = row.chunk.cancelled
            cancelled[number] = cancelled.get(number, 0) | 1 << place
            out.writes.append(PutChunk(row))
            change = Change("cancel_requested", "false", "true")
        cancelling.order(state, row, out)
    elif before is TaskState.PENDING:
        job.array.cancel(number, 1 << place)
        out.writes.append(PutJobBlock(job, number))
        move_on(state, job, now, out)
        change = Change("state", before.name, TaskState.CANCELLED.name)
    queue = job.queue.name
    if change is not None:
        audit.note(state, limits, out, event.request, now, "task", event.task, change, queue=queue)
    return Answer(TaskKnown(event.task, queue), queue, job.id)


on_subtask_cancel_asked = Call(TASKS_SCOPE, _refuse_cancel, _cancel, _known)


def _refuse_retry(state: State, limits: Limits, event: SubtaskRetryAsked) -> Rejection | None:
    job, position = find(state, event.task)
    if job is None or position < 0:
        return no_task(event.task)
    if job.level or (job.parent is not None and job.finished):
        return part_of_job(job)
    found = state_of(job, position)
    if found not in _RETRIABLE:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_NOT_RETRIABLE",
            f"task {event.task!r} is {found.name}; only FAILED and CANCELLED subtasks can be "
            "retried",
            "task",
            event.task,
        )
    if job.ending is not None:
        return finished(job)
    live = 1 + job.reduces_to_come if job.finished else 1
    return refuse_longer(job.queue, 1) or refuse_subtasks(
        state, limits, job.queue.usage, job.creator.name, live, 0
    )


def _retry(
    state: State, limits: Limits, event: SubtaskRetryAsked, now: float, out: Effects
) -> Answer:
    job, position = _found(state, event)
    number, place = divmod(position, BLOCK)
    before, over = state_of(job, position), job.finished
    if over:
        job.reopening += 1
        job.array.cancel_rest(job.reopening)
        job.state = JobState.ACTIVE
        job.finish_time, job.settled, job.reason = 0.0, False, ""
    job.array.reopen(number, place)
    out.writes.append(PutJobBlock(job, number))
    move_on(state, job, now, out, write=over)
    queue = job.queue.name
    change = Change("state", before.name, TaskState.PENDING.name)
    audit.note(state, limits, out, event.request, now, "task", event.task, change, queue=queue)
    return Answer(TaskKnown(event.task, queue), queue, job.id)


on_subtask_retry_asked = Call(TASKS_SCOPE, _refuse_retry, _retry, _known)
