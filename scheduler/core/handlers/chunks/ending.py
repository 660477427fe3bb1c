"""When a job is over: decided in the step of the last outcome, from what is known then alone.

A job is not over before the tasks that belong to it are: see `scheduler.core.handlers.finishing`.
One with a reduce is not over when all its subtasks have succeeded: see `reduces`. A job that is
part of another one and ends is an outcome for that one, in the same step. One that is a task of a
graph is an outcome for the tasks that wait for it, too; where its subtasks wait each for one of
another array, those whose counterpart will not succeed are skipped.

    ACTIVE, PAUSED --all succeeded--> SUCCEEDED
                   --all finished, some failed or were cancelled--> FAILED
                   --cancelled, too many failures--> ending
    ending --nothing of it is on a node--> CANCELLED, FAILED

Subtasks of a job that ends early and were not given to a node, or came back from it, are cancelled:
nothing is written of them.
"""

from __future__ import annotations

from typing import Final

from quorate.runtime.sizes import plural
from scheduler.core.handlers.chunks import reduces
from scheduler.core.model.effects import Effects, EndAttempt, NotifyJob, PutJob
from scheduler.core.model.effects.ended import Ended
from scheduler.core.model.events.jobs import JobContinued
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import EventsTo, JobState

# Tasks of a job whose records are read at once.
READ_AT_ONCE: Final = 24


def advance(state: State, job: JobRow, now: float, out: Effects, *, write: bool = False) -> None:
    """Something of a live job changed: bring everything that follows from it up to date.

    Args:
        write: its record is to be written in any case.
    """
    array, members = job.array, job.members
    live = not job.over and not job.loading
    if live and (why := _too_many_failures(job)):
        end_early(job, JobState.FAILED, why, out)
        write = True
    if job.start_time and not job.start_on_record:
        job.start_on_record = write = True
    never = _skipped(job) if array.gated else 0
    done = array.finished + never == array.count
    done = done and not (job.open or job.loading or job.blocked)
    out_now = bool(job.chunks) or (members is not None and (members.busy or members.live > 0))
    if write:
        # Ahead of its parts, which whoever folds the log looks up by it.
        put(job, out)
    ended = False
    if not out_now and (done or job.ending is not None) and not job.finished:
        final = _final_state(state, job, now, out, done=done, never=never)
        if final is not None:
            ended = True
            job.state = final
            job.ending = None
            job.open = False
            array.stop_waiting()
            job.finish_time = max(now, job.create_time, job.start_time)
            out.after.append(NotifyJob(job, job.finish_time))
            if job.queue.events is not None and job.parent is None:
                _announce(job, job.queue.events, out)
    if ended and not write:
        put(job, out)
    moves.account(state, job)
    if members is not None:
        go_on(job, out)
    if ended and job.parent is not None:
        if job.member is not None and job.parent.members is not None:
            job.parent.members.ended(job.member)
        advance(state, job.parent, now, out)


def _announce(job: JobRow, to: EventsTo, out: Effects) -> None:
    """Have a message about the end of a job, which is not part of another one."""
    array = job.array
    cancelled = array.count - array.succeeded - array.failed
    out.announce(
        Ended(
            *("job", job.id, job.queue.name, to, job.state.name, job.round),
            *(job.create_time, job.finish_time, "", job.reason),
            counts=(array.succeeded, array.failed, cancelled) if array.count else None,
        )
    )


def _skipped(job: JobRow) -> int:
    """Subtasks of an array in a graph whose counterpart will not succeed."""
    member = job.member
    assert member is not None
    assert member.job.members is not None
    return member.job.members.never(member)


def _final_state(
    state: State, job: JobRow, now: float, out: Effects, *, done: bool, never: int
) -> JobState | None:
    """How a job ended of which nothing is on a node; None: a level of its reduces is live.

    Args:
        never: subtasks of it that were skipped.
    """
    array, members = job.array, job.members
    if never and done and job.ending is None:
        job.reason = job.reason or _why_skipped(job, never)
        if never == array.count:
            job.skipped = True
            return JobState.CANCELLED
    all_good = done and array.succeeded == array.count
    if all_good and members is not None:
        # One that is given up may have no task at all.
        all_good = not members.failed and len(members.nodes) == members.graph
    if job.ending is not None and not (all_good and (array.count or members or job.children)):
        return job.ending
    # What follows holds also when a caller was late to cancel it.
    if not all_good:
        if array.cancelled and not array.failed:
            job.reason = f"{plural(array.cancelled, 'subtask')} cancelled by a caller"
        return JobState.FAILED
    if job.spec.reduce is None:
        return JobState.SUCCEEDED
    return reduces.go_on(state, job, now, out)


def _why_skipped(job: JobRow, never: int) -> str:
    member = job.member
    assert member is not None
    assert member.each is not None
    assert member.job.members is not None
    other = member.job.members.nodes[member.each].of.name
    return (
        f'{never} of {job.array.count} subtasks were skipped: the same ones of "{other}" did not '
        "succeed"
    )


def put(job: JobRow, out: Effects) -> None:
    """Write its record, once in a step: as an outcome of its parts it may have been written."""
    parts = job.children or job.member is not None or job.members is not None
    if parts and any(type(one) is PutJob and one.row is job for one in out.writes):
        return
    out.writes.append(PutJob(job))


def go_on(job: JobRow, out: Effects, *, anyway: bool = False) -> None:
    """Tasks of the job that are still to be looked at follow with an event of its own.

    Args:
        anyway: also when there are none, for the job's end alone.
    """
    members = job.members
    if members is None or members.continuing or job.waits or not (members.busy or anyway):
        return
    members.continuing = True
    tasks = tuple(task for task, _ in zip(members.wanted, range(READ_AT_ONCE), strict=False))
    out.then.append(JobContinued(job.id, tasks, job.creator.name))


def end_early(job: JobRow, final: JobState, why: str, out: Effects) -> None:
    """Nothing more of it is started; what is on nodes is ended. `advance` follows."""
    job.ending = final
    job.reason = why
    if job.members is not None:
        job.members.end_all()
    for row in job.chunks.values():
        row.cancel_requested = True
        out.after.append(EndAttempt(row.instance, row.id, row.attempt))


def _too_many_failures(job: JobRow) -> str:
    """Why a job ends early for its failures; "" when it does not."""
    failed, spec = job.array.failed, job.spec
    members = job.members
    if job.reopening:
        # Callers have retried some of it: they get these to their end, whatever failed before.
        return ""
    if spec.max_failures >= 0 and members is not None and members.graph:
        failed = members.failures(spec.max_failures)
        if failed > spec.max_failures:
            return f"{failed} tasks failed; max_failures is {spec.max_failures}"
    if not failed:
        return ""
    if 0 <= spec.max_failures < failed:
        return f"{failed} subtasks failed; max_failures is {spec.max_failures}"
    share = spec.max_failure_share
    if share and not job.open and failed > share * job.array.count:
        return f"{failed} of {job.array.count} subtasks failed; max_failure_share is {share:g}"
    return ""
