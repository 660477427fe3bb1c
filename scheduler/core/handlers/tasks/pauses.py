"""PauseTask and ResumeTask: a task that waits is held back by name, a program that runs suspended.

When it is due, and its start deadline, stay on record. A paused task does not expire; one that is
resumed behind its deadline does at once.
"""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.controls import running, suspension
from scheduler.core.handlers.finishing import held_back
from scheduler.core.handlers.requests import TASKS_SCOPE, Answer, Call
from scheduler.core.model import transitions
from scheduler.core.model.answers import ErrorKind, Rejection, TaskKnown, no_task
from scheduler.core.model.effects import Effects, PutRun
from scheduler.core.model.events import TaskPauseAsked
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import WAITING, Change, TaskPause, TaskState


def _refuse(state: State, limits: Limits, event: TaskPauseAsked) -> Rejection | None:
    row = state.tasks.get(event.task)
    if row is None and event.task not in state.finished:
        return no_task(event.task)
    if row is not None and row.replica is not None:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_IS_REPLICA",
            f"task {event.task!r} is a replica of service {row.replica.service!r}; scale the "
            "service instead",
            "task",
            event.task,
        )
    if row is not None and row.state in WAITING:
        return None
    if row is not None:
        verb = "paused" if event.paused else "resumed"
        return running.refuse(state, event.task, verb, program=event.program)
    found = state.finished[event.task].state.name
    verb = "paused" if event.paused else "resumed"
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_NOT_WAITING",
        f"task {event.task!r} is {found}; only a task that waits, or a program that runs, can be "
        f"{verb}",
        "task",
        event.task,
    )


def _perform(
    state: State, limits: Limits, event: TaskPauseAsked, now: float, out: Effects
) -> Answer:
    row, origin = state.tasks[event.task], event.request.origin
    by = f"{origin.role}:{origin.caller}" if origin is not None and origin.role else ""
    pause = TaskPause(by, event.reason, now) if event.paused else None
    before, change = row.state, None
    if before is TaskState.RUNNING:
        if suspension.suspend(row, pause, out):
            words = ("false", "true") if event.paused else ("true", "false")
            change = Change("suspended", *words)
    elif event.paused != (before is TaskState.PAUSED):
        if pause is not None:
            transitions.pause(state, row, pause)
        else:
            transitions.resume(state, row, now)
            held_back(state, row)
        out.writes.append(PutRun(row))
        change = Change("state", before.name, row.state.name)
    if change is not None:
        changes = [change]
        if event.reason:
            changes.append(Change("reason", "", event.reason))
        queue = row.queue.name
        audit.note(state, limits, out, event.request, now, "task", row.id, *changes, queue=queue)
    return Answer(TaskKnown(row.id, row.queue.name), row.queue.name, row.id, progress=1)


def _known(state: State, event: TaskPauseAsked, known: DedupRow) -> TaskKnown:
    return TaskKnown(event.task, known.queue)


on_task_pause_asked = Call(TASKS_SCOPE, _refuse, _perform, _known)
