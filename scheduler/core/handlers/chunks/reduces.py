"""Levels of reduces: jobs that are part of the job whose results they reduce.

    all subtasks of the array succeeded --> level 1 is made --all of it succeeded--> level 2 ...
    the last level (a single reduce) succeeded --> the job SUCCEEDED
    a reduce failed for good --> the job FAILED

A level is made in the step of the last outcome of the level before, so whoever leads next finds
both or none. Its id follows from the job's: nothing has to be remembered to make it.
"""

from __future__ import annotations

from quorate.runtime.ids import offset_id
from scheduler.core.arrays.levels import levels, size_of_next
from scheduler.core.model.effects import Effects, PutJob
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState


def latest(job: JobRow) -> JobRow | None:
    """The level that runs, or ran last; None before the first one."""
    return next(reversed(job.children.values()), None)


def go_on(state: State, job: JobRow, now: float, out: Effects) -> JobState | None:
    """All subtasks of a job with a reduce have succeeded: make the next level where one is due.

    Returns:
        How the job ended; None while a level is live.
    """
    level = latest(job)
    below = job if level is None else level
    if level is not None:
        if not level.finished:
            return None
        if level.state is JobState.CANCELLED:
            return job.ending or JobState.CANCELLED
        if level.state is JobState.FAILED:
            job.reason = job.reason or _why(job, level)
            return JobState.FAILED
        if level.array.count == 1:
            # Also when a caller was late to cancel it.
            return JobState.SUCCEEDED
    if job.ending is not None:
        return job.ending
    _begin(state, job, below, now, out)
    return None


def _begin(state: State, job: JobRow, below: JobRow, now: float, out: Effects) -> None:
    reduce = job.spec.reduce
    assert reduce is not None
    number = below.level + 1
    level = JobRow(
        offset_id(job.id, number),
        job.queue,
        reduce.level,
        max(now, job.create_time),
        job.creator,
        state=job.state,
        parent=job,
        level=number,
    )
    level.array.grow(size_of_next(below.array.count, reduce.fan_in))
    moves.add(state, level)
    out.writes.append(PutJob(level))


def _why(job: JobRow, level: JobRow) -> str:
    assert job.spec.reduce is not None
    most = levels(job.array.count, job.spec.reduce.fan_in)
    where = f" of level {level.level} of {most}" if most > 1 else ""
    failed = level.array.failed
    return f"{failed} reduce{'s' if failed > 1 else ''}{where} failed"
