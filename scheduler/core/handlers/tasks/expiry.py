"""Start deadlines: a PENDING task that has not started in time is EXPIRED.

The instants are derived from records (`TaskRow.expire_at`); a new leader finds them in its state.
The driver steps `ExpiriesDue` before it places tasks: no task is assigned behind its deadline.

An expired task is a dead letter: it is kept with an error that says why, is listed beside failed
tasks, and can be retried by hand. (RabbitMQ dead-letters expired messages alike.)
"""

from __future__ import annotations

from scheduler.core.handlers.finishing import finish
from scheduler.core.model.effects import Effects, PutRun
from scheduler.core.model.events import ExpiriesDue, StartDeadlinePassed
from scheduler.core.model.indexes.texts import error_text
from scheduler.core.model.state import State
from scheduler.core.values import TaskState

START_DEADLINE = "START_DEADLINE"
_MESSAGE = "the task did not start within its start deadline"
# Tasks looked at in one step: bounds how long it holds the loop.
_AT_ONCE = 500


def expiries_due(state: State, now: float) -> bool:
    """Whether `ExpiriesDue` has something to do."""
    due = state.deadlines.next()
    return due is not None and due <= now


def on_expiries_due(state: State, event: ExpiriesDue, now: float, out: Effects) -> None:
    """An event of its own for each: the writes of one event are one Txn, which may hold few."""
    for row in state.deadlines.take(now, _AT_ONCE):
        out.then.append(StartDeadlinePassed(row.id))


def on_start_deadline_passed(
    state: State, event: StartDeadlinePassed, now: float, out: Effects
) -> None:
    row = state.tasks.get(event.task)
    if row is None or row.state is not TaskState.PENDING or not row.expires:
        return
    put = PutRun(row, now, error_type=START_DEADLINE, error_message=_MESSAGE)
    finish(state, row, TaskState.EXPIRED, now, out, put, error_text(START_DEADLINE, _MESSAGE))
