"""What the passing of time does to jobs: retries come due, idle ones are closed, finished ones
go."""

from __future__ import annotations

from scheduler.core.handlers.chunks import merging
from scheduler.core.handlers.finishing import look_anew
from scheduler.core.handlers.jobs.creation import close
from scheduler.core.handlers.jobs.graphs import drop_graph
from scheduler.core.handlers.jobs.parts import begin_levels, cancel, dropped
from scheduler.core.model.effects import Effects, NotifyJob, PurgeRun
from scheduler.core.model.events.jobs import IdleJobsDue
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow, QueueRow
from scheduler.core.model.state import State

# Blocks whose subtasks come due in one step.
DUE_AT_ONCE = 1_000
# Seconds after which a job whose creation was given up is cancelled: its creator may repeat the
# call until then.
ABANDONED = 900.0
# Finished jobs of a queue that are kept, whatever their age.
MOST_KEPT = 10_000
# Jobs deleted in one step, each by half a dozen deletions.
_DELETED_AT_ONCE = 16


def on_elected(state: State, now: float, out: Effects) -> None:
    """Retries that a leader ahead of time put off are not put off for as long as that is."""
    for job in list(state.jobs.values()):
        job.settled = job.finished
        look_anew(job, out)
        merging.on_elected(job)
        job.durations.begin(job.array.run_seconds, job.array.run_count)
        if job.array.waiting:
            retry = job.spec.retry
            moves.hold_waits(state, job, now + retry.max_backoff * (1.0 + retry.jitter) + 1.0)
        begin_levels(state, job, now, out)


def on_idle_jobs_due(state: State, event: IdleJobsDue, now: float, out: Effects) -> None:
    """Close the open array that has been idle for too long; one in a step."""
    for job in state.jobs.values():
        if job.over or job.member is not None:
            continue
        if job.loading and now - job.append_time > ABANDONED:
            cancel(state, job, "its creation was given up half-way", now, out)
            return
        if job.open and not job.loading and now - job.append_time > job.spec.close_after_idle:
            close(state, job, now, out)
            return


def expire(state: State, queue: QueueRow, now: float, limit: int, out: Effects) -> int:
    """Delete finished jobs of a queue that are too old or too many; how many."""
    retained = queue.retained_jobs
    gone = tasks = 0
    most = min(limit, _DELETED_AT_ONCE)
    while retained and gone < most and tasks < limit:
        job = retained[0]
        if not _is_retained(state, job):
            retained.popleft()
            continue
        if job.finish_time + queue.retention_age > now and len(retained) <= MOST_KEPT:
            break
        retained.popleft()
        tasks += _purge(state, job, out)
        gone += 1
    for job in _too_many(state, queue) if queue.kept > queue.retention_count else ():
        if gone >= most or tasks >= limit:
            break
        tasks += _purge(state, job, out)
        gone += 1
    return gone


def _is_retained(state: State, job: JobRow) -> bool:
    """Whether it was neither deleted, nor retried by hand, since. One that has ended again is, once
    that end is committed, too: else what is on record as live would be deleted."""
    return state.jobs.get(job.id) is job and job.settled


def _too_many(state: State, queue: QueueRow) -> list[JobRow]:
    """The oldest finished graphs, without which the others have no more tasks than are kept."""
    graphs = [
        job
        for job in dict.fromkeys(queue.retained_jobs)
        if job.members is not None and job.members.graph and _is_retained(state, job)
    ]
    tasks = sum(len(job.members.tasks) for job in graphs if job.members is not None)
    found = []
    for job in graphs:
        if tasks <= queue.retention_count or job.members is None:
            break
        tasks -= len(job.members.tasks)
        found.append(job)
    return found


def _purge(state: State, job: JobRow, out: Effects) -> int:
    """Delete a finished job; how many tasks went with it."""
    members = job.members
    tasks = len(members.tasks) if members is not None else 0
    if (graph := drop_graph(state, job)) is not None:
        out.purges.append(PurgeRun(*graph))
    moves.drop(state, job)
    out.purged_jobs = (*out.purged_jobs, dropped(job))
    return tasks


def retain(effect: NotifyJob) -> None:
    """Its end is committed: retention may see it. What is part of a job goes with that."""
    job = effect.job
    job.settled = job.finished and job.finish_time == effect.finish_time
    if job.parent is None:
        job.queue.retained_jobs.append(job)
