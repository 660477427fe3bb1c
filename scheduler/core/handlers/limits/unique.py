"""Unique keys: at most one task of a queue has the same one.

The key belongs to the task from its creation until it is finished, whatever way it ends, or to the
end of its window (`handlers.unique_windows`). A retry by hand takes it again.

With `replaces`, the new task takes the key: one that waits is cancelled, one that runs is ended,
and the new one is not started before that. So two unfinished tasks may have the key: the older one
runs and is being ended. Nothing of this is stored beside the tasks themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.finishing import cancel_live, cancel_now
from scheduler.core.handlers.unique_windows import MOST_WINDOWS, window_of
from scheduler.core.model.answers import ErrorKind, Rejection
from scheduler.core.model.effects import Effects
from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskSpec, TaskState


def holder(state: State, queue: QueueRow, key: str) -> TaskId | None:
    """The task that has a unique key; the one that comes, where one is replaced."""
    live = queue.unique.get(key)
    if live:
        return next(reversed(live))
    window = window_of(state, queue, key)
    return window.task if window is not None else None


def refuse_duplicate(
    state: State,
    queue: QueueRow,
    specs: Sequence[TaskSpec],
    *,
    retried: bool = False,
    graph: Sequence[int] = (),
) -> Rejection | None:
    """Whether a new task has the unique key of another one, or a window too many.

    Args:
        retried: a task retried by hand takes its key again, and replaces nothing.
        graph: of tasks that are to be a graph: the place of each in it.
    """
    new = 0
    for place, spec in enumerate(specs):
        limits = spec.limits
        if limits is None or not limits.unique:
            continue
        new += bool(limits.window)
        if graph:
            taken = refuse_node(state, queue, spec, graph[place])
        else:
            field = "spec.unique" if len(specs) == 1 else f"specs[{place}].unique"
            replaces = limits.replaces and not retried
            taken = refuse_key(state, queue, limits.unique, field, replaces=replaces)
        if taken is not None:
            return taken
    return refuse_windows(state, new)


def refuse_key(
    state: State,
    queue: QueueRow,
    key: str,
    field: str,
    *,
    replaces: bool = False,
    own: TaskId | None = None,
) -> Rejection | None:
    """Whether a task cannot have a unique key, since another one has it.

    Args:
        own: the task itself, where the key may be kept for it.
    """
    coming = queue.coming_unique.get(key)
    if coming is not None and coming != own:
        # Also of one that would replace it: there is no task yet that could be ended.
        return _taken(queue, key, coming, "is being created with others", field)
    if replaces or (task := holder(state, queue, key)) is None:
        return None
    live = task in state.tasks
    why = "is not finished" if live else "succeeded, and the window of the key is not over"
    return _taken(queue, key, task, why, field)


def refuse_node(
    state: State, queue: QueueRow, spec: TaskSpec, place: int, own: TaskId | None = None
) -> Rejection | None:
    """As `refuse_key`, of the task at `place` of a graph; its name is in the error."""
    limits, member = spec.limits, spec.member
    if limits is None or not limits.unique or member is None:
        return None
    field = f"spec.graph.tasks[{place}].task.unique"
    taken = refuse_key(state, queue, limits.unique, field, replaces=limits.replaces, own=own)
    return of_node(taken, member.name) if taken is not None else None


def of_node(taken: Rejection, name: str) -> Rejection:
    """What `refuse_key` says, of a task of a graph."""
    return taken._replace(
        message=f"task {name!r} of the graph: {taken.message}",
        metadata=(*taken.metadata, ("graph_task", name)),
    )


def refuse_windows(state: State, new: int) -> Rejection | None:
    """Whether so many new windows are too many."""
    if not new or new + len(state.permits.windows) <= MOST_WINDOWS:
        return None
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_UNIQUE_WINDOWS",
        f"{MOST_WINDOWS} unique keys with a window are stored, which is the limit; shorten the "
        "windows, or wait until some of them are over",
        "limit",
        str(MOST_WINDOWS),
    )


def replace(
    state: State, queue: QueueRow, spec: TaskSpec, task: TaskId, now: float, out: Effects
) -> None:
    """End the tasks whose key `task`, which follows, takes."""
    assert spec.limits is not None
    for other in list(queue.unique.get(spec.limits.unique, ())):
        row = state.tasks[other]
        if row.state is TaskState.RUNNING:
            cancel_live(state, row, now, out)
        else:
            cancel_now(state, row, now, out, f"replaced by task {task}, which has its unique key")


def _taken(queue: QueueRow, key: str, task: TaskId, why: str, field: str) -> Rejection:
    return Rejection(
        ErrorKind.EXISTS,
        "TASK_ALREADY_EXISTS",
        f"task {task!r} of queue {queue.name!r} has the unique key {key!r} and {why}",
        "task",
        task,
        field,
    )
