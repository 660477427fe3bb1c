"""`bin_pack`: the fullest node that has a free slot, so that others stay empty.

For clusters that scale down, and for large tasks, which need a node with much room. Best fit, as in
bin packing: how full a node is, the fullest of its slots, cores and memory says. Where no node has
a free slot, tasks wait on nodes, and the least loaded one is chosen.
"""

from __future__ import annotations

from scheduler.core.model.rows import NodeRow
from scheduler.core.placement.strategies.least_loaded import load
from scheduler.core.placement.strategies.ranked import Ranked


def fullness(node: NodeRow) -> float:
    """The share of its slots, cores or memory that is taken, whichever is greatest."""
    allocation = node.allocation
    return max(
        len(allocation.rows) / max(node.slots, 1),
        allocation.cpu / node.cpu if node.cpu else 0.0,
        allocation.memory / node.memory if node.memory else 0.0,
    )


def _rank(node: NodeRow) -> tuple[int, float]:
    if len(node.allocation.rows) < node.slots + node.stats.yielded:
        return 0, -fullness(node)
    return 1, load(node)


class BinPack(Ranked):
    """The nodes by how full they are."""

    def __init__(self, nodes: list[NodeRow]) -> None:
        super().__init__(nodes, _rank)
