"""Which running attempts take orders: programs, on nodes whose agents know how."""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from scheduler.core.model.answers import ErrorKind, Rejection, no_task
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskState


def refuse(state: State, task: TaskId, verb: str, *, program: bool) -> Rejection | None:
    """Why a task cannot be `verb` ("signalled", ...) while it runs; None when it can."""
    row = state.tasks.get(task)
    if row is None:
        done = state.finished.get(task)
        if done is None:
            return no_task(task)
        return _rejected(task, "TASK_NOT_RUNNING", f"is {done.state.name}, and does not run")
    if row.replica is not None:
        service = row.replica.service
        return _rejected(
            task,
            "TASK_IS_REPLICA",
            f"is a replica of service {service!r}; it cannot be {verb}",
        )
    if row.state is not TaskState.RUNNING or not row.start_time:
        found = row.state.name if row.state is not TaskState.RUNNING else "assigned"
        return _rejected(
            task, "TASK_NOT_RUNNING", f"is {found} and has not started; try again when it runs"
        )
    if not program:
        return _rejected(
            task,
            "TASK_IS_FUNCTION",
            f"is a Python function; only a program can be {verb} while it runs",
        )
    if row.cancel_requested:
        return _rejected(task, "TASK_CANCELLED", "is being cancelled")
    return _refuse_node(state, row)


def _refuse_node(state: State, row: TaskRow) -> Rejection | None:
    node = state.nodes.get(row.node)
    if node is None or node.instance != row.instance or not node.connected:
        return _rejected(
            row.id,
            "NODE_DISCONNECTED",
            f"runs on node {row.node!r}, which the leader does not reach at the moment; try again",
        )
    if not node.takes_signals:
        return _rejected(
            row.id,
            "NODE_TOO_OLD",
            f"runs on node {row.node!r}, whose agent (version {node.version or 'unknown'}) takes "
            "no such order; upgrade it",
        )
    return None


def _rejected(task: TaskId, reason: str, what: str) -> Rejection:
    return Rejection(ErrorKind.PRECONDITION, reason, f"task {task!r} {what}", "task", task)
