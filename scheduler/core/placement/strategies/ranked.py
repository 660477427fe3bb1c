"""A heap of nodes by a rank that moves while tasks are assigned."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

from quorate.runtime.ids import NodeName
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.placement.strategies.strategy import Room
from scheduler.core.values import NO_NEEDS


class Ranked:
    """The node with the lowest rank first; ties go to the name that sorts first.

    A node is ranked again when it comes to the front. So ranks may grow at any time. One that falls
    is seen late, unless its node is in front.

    Args:
        rank: of a node, as it is now: values that can be compared.
    """

    def __init__(self, nodes: list[NodeRow], rank: Callable[[NodeRow], Any]) -> None:
        self._rank = rank
        self._heap: list[tuple[Any, NodeName, NodeRow]] = [
            (rank(node), node.name, node) for node in nodes
        ]
        heapify(self._heap)

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        heap, rank = self._heap, self._rank
        aside = []
        found = None
        while heap:
            known, name, node = heap[0]
            now = rank(node)
            if now != known:
                heapreplace(heap, (now, name, node))
            elif fits(node, row.needs):
                found = node
                break
            elif len(node.allocation.rows) < node.credit or fits(node, NO_NEEDS):
                # Not for this task, but for others.
                aside.append(heappop(heap))
            else:
                heappop(heap)
        for entry in aside:
            heappush(heap, entry)
        return found

    def assigned(self, node: NodeRow) -> None:
        """Nothing to do: `choose` ranks again."""
