"""What of a node is free: credit, slots, resources; and whether it takes new work at all. PURE."""

from __future__ import annotations

from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.placement.strategies.strategy import Room
from scheduler.core.values import NO_NEEDS, Needs

# Sums of shares of a core are not exact: 1.1 + 2.2 is a little more than 3.3.
CPU_ROUNDING = 1e-6
# Chunks that a node has at once, for each slot.
CHUNKS_A_SLOT = 2


def fits(node: NodeRow, needs: Needs) -> bool:
    """Whether the node has credit, and free resources for `needs`."""
    return len(node.allocation.rows) < node.credit and (
        needs is NO_NEEDS or fits_beside(node, needs)
    )


def fits_slot(node: NodeRow, needs: Needs) -> bool:
    """Whether the node also has a free slot: no start of a rate limit is spent on waiting there."""
    return fits(node, needs) and node.slots + node.stats.yielded > len(
        node.allocation.rows
    ) - _replicas(node)


def _replicas(node: NodeRow) -> int:
    """Of what it holds: they take no slot."""
    rows = node.allocation.rows
    if len(rows) < node.slots:
        # As many as there may be: there is a slot anyway.
        return 0
    return sum(1 for row in rows.values() if row.replica is not None)


def fits_beside(node: NodeRow, needs: Needs) -> bool:
    """Whether the node has free resources for a replica, which takes no slot.

    The agent starts replicas beside whatever its slots hold, and then raises its credit by them.
    """
    allocation = node.allocation
    if needs is NO_NEEDS:
        return True
    return (
        allocation.cpu + needs.cpu <= node.cpu + CPU_ROUNDING
        and allocation.memory + needs.memory <= node.memory
        and all(
            allocation.counters.get(name, 0) + amount <= node.counters.get(name, 0)
            for name, amount in needs.counters
        )
    )


def fits_chunk(node: NodeRow, needs: Needs) -> bool:
    """Whether the node fits, and its agent runs chunks of arrays.

    One chunk runs in a slot and one waits behind it. The credit may be for a thousand tasks: while
    nobody knows how long a subtask takes, that would be a thousand chunks of one subtask each.
    """
    return (
        node.takes_chunks
        and node.allocation.chunks < CHUNKS_A_SLOT * node.slots + node.stats.yielded
        and fits(node, needs)
    )


def fits_chunk_slot(node: NodeRow, needs: Needs) -> bool:
    """As `fits_chunk`, in a slot that is free."""
    return node.takes_chunks and fits_slot(node, needs)


def fits_reduce(node: NodeRow, needs: Needs) -> bool:
    """As `fits_chunk`, where the agent also runs reduces."""
    return node.takes_reduces and fits_chunk(node, needs)


def fits_reduce_slot(node: NodeRow, needs: Needs) -> bool:
    """As `fits_reduce`, in a slot that is free."""
    return node.takes_reduces and fits_chunk_slot(node, needs)


def usable(state: State, node: NodeRow) -> bool:
    """Whether the node takes new work at all; an agent without credit takes none."""
    return open_to_work(state, node) and node.name not in state.scaling_down


def open_to_work(state: State, node: NodeRow) -> bool:
    """The same, also of a node that a scale-down may end."""
    control = state.control(node.name)
    return (
        node.connected
        and node.credit > 0
        and not node.suspect_since
        and not control.cordoned
        and not control.draining
    )


def room_for(row: TaskRow) -> Room:
    """What says whether a node has room for what waits."""
    if row.job is not None:
        return fits_reduce if row.job.level else fits_chunk
    return fits if row.replica is None else fits_beside
