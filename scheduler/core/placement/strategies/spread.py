"""`spread`: the tasks of a queue evenly over nodes, or over the values of a label such as `zone`.

It counts the queue's own attempts alone: what other queues run decides ties. Nodes without the
label are one place together. The counts are made at the beginning of a pass: a look at each attempt
on the nodes, for queues that spread.
"""

from __future__ import annotations

from scheduler.core.model.rows import NodeRow, QueueRow
from scheduler.core.placement.strategies.least_loaded import load
from scheduler.core.placement.strategies.ranked import Ranked


class Spread(Ranked):
    """The nodes by how many attempts of the queue are at their place.

    Args:
        label: of nodes; "": each node is a place of its own.
    """

    def __init__(self, queue: QueueRow, nodes: list[NodeRow], label: str) -> None:
        self._label = label
        self._counts: dict[str, int] = {}
        for node in nodes:
            place = self._place(node)
            own = sum(1 for row in node.allocation.rows.values() if row.queue is queue)
            self._counts[place] = self._counts.get(place, 0) + own
        super().__init__(nodes, self._crowd)

    def _place(self, node: NodeRow) -> str:
        return node.labels.get(self._label, "") if self._label else node.name

    def _crowd(self, node: NodeRow) -> tuple[int, float]:
        return self._counts[self._place(node)], load(node)

    def assigned(self, node: NodeRow) -> None:
        self._counts[self._place(node)] += 1
