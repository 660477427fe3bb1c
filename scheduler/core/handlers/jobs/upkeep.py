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
from scheduler.core.model.rows import QueueRow
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
        if job.over:
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
    while retained and gone < min(limit, _DELETED_AT_ONCE) and tasks < limit:
        job = retained[0]
        if state.jobs.get(job.id) is not job or not job.finished:
            # Deleted, or retried by hand, since.
            retained.popleft()
            continue
        too_many = len(retained) > MOST_KEPT or queue.kept > queue.retention_count
        if job.finish_time + queue.retention_age > now and not too_many:
            break
        retained.popleft()
        if (graph := drop_graph(state, job)) is not None:
            out.purges.append(PurgeRun(*graph))
            tasks += job.members.graph if job.members is not None else 0
        moves.drop(state, job)
        out.purged_jobs = (*out.purged_jobs, dropped(job))
        gone += 1
    return gone


def retain(effect: NotifyJob) -> None:
    """Its end is committed: retention may see it. What is part of a job goes with that."""
    job = effect.job
    job.settled = job.finished
    if job.parent is None:
        job.queue.retained_jobs.append(job)
