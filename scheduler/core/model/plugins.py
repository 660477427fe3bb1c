"""Filters and scores that come from outside this package, by name. PURE.

Whoever drives the machine hands them over (`State.plugins`); the core only calls them. A filter
gives "" or why the node does not take the task. A score gives a finite number. Neither raises,
neither blocks for longer than a bound: `scheduler.engine.plugins` sees to that.

A filter whose name nobody knows here refuses every node: a queue that asks for it has a reason, and
a scheduler without the plug-in cannot tell where its tasks may run. An unknown score leaves the
choice to the queue's strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scheduler.core.model.rows import NodeRow, TaskRow

Filter = Callable[[TaskRow, NodeRow], str]
Score = Callable[[TaskRow, NodeRow], float]


@dataclass(frozen=True, slots=True)
class Plugins:
    """The filters and scores of this scheduler, by name."""

    filters: Mapping[str, Filter] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)

    def rejection(self, row: TaskRow, node: NodeRow) -> str:
        """Why the first filter of the task's queue refuses a node; "" when none does."""
        for name in row.queue.place.filters:
            found = self.filters.get(name)
            if found is None:
                return f"the leader has no filter {name!r}"
            if why := found(row, node):
                return f"filter {name!r}: {why}"
        return ""
