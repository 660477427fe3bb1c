"""Unique keys: at most one unfinished task of a queue has the same one.

The key belongs to the task from its creation until it is finished, whatever way it ends. A retry by
hand takes it again.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.ids import TaskId
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.rows import QueueRow
from scheduler.core.values import TaskSpec


def holder(queue: QueueRow, spec: TaskSpec) -> TaskId | None:
    """The unfinished task that has the unique key of `spec`."""
    if spec.limits is None or not spec.limits.unique:
        return None
    return next(iter(queue.unique.get(spec.limits.unique, ())), None)


def refuse_duplicate(queue: QueueRow, specs: Sequence[TaskSpec]) -> Rejection | None:
    """Whether a new task has the unique key of one that is not finished."""
    if not queue.unique:
        return None
    for spec in specs:
        if (task := holder(queue, spec)) is not None:
            assert spec.limits is not None
            return Rejection(
                ErrorKind.EXISTS,
                "TASK_ALREADY_EXISTS",
                f"task {task!r} of queue {queue.name!r} has the unique key "
                f"{spec.limits.unique!r} and is not finished",
                "task",
                task,
                "spec.unique",
            )
    return None
