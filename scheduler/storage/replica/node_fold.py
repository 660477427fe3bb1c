"""Folds the records of nodes: see `scheduler.storage.replica.fold`.

Agents write their registrations themselves, so these come in no order with the log. A node whose
lease has ended is kept as a suspect, until the log says that it is lost, or until it holds nothing
and has left in good order: whoever leads next has to ask for what it runs, and to put a loss on
record that no leader was there for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.handlers.nodes.lost import left_in_order
from scheduler.core.model.rows import NodeRow
from scheduler.core.model.state import State
from scheduler.storage import records


class NodeFold:
    """The part of a fold that is about nodes.

    Args:
        state: the one that is folded into; another one after each reset.
    """

    KINDS: Final = (b"controls", b"leaving", b"lost", b"nodes")

    def __init__(self, state: Callable[[], State]) -> None:
        self._current = state
        # By node, the process whose end is no loss to put on record: the mark that took it out of
        # service is gone, or its loss was dismissed. At most one of each node that is registered.
        self._accounted: dict[NodeName, InstanceId] = {}

    @property
    def _state(self) -> State:
        return self._current()

    def put_control(self, key: bytes, value: bytes, lease: int) -> None:
        """What operators ask of a node was written."""
        self._state.controls[_name(key)] = records.control(value)

    def put_scaling_down(self, key: bytes, value: bytes, lease: int) -> None:
        """A node was marked for a scale-down."""
        mark = records.scaling_down(value)
        self._state.observe(mark.since)
        self._state.scaling_down[_name(key)] = mark

    def put_lost(self, key: bytes, value: bytes, lease: int) -> None:
        """A node was lost. What it still runs is given back by records that follow."""
        state, name = self._state, _name(key)
        row = records.lost_node(name, value)
        state.observe(row.since)
        # Written again it is the newest, as on the leader.
        state.lost.pop(name, None)
        state.lost[name] = row
        self._settle(state.nodes.get(name))

    def put_node(self, key: bytes, value: bytes, lease: int) -> None:
        """An agent has registered."""
        name = NodeName(key.partition(b"/")[2].decode(errors="replace"))
        node = records.node_row(name, value, lease, self._state)
        if node is None:
            self._drop(name)
            return
        old = self._state.nodes.get(node.name)
        self._state.nodes[node.name] = node
        if old is not None and old.instance != node.instance:
            self._accounted.pop(name, None)
            self._drop_allocation(old.instance)

    def deleted(self, kind: bytes, name: NodeName) -> None:
        """A key of one of KINDS is gone."""
        state = self._state
        if kind == b"controls":
            state.controls.pop(name, None)
        elif kind == b"leaving":
            mark = state.scaling_down.pop(name, None)
            # Either the process is gone, whose key follows, or it was taken back: should it be
            # lost later, the leader says so.
            self._account(name, mark.instance if mark is not None else None)
        elif kind == b"lost":
            row = state.lost.pop(name, None)
            self._account(name, row.instance if row is not None else None)
        elif (node := state.nodes.get(name)) is not None:
            # Its lease ended.
            node.suspect_since, node.lease = state.last_instant or 1.0, 0
            self._settle(node)

    def run_was_on(self, name: NodeName, instance: InstanceId, now_on: InstanceId) -> None:
        """What was on a process (node, instance) is on the instance `now_on` now."""
        node = self._state.nodes.get(name)
        if instance != now_on and (node is None or node.instance != instance):
            self._drop_allocation(instance)
        self._settle(node)

    def _account(self, name: NodeName, instance: InstanceId | None) -> None:
        """The end of a process is no loss to put on record (any more)."""
        node = self._state.nodes.get(name)
        if node is not None and node.instance == instance:
            self._accounted[name] = node.instance
            self._settle(node)

    def _settle(self, node: NodeRow | None) -> None:
        """Nobody waits for a suspect that holds nothing and is lost or has left in good order."""
        if node is None or not node.suspect_since or node.allocation.rows:
            return
        lost = self._state.lost.get(node.name)
        known = self._accounted.get(node.name) == node.instance or (
            lost is not None and lost.instance == node.instance
        )
        if known or left_in_order(self._state, node):
            self._drop(node.name)

    def _drop(self, name: NodeName) -> None:
        node = self._state.nodes.pop(name, None)
        self._accounted.pop(name, None)
        if node is not None:
            self._drop_allocation(node.instance)

    def _drop_allocation(self, instance: InstanceId) -> None:
        """A process is gone. What it still runs is for the leader, this one or the next."""
        allocation = self._state.allocations.get(instance)
        if allocation is not None and not allocation.rows:
            del self._state.allocations[instance]


def _name(key: bytes) -> NodeName:
    return NodeName(key.partition(b"/")[2].decode())
