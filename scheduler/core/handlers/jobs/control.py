"""What callers ask for of jobs on record: cancel, pause, resume, retry, delete.

Each is one put of the job's record, whatever the number of its subtasks.
"""

from __future__ import annotations

from typing import Any

from scheduler.core.handlers import audit
from scheduler.core.handlers.bulk.retry import finished, incomplete, part_of_job
from scheduler.core.handlers.chunks.giving import recall_all
from scheduler.core.handlers.chunks.reduces import latest
from scheduler.core.handlers.finishing import move_on
from scheduler.core.handlers.jobs.graphs import drop_graph
from scheduler.core.handlers.jobs.parts import cancel, dropped
from scheduler.core.handlers.limits.unique import of_node, refuse_key
from scheduler.core.handlers.quotas.check import refuse_created, refuse_subtasks
from scheduler.core.handlers.requests import JOBS_SCOPE, Answer, Call
from scheduler.core.model.answers import Done, ErrorKind, JobKnown, Rejection, no_job
from scheduler.core.model.effects import DropJobErrors, DropTasks, Effects
from scheduler.core.model.events.jobs import (
    JobCancelAsked,
    JobDeleteAsked,
    JobPauseAsked,
    JobRetryAsked,
)
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, JobRow
from scheduler.core.model.state import State
from scheduler.core.values import Change, JobState, TaskState

# Those that a retry of a job is about.
RETRIABLE_STATES = (TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)


# Any: an event with a `job`.
def _known(state: State, event: Any, known: DedupRow) -> JobKnown:
    return JobKnown(event.job)


def _refuse_cancel(state: State, limits: Limits, event: JobCancelAsked) -> Rejection | None:
    job = state.jobs.get(event.job)
    if job is None:
        return no_job(event.job)
    if (rejection := part_of_job(job)) is not None:
        return rejection
    return finished(job) if job.finished and job.state is not JobState.CANCELLED else None


def _cancel(
    state: State, limits: Limits, event: JobCancelAsked, now: float, out: Effects
) -> Answer:
    job = state.jobs[event.job]
    if not job.over:
        change = Change("state", job.state.name, JobState.CANCELLED.name)
        cancel(state, job, "cancelled by a caller", now, out)
        _note(state, limits, out, event, now, job, change)
    return Answer(JobKnown(job.id), job.queue.name, job.id)


on_job_cancel_asked = Call(JOBS_SCOPE, _refuse_cancel, _cancel, _known)


def _refuse_pause(state: State, limits: Limits, event: JobPauseAsked) -> Rejection | None:
    job = state.jobs.get(event.job)
    if job is None:
        return no_job(event.job)
    return part_of_job(job) or (finished(job) if job.over else None)


def _pause(state: State, limits: Limits, event: JobPauseAsked, now: float, out: Effects) -> Answer:
    job = state.jobs[event.job]
    wanted = JobState.PAUSED if event.paused else JobState.ACTIVE
    if job.state is not wanted:
        change = Change("state", job.state.name, wanted.name)
        for one in (job, *job.children.values()):
            if not one.over:
                _set_paused(state, one, wanted, now, out)
        _note(state, limits, out, event, now, job, change)
    return Answer(JobKnown(job.id), job.queue.name, job.id)


def _set_paused(state: State, job: JobRow, wanted: JobState, now: float, out: Effects) -> None:
    job.state = wanted
    if wanted is JobState.PAUSED:
        recall_all(job, out)
    members = job.members
    if members is not None:
        members.look_at(TaskState.BLOCKED, TaskState.PENDING, TaskState.SCHEDULED)
        for array in members.arrays.values():
            _hold(array, out)
        moves.account_arrays(state, job)
    move_on(state, job, now, out, write=True)


def _hold(array: JobRow, out: Effects) -> None:
    """The graph of an array is paused, or resumed. Nothing is written of it."""
    graph = array.parent
    assert graph is not None
    assert graph.members is not None
    if array.finished:
        return
    if graph.held:
        recall_all(array, out)
    graph.members.due[array.id] = None
    if array.members is not None:
        array.members.look_at(TaskState.BLOCKED, TaskState.PENDING, TaskState.SCHEDULED)


on_job_pause_asked = Call(JOBS_SCOPE, _refuse_pause, _pause, _known)


def _refuse_retry(state: State, limits: Limits, event: JobRetryAsked) -> Rejection | None:
    job = state.jobs.get(event.job)
    if job is None:
        return no_job(event.job)
    if (rejection := part_of_job(job)) is not None:
        return rejection
    if not job.finished:
        return Rejection(
            ErrorKind.PRECONDITION,
            "JOB_NOT_FINISHED",
            f"job {job.id!r} is {job.state.name}; only a finished job can be retried",
            "job",
            job.id,
        )
    if job.members is not None and job.members.graph:
        return _refuse_graph(state, limits, job)
    left = sum(one.array.count - one.array.succeeded for one in _rounds(job))
    # Of a job with a reduce all subtasks may have succeeded, and the next level not have begun.
    good = job.spec.reduce is None or job.state is JobState.SUCCEEDED
    if not left and good and (job.members is None or not job.members.failed):
        return Rejection(
            ErrorKind.PRECONDITION,
            "NOTHING_TO_RETRY",
            f"all {job.array.count} subtasks of job {job.id!r} succeeded",
            "job",
            job.id,
        )
    left += job.reduces_to_come
    return refuse_subtasks(state, limits, job.queue.usage, job.creator.name, left, 0)


def _refuse_graph(state: State, limits: Limits, job: JobRow) -> Rejection | None:
    members = job.members
    assert members is not None
    if not members.complete:
        return incomplete(job)
    if not members.failed and job.state is JobState.SUCCEEDED:
        return Rejection(
            ErrorKind.PRECONDITION,
            "NOTHING_TO_RETRY",
            f"no task of job {job.id!r} failed",
            "job",
            job.id,
        )
    for node in members.nodes:
        if node.unique and node.state is not TaskState.SUCCEEDED:
            taken = refuse_key(state, job.queue, node.unique, "")
            if taken is not None:
                return of_node(taken, node.of.name)
    arrays = [array for array in members.arrays.values() if array.state is not JobState.SUCCEEDED]
    left = members.graph - members.counts[TaskState.SUCCEEDED] - len(arrays)
    subtasks = sum(array.array.count - array.array.succeeded for array in arrays)
    usage, creator = job.queue.usage, job.creator.name
    return refuse_created(state, limits, usage, creator, left, 0) or (
        refuse_subtasks(state, limits, usage, creator, subtasks, 0) if arrays else None
    )


def _retry(state: State, limits: Limits, event: JobRetryAsked, now: float, out: Effects) -> Answer:
    job = state.jobs[event.job]
    change = Change("state", job.state.name, JobState.ACTIVE.name)
    rounds = _rounds(job)
    for one in rounds:
        begin_round(one)
        out.writes.append(DropJobErrors(one.id))
        if one.members is not None:
            one.members.look_at(*RETRIABLE_STATES)
    # A level that is live by now keeps its job from ending.
    for one in reversed(rounds):
        move_on(state, one, now, out, write=True)
    _note(state, limits, out, event, now, job, change)
    return Answer(JobKnown(job.id), job.queue.name, job.id)


def _rounds(job: JobRow) -> list[JobRow]:
    """What a retry begins again of a finished job: itself, and the level of reduces that ended
    badly."""
    level = latest(job) if job.spec.reduce is not None else None
    if level is None or level.state is JobState.SUCCEEDED:
        return [job]
    return [job, level]


def begin_round(job: JobRow) -> None:
    """Another round of a finished job: what did not succeed waits again."""
    job.array.begin_round()
    job.state = JobState.ACTIVE
    job.finish_time = 0.0
    job.settled = False
    job.reason = ""
    job.round += 1
    job.reopening = 0


on_job_retry_asked = Call(JOBS_SCOPE, _refuse_retry, _retry, _known)


def _refuse_delete(state: State, limits: Limits, event: JobDeleteAsked) -> Rejection | None:
    job = state.jobs.get(event.job)
    if job is None:
        return no_job(event.job)
    # Before its end is committed, nobody knows of it.
    if job.settled:
        return part_of_job(job)
    what = "is ending; try again" if job.finished else f"is {job.state.name}; cancel it first"
    return part_of_job(job) or Rejection(
        ErrorKind.PRECONDITION,
        "JOB_NOT_FINISHED",
        f"job {job.id!r} {what}",
        "job",
        job.id,
    )


def _delete(
    state: State, limits: Limits, event: JobDeleteAsked, now: float, out: Effects
) -> Answer:
    job = state.jobs[event.job]
    tasks = drop_graph(state, job)
    if tasks is not None:
        out.writes.append(DropTasks(*tasks))
    moves.drop(state, job)
    out.writes.append(dropped(job))
    _note(state, limits, out, event, now, job, Change("state", job.state.name))
    return Answer(Done(), job.queue.name)


def _done(state: State, event: JobDeleteAsked, known: DedupRow) -> Done:
    return Done()


on_job_delete_asked = Call(JOBS_SCOPE, _refuse_delete, _delete, _done)


def _note(
    state: State, limits: Limits, out: Effects, event: Any, now: float, job: JobRow, change: Change
) -> None:
    audit.note(state, limits, out, event.request, now, "job", job.id, change, queue=job.queue.name)
