"""Subtasks that a caller has cancelled while they are out on a node. Pure.

    out --cancelled by a caller--> out, in `Chunk.cancelled`: on record, then the agent is asked
        --it ended, or was given back, or its chunk ended, or its node was lost--> cancelled
        --it had succeeded before that came--> succeeded

The rest of the chunk goes on. An agent that does not know how to end a subtask gives back what it
has not begun; what it has begun ends by itself, or is ended when its chunk has nothing else left.
"""

from __future__ import annotations

from scheduler.core.arrays.chunk import Chunk
from scheduler.core.arrays.positions import all_ranges
from scheduler.core.model.effects import Effects, EndAttempt, EndSubtasks, RecallChunk
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.model.state import State


def cancel_out(job: JobRow, chunk: Chunk, number: int, mask: int) -> None:
    """Cancelled subtasks are out no longer, and are cancelled."""
    chunk.remove(number, mask)
    job.array.take_back(number, mask)
    job.array.cancel(number, mask)


def order(state: State, row: TaskRow, out: Effects) -> None:
    """Have the agent end the subtasks of a chunk that are cancelled."""
    chunk = row.chunk
    assert chunk is not None
    if chunk.left == chunk.cancelled:
        out.after.append(EndAttempt(row.instance, row.id, row.attempt))
    elif _ends_subtasks(state, row):
        ranges = all_ranges(chunk.cancelled)
        out.after.append(EndSubtasks(row.instance, row.id, row.attempt, ranges))
    else:
        out.after.append(RecallChunk(row.instance, row.id, row.attempt))


def on_reported(state: State, row: TaskRow, out: Effects) -> None:
    """An agent that ends no subtasks may have nothing left but what is cancelled."""
    chunk = row.chunk
    assert chunk is not None
    if chunk.left == chunk.cancelled and not _ends_subtasks(state, row):
        out.after.append(EndAttempt(row.instance, row.id, row.attempt))


def _ends_subtasks(state: State, row: TaskRow) -> bool:
    node = state.nodes.get(row.node)
    return node is not None and node.instance == row.instance and node.ends_subtasks
