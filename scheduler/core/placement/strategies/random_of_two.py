"""`random_of_two`: the less loaded of two nodes that are drawn at random.

The power of two choices (Mitzenmacher 2001): nearly as even as the least loaded of all, and a
choice costs the same however many nodes there are. The draw is a hash of the task's id: the same
step makes the same choice on every leader.
"""

from __future__ import annotations

from hashlib import blake2b

from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.placement.strategies.least_loaded import load
from scheduler.core.placement.strategies.strategy import Room


class RandomOfTwo:
    """The nodes in the order of their names."""

    def __init__(self, nodes: list[NodeRow]) -> None:
        self._nodes = sorted(nodes, key=lambda node: node.name)

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        nodes = self._nodes
        if not nodes:
            return None
        drawn = blake2b(row.id.encode(), digest_size=16).digest()
        first = int.from_bytes(drawn[:8]) % len(nodes)
        second = int.from_bytes(drawn[8:]) % len(nodes)
        two = [nodes[at] for at in (first, second) if fits(nodes[at], row.needs)]
        if two:
            return min(two, key=load)
        # Both are full: the next one that is not.
        for step in range(1, len(nodes)):
            node = nodes[(first + step) % len(nodes)]
            if fits(node, row.needs):
                return node
        return None

    def assigned(self, node: NodeRow) -> None:
        """Nothing to do: the draw does not depend on load."""
