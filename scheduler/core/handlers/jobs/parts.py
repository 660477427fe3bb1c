"""A job and what belongs to it, cancelled and deleted together."""

from __future__ import annotations

from quorate.runtime.ids import offset_id
from scheduler.core.arrays.levels import MOST_LEVELS
from scheduler.core.graphs.members import graph_task
from scheduler.core.handlers.chunks.ending import advance, end_early
from scheduler.core.handlers.finishing import move_on
from scheduler.core.handlers.jobs.graphs import give_up
from scheduler.core.model.effects import DropJob, Effects
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState


def cancel(state: State, job: JobRow, why: str, now: float, out: Effects) -> None:
    """End a live job early, with its parts."""
    give_up(state, job)
    end_early(job, JobState.CANCELLED, why, out)
    for child in job.children.values():
        if not child.over:
            end_early(child, JobState.CANCELLED, "its job was cancelled", out)
            move_on(state, child, now, out, write=True)
    move_on(state, job, now, out, write=True)


def begin_levels(state: State, job: JobRow, now: float, out: Effects) -> None:
    """A new leader: an older scheduler that led in between has left a job when its reduces were
    due."""
    if job.spec.reduce is not None and not job.finished:
        advance(state, job, now, out)


def dropped(job: JobRow) -> DropJob:
    """What deletes the records of a job and of its parts: levels of reduces, arrays of a graph."""
    last = job.id if job.spec.reduce is None else offset_id(job.id, MOST_LEVELS)
    if job.members is not None and job.members.arrays:
        last = graph_task(job.id, job.members.graph - 1)
    return DropJob(job.queue.name, job.id, last)
