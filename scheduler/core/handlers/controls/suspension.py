"""A program that runs is suspended: its processes are stopped until it is resumed.

The pause is in the task's record, so it holds for whoever leads. The agent stops the processes; in
each new session what it has suspended is compared with what is on record.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate.runtime.ids import InstanceId, TaskId
from scheduler.core.model import transitions
from scheduler.core.model.effects import Effects, PutRun, SuspendAttempt
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskPause, TaskState


def suspend(row: TaskRow, pause: TaskPause | None, out: Effects) -> bool:
    """Suspend the program of a task, or (None) have it go on; False when that is so already.

    The order goes out in any case: the one before may have got lost.
    """
    out.after.append(SuspendAttempt(row.instance, row.id, row.attempt, pause is not None))
    if (row.pause is None) is (pause is None):
        return False
    transitions.suspend(row, pause)
    out.writes.append(PutRun(row))
    return True


def settle(
    state: State,
    instance: InstanceId,
    rows: Iterable[TaskRow],
    suspended: Iterable[tuple[TaskId, int]],
    out: Effects,
) -> None:
    """A session opened: have the agent suspend what is suspended on record, and nothing else."""
    there = dict(suspended)
    for row in rows:
        if row.pause is not None and there.get(row.id) != row.attempt:
            out.after.append(SuspendAttempt(instance, row.id, row.attempt, True))
    for task, attempt in there.items():
        known = state.tasks.get(task)
        if (
            known is not None
            and known.state is TaskState.RUNNING
            and (known.attempt, known.instance) == (attempt, instance)
            and known.pause is None
        ):
            out.after.append(SuspendAttempt(instance, task, attempt, False))
