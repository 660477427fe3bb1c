"""Which subtask an id names, and which chunk a subtask is out with."""

from __future__ import annotations

import re
from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.arrays.array import Array
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskState

# The id of a subtask.
_SUBTASK: Final = re.compile(r"([0-9a-f]{32})\.(0|[1-9][0-9]{0,18})")


def find(state: State, name: str) -> tuple[JobRow | None, int]:
    """The job and the position that `<job>.<index>` names; no job, or -1, where there is none."""
    found = _SUBTASK.fullmatch(name)
    job = state.jobs.get(TaskId(found[1])) if found is not None else None
    if found is None or job is None:
        return None, -1
    place = int(found[2]) - job.spec.first_index
    position, rest = divmod(place, job.spec.index_step)
    return job, position if rest == 0 and 0 <= position < job.array.count else -1


def state_of(job: JobRow, position: int) -> TaskState:
    """The state of a subtask: PENDING also while it waits for its next attempt."""
    found = state_in(job.array, position)
    return TaskState.CANCELLED if found is TaskState.PENDING and job.over else found


def state_in(array: Array, position: int) -> TaskState:
    """The state of a subtask, whatever its job is in."""
    number, place = divmod(position, BLOCK)
    block = array.blocks.get(number)
    if block is not None:
        for mask, state in (
            (block.succeeded, TaskState.SUCCEEDED),
            (block.failed, TaskState.FAILED),
            (block.cancelled, TaskState.CANCELLED),
            (block.out, TaskState.RUNNING),
        ):
            if mask >> place & 1:
                return state
    return TaskState.PENDING


def chunk_of(job: JobRow, position: int) -> TaskRow | None:
    """The chunk that a subtask is out with."""
    number, place = divmod(position, BLOCK)
    for row in job.chunks.values():
        if row.chunk is not None and row.chunk.left.get(number, 0) >> place & 1:
            return row
    return None


def ahead_in_chunk(row: TaskRow, position: int) -> int:
    """Subtasks of a chunk that go before one of it, as far as the node has reported."""
    assert row.chunk is not None
    number, place = divmod(position, BLOCK)
    before = sum(mask.bit_count() for at, mask in row.chunk.left.items() if at < number)
    return before + (row.chunk.left.get(number, 0) & ((1 << place) - 1)).bit_count()


def began(row: TaskRow, position: int) -> float:
    """Since when a chunk runs a subtask, as far as its node has reported; 0.0: it has not begun."""
    assert row.chunk is not None
    if row.start_time <= 0.0 or ahead_in_chunk(row, position):
        return 0.0
    # The one before it ended at the last report, or a little later.
    return max(row.start_time, row.chunk.heard) if row.chunk.reported else row.start_time
