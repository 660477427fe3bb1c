"""What becomes of one subtask that is cancelled or retried, alone or with many others.

Each changes the record of its block, and that of its chunk or job where it has to. The last subtask
that is cancelled ends the job; the first that is retried of a finished job makes it live again,
with all others as they are. What many of one step have in common is done once: the record of a
block, the record of a chunk and the order to its agent (`Touched`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.handlers.bulk.acts import (
    CANCEL_NOT_FOUND,
    CANCEL_SKIPPED,
    CANCELLED,
    FINISHED,
    STOPPING,
)
from scheduler.core.handlers.bulk.retry import (
    NOT_FINISHED,
    NOT_FOUND,
    OVER_QUOTA,
    RETRIED,
    SKIPPED,
    part_of_job,
)
from scheduler.core.handlers.bulk.retry import finished as finished_job
from scheduler.core.handlers.chunks import cancelling
from scheduler.core.handlers.finishing import move_on
from scheduler.core.handlers.limits.length import refuse_longer
from scheduler.core.handlers.quotas.check import refuse_subtasks
from scheduler.core.model.answers import ErrorKind, Rejection, no_task
from scheduler.core.model.effects import Effects, PutChunk, PutJobBlock
from scheduler.core.model.jobs.subtasks import chunk_of, find, state_in, state_of
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import BulkAct, Change, JobState, TaskState

# The calls that take subtasks.
ACTS: Final = (BulkAct.CANCEL, BulkAct.RETRY)
# Bytes of what is written of one: most share a block's record, of 1 KiB and its failures.
BYTES: Final = 2_000


_AT_AN_END: Final = (TaskState.SUCCEEDED, TaskState.FAILED)
_RETRIABLE: Final = (TaskState.FAILED, TaskState.CANCELLED)


@dataclass(slots=True)
class Touched:
    """What one step has changed of arrays and is to write, or to send, once."""

    blocks: dict[tuple[TaskId, int], None] = field(default_factory=dict)
    chunks: dict[TaskId, TaskRow] = field(default_factory=dict)

    def block(self, job: JobRow, number: int, out: Effects) -> None:
        """A block changed: its record is written as it is at the end of the step."""
        if (job.id, number) not in self.blocks:
            self.blocks[job.id, number] = None
            out.writes.append(PutJobBlock(job, number))

    def order(self, state: State, out: Effects) -> None:
        """Have the agents end what is cancelled of the chunks; once, at the end of the step."""
        for row in self.chunks.values():
            cancelling.order(state, row, out)


def _found(state: State, task: str) -> tuple[JobRow, int]:
    job, position = find(state, task)
    assert job is not None
    return job, position


def refuse_cancel(state: State, task: str) -> Rejection | None:
    """Why a subtask cannot be cancelled; one that is CANCELLED can."""
    job, position = find(state, task)
    if job is None or position < 0:
        return no_task(TaskId(task))
    if job.level:
        return part_of_job(job)
    found = state_of(job, position)
    if found is TaskState.PENDING and job.array.gated and not _is_let_in(job, position):
        return Rejection(
            ErrorKind.PRECONDITION,
            "SUBTASK_BLOCKED",
            f"task {task!r} waits for the same subtask of another array; cancel that one",
            "task",
            task,
        )
    if found not in _AT_AN_END:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_FINISHED",
        f"task {task!r} is already {found.name}",
        "task",
        task,
    )


def _is_let_in(job: JobRow, position: int) -> bool:
    """Whether the same subtask of the array that it waits for has succeeded."""
    gate = job.array.gate
    return gate is not None and state_in(gate, position) is TaskState.SUCCEEDED


def cancel(state: State, task: str, touched: Touched, now: float, out: Effects) -> Change | None:
    """Cancel a subtask to which nothing objects; what changed. `Touched.order` follows."""
    job, position = _found(state, task)
    number, place = divmod(position, BLOCK)
    row = chunk_of(job, position)
    before = state_of(job, position)
    if row is not None and job.ending is None:
        assert row.chunk is not None
        known = row.id in touched.chunks
        touched.chunks[row.id] = row
        if row.chunk.is_cancelled(number, place):
            return None
        cancelled = row.chunk.cancelled
        cancelled[number] = cancelled.get(number, 0) | 1 << place
        if not known:
            out.writes.append(PutChunk(row))
        return Change("cancel_requested", "false", "true")
    if before is not TaskState.PENDING:
        return None
    job.array.cancel(number, 1 << place)
    touched.block(job, number, out)
    move_on(state, job, now, out)
    return Change("state", before.name, TaskState.CANCELLED.name)


def refuse_state(state: State, task: str) -> Rejection | None:
    """Why a subtask cannot be retried, whatever the quotas."""
    job, position = find(state, task)
    if job is None or position < 0:
        return no_task(TaskId(task))
    if job.level or (job.parent is not None and job.finished):
        return part_of_job(job)
    found = state_of(job, position)
    if found not in _RETRIABLE:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_NOT_RETRIABLE",
            f"task {task!r} is {found.name}; only FAILED and CANCELLED subtasks can be retried",
            "task",
            task,
        )
    return finished_job(job) if job.ending is not None else None


def refuse_retry(state: State, limits: Limits, task: str) -> Rejection | None:
    """Why a subtask cannot be retried."""
    if (rejection := refuse_state(state, task)) is not None:
        return rejection
    job, _ = _found(state, task)
    live = 1 + job.reduces_to_come if job.finished else 1
    return refuse_longer(job.queue, 1) or refuse_subtasks(
        state, limits, job.queue.usage, job.creator.name, live, 0
    )


def retry(state: State, task: str, touched: Touched, now: float, out: Effects) -> Change:
    """Retry a subtask to which nothing objects; what changed."""
    job, position = _found(state, task)
    number, place = divmod(position, BLOCK)
    before, over = state_of(job, position), job.finished
    if over:
        job.reopening += 1
        job.array.cancel_rest(job.reopening)
        job.state = JobState.ACTIVE
        job.finish_time, job.settled, job.reason = 0.0, False, ""
    job.array.reopen(number, place)
    touched.block(job, number, out)
    move_on(state, job, now, out, write=over)
    return Change("state", before.name, TaskState.PENDING.name)


# -- calls about many


def is_subtask(task: str) -> bool:
    """Whether an id is one of a subtask, or means to be."""
    return "." in task


def cancel_outcome(state: State, task: str, states: frozenset[TaskState]) -> int:
    """The place in the counts of CancelTasks that a subtask would have."""
    refused = refuse_cancel(state, task)
    if refused is not None:
        kinds = {"TASK_NOT_FOUND": CANCEL_NOT_FOUND, "TASK_FINISHED": FINISHED}
        return kinds.get(refused.reason, CANCEL_SKIPPED)
    job, position = find(state, task)
    assert job is not None
    before = state_of(job, position)
    if before is TaskState.CANCELLED:
        return FINISHED
    if states and before not in states:
        return CANCEL_SKIPPED
    return STOPPING if before is TaskState.RUNNING else CANCELLED


def retry_outcome(state: State, task: str, states: frozenset[TaskState]) -> int:
    """The place in the counts of RetryTasks that a subtask would have, quotas apart."""
    job, position = find(state, task)
    if job is None or position < 0:
        return NOT_FOUND
    before = state_of(job, position)
    if before in (TaskState.PENDING, TaskState.RUNNING):
        return NOT_FINISHED
    if states and before not in states:
        return SKIPPED
    return SKIPPED if refuse_state(state, task) is not None else RETRIED


def perform(
    state: State,
    limits: Limits,
    act: BulkAct,
    states: frozenset[TaskState],
    task: TaskId,
    touched: Touched,
    now: float,
    out: Effects,
) -> int:
    """Cancel or retry a subtask, unless it is to be left alone; the place in the counts."""
    if act is BulkAct.CANCEL:
        outcome = cancel_outcome(state, task, states)
        if outcome in (CANCELLED, STOPPING):
            cancel(state, task, touched, now, out)
        return outcome
    outcome = retry_outcome(state, task, states)
    if outcome != RETRIED:
        return outcome
    refused = refuse_retry(state, limits, task)
    if refused is not None:
        return OVER_QUOTA if refused.kind is ErrorKind.EXHAUSTED else SKIPPED
    retry(state, task, touched, now, out)
    return RETRIED
