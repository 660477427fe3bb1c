"""CancelTasks and DeleteTasks: what becomes of one task."""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.bulk.act import PAST_BYTES, WRITE_BYTES, Act
from scheduler.core.handlers.finishing import cancel_live
from scheduler.core.model.effects import DropTask, Effects
from scheduler.core.model.events import BulkContinued, TaskRecorded
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import FinishedRow
from scheduler.core.model.state import State

# Places in the counts of CancelTasks: those of its answer.
CANCELLED, STOPPING, FINISHED, CANCEL_NOT_FOUND, CANCEL_SKIPPED = range(5)
# Of DeleteTasks.
_DELETED, _NOT_FINISHED, _SKIPPED, _NOT_FOUND = range(4)
# Two deletions.
_DELETE_BYTES: Final = 300


def _weigh_cancel(state: State, task: TaskId, record: TaskRecorded | None) -> int:
    """At most 10 past attempts are in the new status."""
    row = state.tasks.get(task)
    return WRITE_BYTES + PAST_BYTES * len(row.past) + len(row.unknown_fields) if row else 0


def _cancel(
    state: State,
    limits: Limits,
    event: BulkContinued,
    task: TaskId,
    record: TaskRecorded | None,
    counts: list[int],
    now: float,
    out: Effects,
) -> int:
    row = state.tasks.get(task)
    if row is None:
        return FINISHED if task in state.finished else CANCEL_NOT_FOUND
    if event.asked.states and row.state not in event.asked.states:
        return CANCEL_SKIPPED
    cancel_live(state, row, now, out)
    return STOPPING if task in state.tasks else CANCELLED


def _weigh_delete(state: State, task: TaskId, record: TaskRecorded | None) -> int:
    return _DELETE_BYTES if task in state.finished else 0


def _delete(
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
        return _NOT_FINISHED if task in state.tasks else _NOT_FOUND
    if event.asked.states and done.state not in event.asked.states:
        return _SKIPPED
    if done.member is not None:
        # It goes with its job.
        return _SKIPPED
    delete_finished(state, done, out)
    return _DELETED


def delete_finished(state: State, done: FinishedRow, out: Effects) -> None:
    """Delete both records of a finished task."""
    queue = done.queue
    state.forget(done)
    queue.index.removed(1, state.on_record)
    out.writes.append(DropTask(queue.name, done.id))


CANCEL: Final = Act(5, 2, _weigh_cancel, _cancel)
DELETE: Final = Act(4, 1, _weigh_delete, _delete)
