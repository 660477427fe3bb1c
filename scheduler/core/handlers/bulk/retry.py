"""RetryTasks: what becomes of one task, and when with a rate.

With a rate the n-th retried task is SCHEDULED until `start + n / rate`: the instants are on record
with the tasks, so that a new leader keeps the rate and no timer has to remember anything.
"""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.handlers import unique_windows
from scheduler.core.handlers.bulk.act import PAST_BYTES, WRITE_BYTES, Act
from scheduler.core.handlers.chunks.ending import go_on
from scheduler.core.handlers.finishing import reopened
from scheduler.core.handlers.limits.length import refuse_longer
from scheduler.core.handlers.limits.shared import refuse_unknown
from scheduler.core.handlers.limits.unique import refuse_duplicate
from scheduler.core.handlers.quotas.check import refuse_created
from scheduler.core.model import transitions
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.effects import Effects, PutRun, PutTask
from scheduler.core.model.events import BulkAsked, BulkContinued, TaskRecorded
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import FinishedRow, JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import RETRIABLE, JobState, is_due

# Places in the counts: those of the answer.
RETRIED, NOT_FINISHED, SKIPPED, NOT_FOUND, OVER_QUOTA = range(5)


def reopen(
    state: State,
    done: FinishedRow,
    record: TaskRecorded,
    not_before: float,
    now: float,
    out: Effects,
    *,
    window: bool = True,
) -> TaskRow:
    """A finished task that nothing forbids to retry is live again.

    Args:
        window: that of its unique key begins anew.
    """
    spec, creator = record.spec, record.created_by
    member = done.member
    row = transitions.reopen(
        state,
        done,
        spec,
        record.create_time,
        creator,
        not_before,
        record.past,
        now,
        blocked=member is not None,
    )
    if member is not None:
        reopened(state, row, now, out)
        go_on(member.job, out)
    # The spec goes first: a standby makes the row live again from it.
    out.writes.append(PutTask(row, spec.spec, creator, record.unknown_fields))
    out.writes.append(PutRun(row))
    if window and row.limits is not None and row.limits.window:
        unique_windows.take(state, row, now, out)
    return row


def refuse_member(done: FinishedRow) -> Rejection | None:
    """Why a finished task cannot be retried because of the job that it belongs to."""
    member = done.member
    if member is None:
        return None
    members = member.job.members
    if member.skipped:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_SKIPPED",
            f"task {done.id!r} was skipped; retry the task that it waited for, or its job",
            "task",
            done.id,
        )
    if member.of.in_graph and members is not None and not members.complete:
        return incomplete(member.job)
    if member.job.level and member.job.finished:
        # It would be live in a job that is over.
        return part_of_job(member.job)
    return None


def part_of_job(job: JobRow) -> Rejection | None:
    """Whether a job is part of another one, and controlled by that one alone."""
    parent = job.parent
    if parent is None:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "PART_OF_JOB",
        f"job {job.id!r} is part of job {parent.id!r}; use the id of that job",
        "job",
        job.id,
        metadata=(("parent", parent.id),),
    )


def finished(job: JobRow) -> Rejection:
    """What a job that is over is not good for."""
    state = job.state if job.finished else job.ending
    assert isinstance(state, JobState)
    return Rejection(
        ErrorKind.PRECONDITION,
        "JOB_FINISHED",
        f"job {job.id!r} is already {state.name}" if job.finished else f"job {job.id!r} is ending",
        "job",
        job.id,
    )


def incomplete(job: JobRow) -> Rejection:
    """What a graph that was cancelled while it was being created is not good for."""
    return Rejection(
        ErrorKind.PRECONDITION,
        "JOB_INCOMPLETE",
        f"job {job.id!r} was cancelled before all its tasks were created; create it again",
        "job",
        job.id,
    )


def start_of(asked: BulkAsked, began: float, retried: int) -> float:
    """When the task that comes behind `retried` others becomes PENDING; 0.0: at once."""
    if not asked.rate:
        return 0.0
    return max(began, asked.start) + retried / asked.rate


def last_start(asked: BulkAsked, began: float, counts: tuple[int, ...]) -> float:
    """When the last of the retried tasks becomes PENDING; 0.0 without a rate, or without one."""
    retried = counts[RETRIED] if counts else 0
    if not asked.rate or not retried:
        return asked.start
    return start_of(asked, began, retried - 1)


def _weigh(state: State, task: TaskId, record: TaskRecorded | None) -> int:
    if record is None:
        return 0
    fields = len(record.spec.spec) + len(record.unknown_fields)
    return fields + 2 * WRITE_BYTES + PAST_BYTES * len(record.past)


def _retry(
    state: State,
    limits: Limits,
    event: BulkContinued,
    task: TaskId,
    record: TaskRecorded | None,
    counts: list[int],
    now: float,
    out: Effects,
) -> int:
    done = state.finished.get(task)
    if done is None:
        return NOT_FINISHED if task in state.tasks else NOT_FOUND
    if done.state not in (event.asked.states or RETRIABLE):
        return SKIPPED
    if record is None:
        # Deleted since it was read, and made anew: nothing that an id can be.
        return NOT_FOUND
    if record.spec.replica is not None or refuse_member(done) is not None:
        return SKIPPED
    if (
        refuse_unknown(state, record.spec.limits)
        or refuse_duplicate(state, done.queue, (record.spec,), retried=True)
        or refuse_longer(done.queue, 1)
        or refuse_created(state, limits, done.queue.usage, done.creator.name, 1, 0)
    ):
        return OVER_QUOTA
    start = start_of(event.asked, event.began, counts[RETRIED])
    reopen(state, done, record, 0.0 if is_due(start, now) else start, now, out)
    return RETRIED


RETRY: Final = Act(5, 1, _weigh, _retry)
