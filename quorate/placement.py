"""What filters and scores of placement see: for authors of plug-ins (docs/placement.md).

    from quorate.placement import Node, Task

    def licensed(task: Task, node: Node) -> bool | str:      # group quorate.placement_filters
        return "licensed" in node.labels or "the node has no licence"

    def cheapest(task: Task, node: Node) -> float:           # group quorate.placement_scores
        return -float(node.labels.get("price", "1"))

They run in the leader, between its other work: a call has 20 ms, and all calls of a plug-in have
100 ms of each second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

FILTERS: Final = "quorate.placement_filters"
"""The group of entry points that are filters."""
SCORES: Final = "quorate.placement_scores"
"""The group of entry points that are scores."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task that waits, or a job whose subtasks wait."""

    id: str
    queue: str
    priority: int
    labels: Mapping[str, str]
    fairness_key: str
    affinity_key: str
    cpu: float
    """Cores that an attempt needs."""
    memory: int
    """Bytes."""
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Node:
    """A node that has room, with what its attempts have taken."""

    name: str
    labels: Mapping[str, str]
    slots: int
    attempts: int
    """Assigned and not finished."""
    cpu: float
    cpu_taken: float
    memory: int
    """Bytes."""
    memory_taken: int
    counters: Mapping[str, int]
    counters_taken: Mapping[str, int]
    cpu_load: float
    """Share of the machine's cores in use, 0 to 1, as it last reported."""


Filter = Callable[[Task, Node], bool | str]
"""Whether the node may run the task: True, or False, or a text that says why not."""
Score = Callable[[Task, Node], float]
"""The node with the highest score is chosen. Finite."""
