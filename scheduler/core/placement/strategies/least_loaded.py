"""`least_loaded`: the node with the least to do in relation to what it has.

Load is attempts a slot (placed but not finished, so it moves with every assignment) plus the live
shares of CPU and memory the node last reported. Ties go to the name that sorts first.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace

from quorate.runtime.ids import NodeName
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.placement.strategies.strategy import Room
from scheduler.core.values import NO_NEEDS


def load(node: NodeRow) -> float:
    """Attempts a slot + CPU share + memory share; about 0 for an idle node."""
    stats = node.stats
    memory = stats.memory_used / stats.memory_total if stats.memory_total else 0.0
    return len(node.allocation.rows) / max(node.slots, 1) + stats.cpu + memory


def _entry(node: NodeRow) -> tuple[float, NodeName, int, NodeRow]:
    """A node's place in the heap, with how many attempts it was computed for."""
    return load(node), node.name, len(node.allocation.rows), node


class LeastLoaded:
    """A heap of the nodes by load, kept up to date through one pass."""

    def __init__(self, nodes: list[NodeRow]) -> None:
        self._heap = [_entry(node) for node in nodes]
        heapify(self._heap)

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        heap = self._heap
        aside = []
        found = None
        while heap:
            _, _, attempts, node = heap[0]
            if len(node.allocation.rows) != attempts:
                # Something was placed there in this pass, by this strategy or another queue's.
                heapreplace(heap, _entry(node))
            elif fits(node, row.needs):
                found = node
                break
            elif len(node.allocation.rows) < node.credit or fits(node, NO_NEEDS):
                # Not for this task, but for others of the queue.
                aside.append(heappop(heap))
            else:
                heappop(heap)
        for entry in aside:
            heappush(heap, entry)
        return found

    def assigned(self, node: NodeRow) -> None:
        """Nothing to do: `choose` sees that the load has moved."""
