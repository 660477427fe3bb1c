"""The nodes of one pass, and what chooses among them for a task.

A plain task goes by its queue's strategy, over the nodes without taints: that costs it nothing.
For each set of rules there is a strategy over the nodes whose labels and taints allow it, made when
the first such task is met in the pass. Rules about other tasks and the queue's filters are looked
at node by node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quorate.runtime.ids import QueueName
from scheduler.core.model.plugins import Plugins
from scheduler.core.model.rows import NodeRow, QueueRow, TaskRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.place_rules import (
    NO_RULES,
    Rules,
    Taint,
    broken_apart,
    broken_label,
    broken_near,
    not_tolerated,
)
from scheduler.core.placement.strategies.bin_pack import BinPack
from scheduler.core.placement.strategies.consistent_hash import ConsistentHash
from scheduler.core.placement.strategies.least_loaded import LeastLoaded
from scheduler.core.placement.strategies.random_of_two import RandomOfTwo
from scheduler.core.placement.strategies.round_robin import RoundRobin
from scheduler.core.placement.strategies.scored import Scored
from scheduler.core.placement.strategies.spread import Spread
from scheduler.core.placement.strategies.strategy import Room, Strategy
from scheduler.core.values import Needs, Placement


def taints_of(state: State, node: NodeRow) -> tuple[Taint, ...]:
    """Of its agent, and by operators."""
    control = state.controls.get(node.name)
    return node.taints if control is None else node.taints + control.taints


def lets(state: State, node: NodeRow, rules: Rules | None) -> bool:
    """Whether the labels and taints of a node allow tasks with these rules."""
    if not_tolerated(taints_of(state, node), rules) is not None:
        return False
    return rules is None or broken_label(rules, node.name, node.labels) is None


def may_run(state: State, node: NodeRow, row: TaskRow) -> bool:
    """Whether no taint, rule or filter keeps a task away from a node; its room is not looked at."""
    rules, running = row.rules, node.allocation.labels
    if not lets(state, node, rules):
        return False
    if rules is not None and (broken_near(rules, running) or broken_apart(rules, running)):
        return False
    return not (row.queue.place.filters and state.plugins.rejection(row, node))


def strategy_of(
    queue: QueueRow, nodes: list[NodeRow], plugins: Plugins, rules: Rules = NO_RULES
) -> Strategy:
    """What chooses among `nodes`: by the rules, or else by the queue."""
    kind, label = queue.placement, queue.place.spread_label
    if rules.strategy:
        kind, label = Placement(rules.strategy), rules.spread
    elif (score := plugins.scores.get(queue.place.score)) is not None:
        return Scored(nodes, score)
    match kind:
        case Placement.LEAST_LOADED:
            return LeastLoaded(nodes)
        case Placement.ROUND_ROBIN:
            return RoundRobin(queue, nodes)
        case Placement.CONSISTENT_HASH:
            return ConsistentHash(nodes)
        case Placement.BIN_PACK:
            return BinPack(nodes)
        case Placement.SPREAD:
            return Spread(queue, nodes, label)
        case Placement.RANDOM_OF_TWO:
            return RandomOfTwo(nodes)


class Choosing:
    """The strategies of one pass, each made when it is first asked for.

    Args:
        open_nodes: those that take new work; `room`: of these, those that have credit left.
    """

    def __init__(self, state: State, open_nodes: list[NodeRow], room: list[NodeRow]) -> None:
        self._state = state
        self._taints: Mapping[str, tuple[Taint, ...]] = {
            node.name: taints for node in open_nodes if (taints := taints_of(state, node))
        }
        self._open, self._room = open_nodes, room
        # For tasks that tolerate nothing: the same lists where no node has a taint.
        self.open_nodes: Final = self._untainted(open_nodes)
        self.nodes: Final = self._untainted(room)
        self._strategies: dict[tuple[QueueName, Rules], Strategy] = {}
        # Whether a task that has to be near another found none, and one with labels was assigned.
        self.near_waits = self.labels_came = False

    def _untainted(self, nodes: list[NodeRow]) -> list[NodeRow]:
        if not self._taints:
            return nodes
        return [node for node in nodes if node.name not in self._taints]

    def by_rules(self, queue: QueueRow, rules: Rules) -> Strategy:
        """What chooses among the nodes whose labels and taints allow a task with these rules."""
        strategy = self._strategies.get((queue.name, rules))
        if strategy is None:
            # Replicas take no credit.
            among = self._open if queue.name == SERVICES_QUEUE else self._room
            allowed = [
                node
                for node in among
                if not_tolerated(self._taints.get(node.name, ()), rules) is None
                and broken_label(rules, node.name, node.labels) is None
            ]
            strategy = strategy_of(queue, allowed, self._state.plugins, rules)
            self._strategies[queue.name, rules] = strategy
        return strategy

    def choose(self, strategy: Strategy, row: TaskRow, room: Room) -> NodeRow | None:
        """A node for a task with rules, or of a queue with filters."""
        rules = row.rules
        if rules is None:
            return strategy.choose(row, self._filtered(row, room, NO_RULES, preferred=False))
        if rules.prefers:
            wanted = self._filtered(row, room, rules, preferred=True)
            if (node := strategy.choose(row, wanted)) is not None:
                return node
        if not (rules.near or rules.apart or row.queue.place.filters):
            return strategy.choose(row, room)
        node = strategy.choose(row, self._filtered(row, room, rules, preferred=False))
        if node is None and rules.near:
            self.near_waits = True
        return node

    def _filtered(self, row: TaskRow, room: Room, rules: Rules, *, preferred: bool) -> Room:
        """`room`, and what depends on more than the labels and taints of a node."""
        plugins = self._state.plugins if row.queue.place.filters else None

        def fits(node: NodeRow, needs: Needs) -> bool:
            running = node.allocation.labels
            return (
                room(node, needs)
                and not (preferred and broken_label(rules, node.name, node.labels, preferred=True))
                and not broken_near(rules, running, preferred=preferred)
                and not broken_apart(rules, running, preferred=preferred)
                and not (plugins is not None and plugins.rejection(row, node))
            )

        return fits
