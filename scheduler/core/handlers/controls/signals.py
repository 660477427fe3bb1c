"""SendSignal: an order to a node, of which nothing is on record but the audit entry."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.controls.running import refuse
from scheduler.core.handlers.requests import TASKS_SCOPE, Answer, Call
from scheduler.core.model.answers import Rejection, TaskKnown
from scheduler.core.model.effects import Effects, SignalAttempt
from scheduler.core.model.events import TaskSignalAsked
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import Change


def _refuse(state: State, limits: Limits, event: TaskSignalAsked) -> Rejection | None:
    return refuse(state, event.task, "signalled", program=event.program)


def _perform(
    state: State, limits: Limits, event: TaskSignalAsked, now: float, out: Effects
) -> Answer:
    row = state.tasks[event.task]
    queue = row.queue.name
    change = Change("signal", "", event.name)
    audit.note(state, limits, out, event.request, now, "task", row.id, change, queue=queue)
    out.after.append(SignalAttempt(row.instance, row.id, row.attempt, event.signal))
    return Answer(TaskKnown(row.id, queue), queue, row.id, progress=1)


def _known(state: State, event: TaskSignalAsked, known: DedupRow) -> TaskKnown:
    return TaskKnown(event.task, known.queue)


on_task_signal_asked = Call(TASKS_SCOPE, _refuse, _perform, _known)
