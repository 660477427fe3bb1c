"""What callers ask for of one subtask of an array: cancel, retry.

Subtasks of a level of reduces are not for callers: nobody could do anything with a part of the
results."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.bulk import subtasks
from scheduler.core.handlers.bulk.subtasks import Touched
from scheduler.core.handlers.requests import TASKS_SCOPE, Answer, Call
from scheduler.core.model.answers import Rejection, TaskKnown
from scheduler.core.model.effects import Effects
from scheduler.core.model.events.jobs import SubtaskCancelAsked, SubtaskRetryAsked
from scheduler.core.model.jobs.subtasks import find
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State


def _known(
    state: State, event: SubtaskCancelAsked | SubtaskRetryAsked, known: DedupRow
) -> TaskKnown:
    return TaskKnown(event.task, known.queue)


def _refuse_cancel(state: State, limits: Limits, event: SubtaskCancelAsked) -> Rejection | None:
    return subtasks.refuse_cancel(state, event.task)


def _cancel(
    state: State, limits: Limits, event: SubtaskCancelAsked, now: float, out: Effects
) -> Answer:
    job, _ = find(state, event.task)
    assert job is not None
    touched = Touched()
    change = subtasks.cancel(state, event.task, touched, now, out)
    touched.order(state, out)
    queue = job.queue.name
    if change is not None:
        audit.note(state, limits, out, event.request, now, "task", event.task, change, queue=queue)
    return Answer(TaskKnown(event.task, queue), queue, job.id)


on_subtask_cancel_asked = Call(TASKS_SCOPE, _refuse_cancel, _cancel, _known)


def _refuse_retry(state: State, limits: Limits, event: SubtaskRetryAsked) -> Rejection | None:
    return subtasks.refuse_retry(state, limits, event.task)


def _retry(
    state: State, limits: Limits, event: SubtaskRetryAsked, now: float, out: Effects
) -> Answer:
    job, _ = find(state, event.task)
    assert job is not None
    change, queue = subtasks.retry(state, event.task, Touched(), now, out), job.queue.name
    audit.note(state, limits, out, event.request, now, "task", event.task, change, queue=queue)
    return Answer(TaskKnown(event.task, queue), queue, job.id)


on_subtask_retry_asked = Call(TASKS_SCOPE, _refuse_retry, _retry, _known)
