"""Tasks that a running task adds to its job.

Only an attempt that runs may add: one that was given up, or has ended, may still call for a while.
What it had added stays, and a later attempt repeats its calls under the same request ids."""

from __future__ import annotations

from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.events.calls import Parent
from scheduler.core.model.jobs.subtasks import chunk_of, find
from scheduler.core.model.state import State
from scheduler.core.values import TaskState


def refuse_child(state: State, parent: Parent) -> Rejection | None:
    """Whether the attempt does not run, as far as is known: then it adds nothing."""
    if "." in parent.task:
        job, position = find(state, parent.task)
        row = chunk_of(job, position) if job is not None and position >= 0 else None
        runs = row is not None and (row.id, row.instance) == (parent.chunk, parent.instance)
    else:
        row = state.tasks.get(parent.task)  # type: ignore[call-overload]
        runs = (
            row is not None
            and row.state is TaskState.RUNNING
            and row.attempt == parent.attempt
            and row.instance == parent.instance
        )
    if runs:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "PARENT_NOT_RUNNING",
        f"parent: attempt {parent.attempt} of task {parent.task!r} does not run there any more; "
        "it can add no tasks",
        "task",
        parent.task,
        "parent",
    )
