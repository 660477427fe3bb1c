"""UpdateJob: a live job gets another spec, by one put of its record.

A standby takes the new spec from the record. What follows from it, such as that the job ends
for its failures, is decided in the same step."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.bulk.retry import finished, part_of_job
from scheduler.core.handlers.chunks.ending import advance
from scheduler.core.handlers.requests import JOBS_SCOPE, Answer, Call
from scheduler.core.model.answers import JobKnown, Rejection, no_job
from scheduler.core.model.effects import Effects
from scheduler.core.model.events.jobs import JobUpdateAsked
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State


def _refuse(state: State, limits: Limits, event: JobUpdateAsked) -> Rejection | None:
    job = state.jobs.get(event.job)
    if job is None:
        return no_job(event.job)
    return part_of_job(job) or (finished(job) if job.over else None)


def _update(
    state: State, limits: Limits, event: JobUpdateAsked, now: float, out: Effects
) -> Answer:
    job = state.jobs[event.job]
    spec = event.make(job.spec)
    if spec.spec != job.spec.spec:
        moves.respec(state, job, spec)
        advance(state, job, now, out, write=True)
        for level in job.children.values():
            if spec.reduce is not None and not level.over:
                moves.respec(state, level, spec.reduce.level)
                advance(state, level, now, out, write=True)
        queue = job.queue.name
        audit.note(
            state, limits, out, event.request, now, "job", job.id, *event.changes, queue=queue
        )
    return Answer(JobKnown(job.id), job.queue.name, job.id)


def _known(state: State, event: JobUpdateAsked, known: DedupRow) -> JobKnown:
    return JobKnown(event.job)


on_job_update_asked = Call(JOBS_SCOPE, _refuse, _update, _known)
