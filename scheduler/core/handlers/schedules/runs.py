"""A run of a schedule: a task or a job, created, cancelled, and how it ended.

Jobs are created by the handler of CreateJob, in one step with their items or the tasks of their
graph: a schedule's are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.handlers.jobs.creation import on_job_submitted
from scheduler.core.handlers.jobs.graphs import add_tasks
from scheduler.core.handlers.jobs.parts import cancel
from scheduler.core.handlers.tasks.creation import create, refuse_tasks
from scheduler.core.jobs.schedules.stamp import stamped, stamped_job
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.effects import Effects, PutJobItems
from scheduler.core.model.indexes.usage import task_units
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import JobRow
from scheduler.core.model.schedules import MOST_RUNS, Cause, JobTemplate, Run, ScheduleRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState, MemberOf, TaskSpec, TaskState

# Nobody waits for an answer.
NO_TOKEN: Final[Any] = None
_OUTCOMES: Final[Mapping[JobState, int]] = {
    JobState.SUCCEEDED: int(TaskState.SUCCEEDED),
    JobState.FAILED: int(TaskState.FAILED),
    JobState.CANCELLED: int(TaskState.CANCELLED),
}


def rejection_of(state: State, limits: Limits, row: ScheduleRow) -> Rejection | None:
    """Why a run cannot be created."""
    spec = row.spec
    work = spec.work
    if isinstance(work, TaskSpec):
        units = task_units(len(work.spec))
        return refuse_tasks(state, limits, spec.queue, (work,), units, row.created_by)
    event = _submitted(spec.queue, TaskId(""), work, row.created_by)
    return on_job_submitted.refuse(state, limits, event)


def start(
    state: State,
    limits: Limits,
    row: ScheduleRow,
    tick: int,
    cause: Cause,
    task: TaskId,
    now: float,
    out: Effects,
) -> None:
    """Create the run of a tick under the id `task`, to which nothing objects. The schedule's record
    is to be written in the same Txn."""
    spec = row.spec
    work = spec.work
    is_job = isinstance(work, JobTemplate)
    if isinstance(work, TaskSpec):
        made = stamped(work, row.name, tick, cause)
        create(state, state.queues[spec.queue], task, made, now, out, row.created_by)
    else:
        job = stamped_job(work, row.name, tick, cause)
        graph = [one._replace(member=_of_job(one.member, task)) for one in job.graph]
        job = job._replace(graph=tuple(graph))
        event = _submitted(spec.queue, task, job, row.created_by)
        on_job_submitted.perform(state, limits, event, now, out)
        if graph:
            part = e.GraphTasksAdded(task, 0, graph, True, NO_TOKEN)
            add_tasks(state, state.jobs[task], part, now, out)
        if job.items:
            out.writes.append(PutJobItems(task, 0, job.items))
            there = state.jobs[task]
            there.item_bytes = sum(map(len, job.items))
            moves.account(state, there)
    row.runs = (*row.runs[-(MOST_RUNS - 1) :], Run(tick, task, cause, is_job=is_job))
    row.run_count += 1


def _submitted(queue: QueueName, job: TaskId, work: JobTemplate, creator: str) -> e.JobSubmitted:
    return e.JobSubmitted(
        queue,
        job,
        work.spec,
        work.template,
        work.size,
        open=False,
        loading=bool(work.graph),
        request=e.Request(),
        token=NO_TOKEN,
        created_by=creator,
        reduce=work.reduce,
        tasks=work.graph,
    )


def _of_job(member: MemberOf | None, job: TaskId) -> MemberOf:
    assert member is not None
    return member._replace(job=job)


def state_of(state: State, run: Run) -> int:
    """How a run ended; 0 while it is live, and what was noted before once it is not on record."""
    if run.is_job:
        job = state.jobs.get(run.task)
        return run.state if job is None else _OUTCOMES.get(job.state, 0)
    done = state.finished.get(run.task)
    if done is not None:
        return int(done.state)
    return 0 if run.task in state.tasks else run.state


def cancel_job(state: State, job: JobRow, now: float, out: Effects) -> bool:
    """Cancel a live job; whether there was something to cancel."""
    if job.over:
        return False
    cancel(state, job, "cancelled for the schedule's next run", now, out)
    return True
