"""What placement needs of the handlers: what may start, and what a start does. Pure.

Placement knows the handlers by this module alone; `make check` fails otherwise.
"""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.attempts import assign
from scheduler.core.handlers.chunks.giving import ChunkIds, give, recall
from scheduler.core.handlers.nodes.scaling_down import take_back
from scheduler.core.handlers.shares import admit, charge_chunk
from scheduler.core.handlers.start_limits import Hold, hold, room_of
from scheduler.core.model.effects import Effects
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.model.state import State

__all__ = [
    "ChunkIds",
    "Hold",
    "admit",
    "assign",
    "hold",
    "recall",
    "room_of",
    "start_chunk",
    "take_back",
]


def start_chunk(
    state: State,
    entry: TaskRow,
    node: NodeRow,
    slots: int,
    chunk_id: TaskId,
    now: float,
    out: Effects,
) -> None:
    """Give some pending subtasks of the job of `entry` to a node, and charge tenant and queue.

    Args:
        slots: of all nodes that may take some of it.
    """
    row = give(state, entry, node, slots, chunk_id, now, out)
    if state.slot_time.on or row.tenant or entry.queue.pending.tenants:
        charge_chunk(state, row, out)
