"""When a job is over: decided in the step of the last outcome, from what is known then alone.

    ACTIVE, PAUSED --all succeeded--> SUCCEEDED
                   --all finished, some failed--> FAILED
                   --cancelled, too many failures--> ending
    ending --nothing of it is on a node--> CANCELLED, FAILED

Subtasks of a job that ends early and were not given to a node, or came back from it, are cancelled:
nothing is written of them.
"""

from __future__ import annotations

from scheduler.core.model.effects import Effects, EndAttempt, NotifyJob, PutJob
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState


def advance(state: State, job: JobRow, now: float, out: Effects, *, write: bool = False) -> None:
    """Something of a live job changed: bring everything that follows from it up to date.

    Args:
        write: its record is to be written in any case.
    """
    array = job.array
    if job.ending is None and not job.loading and (why := _too_many_failures(job)):
        end_early(job, JobState.FAILED, why, out)
        write = True
    if job.start_time and not job.start_on_record:
        job.start_on_record = write = True
    done = array.succeeded + array.failed == array.count and not job.open and not job.loading
    if not job.chunks and (done or job.ending is not None) and not job.finished:
        all_good = done and not array.failed
        if job.ending is not None and not (all_good and array.count):
            job.state = job.ending
        else:
            # Also when a caller was late to cancel it.
            job.state = JobState.SUCCEEDED if all_good else JobState.FAILED
        job.ending = None
        job.open = False
        array.stop_waiting()
        job.finish_time = max(now, job.create_time, job.start_time)
        write = True
        out.after.append(NotifyJob(job))
    if write:
        out.writes.append(PutJob(job))
    moves.account(state, job)


def end_early(job: JobRow, final: JobState, why: str, out: Effects) -> None:
    """Nothing more of it is started; what is on nodes is ended. `advance` follows."""
    job.ending = final
    job.reason = why
    for row in job.chunks.values():
        row.cancel_requested = True
        out.after.append(EndAttempt(row.instance, row.id, row.attempt))


def _too_many_failures(job: JobRow) -> str:
    """Why a job ends early for its failures; "" when it does not."""
    failed, spec = job.array.failed, job.spec
    if not failed:
        return ""
    if 0 <= spec.max_failures < failed:
        return f"{failed} subtasks failed; max_failures is {spec.max_failures}"
    share = spec.max_failure_share
    if share and not job.open and failed > share * job.array.count:
        return f"{failed} of {job.array.count} subtasks failed; max_failure_share is {share:g}"
    return ""
