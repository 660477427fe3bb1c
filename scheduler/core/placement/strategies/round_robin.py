"""`round_robin`: each node in turn, by name; the turn goes on from pass to pass."""

from __future__ import annotations

from bisect import bisect_right

from scheduler.core.model.rows import NodeRow, QueueRow, TaskRow
from scheduler.core.placement.strategies.strategy import Room


class RoundRobin:
    """The nodes in a ring, entered behind the queue's last choice."""

    def __init__(self, queue: QueueRow, nodes: list[NodeRow]) -> None:
        self._queue = queue
        self._ring = sorted(nodes, key=lambda node: node.name)
        self._names = [node.name for node in self._ring]

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        start = bisect_right(self._names, self._queue.turn)
        for step in range(len(self._ring)):
            node = self._ring[(start + step) % len(self._ring)]
            if fits(node, row.needs):
                return node
        return None

    def assigned(self, node: NodeRow) -> None:
        self._queue.turn = node.name
