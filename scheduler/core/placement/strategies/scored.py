"""The node with the highest score of a plug-in. Ties go by load, then by name.

It asks for the score of each node that has room, for each task: as linear in nodes as a task that
fits nowhere. The plug-in is a function that came from outside; `scheduler.core.model.plugins` says
what it may do.
"""

from __future__ import annotations

from scheduler.core.model.plugins import Score
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.placement.strategies.least_loaded import load
from scheduler.core.placement.strategies.strategy import Room


class Scored:
    """The nodes, in no order."""

    def __init__(self, nodes: list[NodeRow], score: Score) -> None:
        self._nodes = nodes
        self._score = score

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        room = [node for node in self._nodes if fits(node, row.needs)]
        if len(room) < 2:
            return room[0] if room else None
        score = self._score
        return min(room, key=lambda node: (-score(row, node), load(node), node.name))

    def assigned(self, node: NodeRow) -> None:
        """Nothing to do: scores are asked for anew."""
