"""Chunks given to a node, and what a node has not begun of them asked back. Pure."""

from __future__ import annotations

from collections.abc import Callable

from quorate.runtime.ids import TaskId, offset_id
from scheduler.core.handlers import start_limits
from scheduler.core.model.effects import Effects, PutChunk, PutJob, RecallChunk, StartAttempt
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.permits import has_rate
from scheduler.core.model.rows import JobRow, NodeRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.place_rules import Rules

# Work, in seconds, for which it is worth to ask for a chunk's rest; also how long a chunk must have
# been silent for that where it is not known how long its subtasks take.
_WORTH = 0.02
# Chunks that are recalled in one step.
_RECALLED_AT_ONCE = 64


def give(
    state: State,
    entry: TaskRow,
    node: NodeRow,
    slots: int,
    chunk_id: TaskId,
    now: float,
    out: Effects,
) -> TaskRow:
    """Give some pending subtasks of the job of `entry` to a node.

    Args:
        slots: of all nodes that may take some of it.

    Returns: the chunk.
    """
    job = entry.job
    assert job is not None
    rated = has_rate(entry, state.permits)
    # Each subtask takes a start of its own: one at a time, whenever there is one.
    size = 1 if rated else job.durations.chunk(job.array.pending, slots)
    row = moves.chunk_out(
        state,
        job,
        chunk_id,
        job.array.cut(size),
        node.name,
        node.instance,
        max(now, job.create_time),
    )
    if rated:
        start_limits.charge(state, row, now, out)
    out.writes.append(PutChunk(row))
    if job.member is not None:
        job_begins(job.member.job, now, out)
    out.after.append(StartAttempt(row, row.attempt, node.instance))
    moves.account(state, job)
    return row


def job_begins(job: JobRow, now: float, out: Effects) -> None:
    """A task that belongs to a job is given to a node: of a graph, the first one begins it."""
    if not job.start_time:
        job.start_time, job.start_on_record = max(now, job.create_time), True
        out.writes.append(PutJob(job))


class ChunkIds:
    """The ids of the chunks of one step: neighbours of the first."""

    __slots__ = ("_first", "_given")

    def __init__(self, first: TaskId) -> None:
        self._first = first
        self._given = 0

    def next(self) -> TaskId:
        """One that was not given before."""
        self._given += 1
        return offset_id(self._first, self._given - 1)


def recall(
    state: State, now: float, free: int, suits: Callable[[Rules | None], bool], out: Effects
) -> None:
    """Slots are free and nothing waits for them: ask for the rest of the largest chunks.

    Args:
        free: slots; as many chunks are asked at most.
        suits: whether one of the slots is where tasks with these rules may run.
    """
    wanted = min(free, _RECALLED_AT_ONCE)
    found = [
        (work, row.id)
        for row in state.chunks.values()
        if (work := _worth_recalling(row, now)) > 0.0
        and row.job
        and suits(row.job.spec.rules)
        and start_limits.let_through(state, row, now)
    ]
    found.sort(reverse=True)
    for _, chunk_id in found[:wanted]:
        row = state.chunks[chunk_id]
        assert row.chunk is not None
        row.chunk.recalled = True
        out.recalls = (*out.recalls, RecallChunk(row.instance, row.id, row.attempt))


def _worth_recalling(row: TaskRow, now: float) -> float:
    """Seconds of work that another slot could take over; 0.0: leave it."""
    job, chunk = row.job, row.chunk
    assert job is not None
    assert chunk is not None
    limit = job.spec.max_parallel
    if chunk.recalled or row.cancel_requested or (limit and len(job.chunks) >= limit):
        return 0.0
    rest = chunk.size - 1
    if rest <= 0:
        return 0.0
    silent = now - chunk.heard
    work = rest * max(job.durations.seconds, 0.0)
    if work >= _WORTH:
        return work
    # What it runs takes longer than expected.
    return silent * rest if silent >= _WORTH else 0.0


def recall_all(job: JobRow, out: Effects) -> None:
    """The job is paused: what its nodes have not begun is wanted back."""
    for row in job.chunks.values():
        assert row.chunk is not None
        if row.chunk.size > 1:
            row.chunk.recalled = True
            out.after.append(RecallChunk(row.instance, row.id, row.attempt))
