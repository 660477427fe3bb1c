"""The part of the state that is about nodes: their agents, and what operators asked of them."""

from __future__ import annotations

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.model.rows import Allocation, Control, LostNode, NodeRow, ScalingDown

_NO_CONTROL = Control()


class NodeState:
    """Nodes, and what was asked of them. A part of `State`, as which it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[NodeName, NodeRow] = {}
        self.controls: dict[NodeName, Control] = {}
        # Nodes that a scale-down may end.
        self.scaling_down: dict[NodeName, ScalingDown] = {}
        self.allocations: dict[InstanceId, Allocation] = {}
        # Nodes that were lost and have not come back: at most `lost.MOST`.
        self.lost: dict[NodeName, LostNode] = {}

    def allocation(self, instance: InstanceId) -> Allocation:
        """What `instance` runs; made when first asked for."""
        allocation = self.allocations.get(instance)
        if allocation is None:
            allocation = self.allocations[instance] = Allocation()
        return allocation

    def control(self, node: NodeName) -> Control:
        """What was asked of a node."""
        return self.controls.get(node, _NO_CONTROL)
