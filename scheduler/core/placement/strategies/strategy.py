"""What a placement strategy is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.values import Needs

# Whether a node has room for needs.
Room = Callable[[NodeRow, Needs], bool]


class Strategy(Protocol):
    """Chooses among the nodes of one pass."""

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        """A node that `fits`, or None."""

    def assigned(self, node: NodeRow) -> None:
        """The choice was taken: account for it."""
