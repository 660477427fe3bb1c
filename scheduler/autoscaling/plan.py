"""How many nodes are wanted, from what there is and what is asked.

Counted in nodes, so that the answer is the number of replicas:

    what waits and fits into what the nodes have left  -> no node more
    what waits and does not                            -> so many nodes of the asked shape more
    nothing is missing                                 -> all nodes but those that may go

A node may go when it holds nothing, has held nothing for `idle_seconds`, and what waits does not
need it. Hence the answer is never below the number of nodes that hold work (unless `max_nodes`
is), grows with what waits and never shrinks by it, and falls only after nodes were idle.

Counted is only what nodes of this kind can run: their labels and taints, and the tasks that run on
them, allow it (`scheduler.core.place_rules`). Filters of queues are not looked at.

Tasks that need the same are counted together, and fractions of nodes are added up: the number is
an estimate of a bin packing, at most a little low where many kinds share few nodes. What then
still waits is counted again when the new nodes are full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Final

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.autoscaling.ask import Ask, Shape
from scheduler.core.model.rows import NO_INSTANCE
from scheduler.core.place_rules import (
    Label,
    Rules,
    Taint,
    broken_apart,
    broken_label,
    broken_near,
    not_tolerated,
)
from scheduler.core.values import BLOB_STORE, HOOKS, MESSAGES, Needs

# Sums of fractions are not exact: 3 x 1/3 may be a little more than 1.
_ROUNDING: Final = 1e-6
# Tasks on one node when nothing bounds them: replicas that ask for nothing.
MOST_TASKS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node that is scaled: what it offers and what of it is taken."""

    name: NodeName
    slots: int
    cpu: float
    memory: float
    counters: Mapping[str, int]
    # Attempts it holds (`slots_held`: those that take a slot) and what these take.
    held: int = 0
    slots_held: int = 0
    cpu_held: float = 0.0
    memory_held: int = 0
    counters_held: Mapping[str, int] = field(default_factory=dict)
    # Seconds since it held something; 0.0 while it does.
    idle: float = 0.0
    # Whether it takes new work: not cordoned, not draining.
    open: bool = True
    instance: InstanceId = NO_INSTANCE
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Taint] = ()
    # How many tasks with each label it holds.
    running: Mapping[Label, int] = field(default_factory=dict)
    # Seconds since it was marked as leaving; None while it is not.
    marked: float | None = None
    # Whether an operator drains it: its agent says by itself that it is not ready.
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """`count` tasks that wait, need the same and have the same rules; replicas of services take no
    slot."""

    needs: Needs
    count: int
    slotless: bool = False
    rules: Rules | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is, of what is asked about."""

    nodes: Sequence[NodeSeen] = ()
    demands: Sequence[Demand] = ()
    # Seconds since the oldest waiting task was created; 0.0 when none waits.
    oldest: float = 0.0
    # Seconds since a task of these queues ended.
    ended: float = inf


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer."""

    nodes: int
    # Whether there is work, or was within `idle_seconds`, or nodes are wanted all the same.
    active: bool
    # Seconds after which `active` may turn false though nothing happens; None: it will not.
    expires: float | None = None
    # The nodes that may go, whatever `min_nodes` says.
    spare: tuple[NodeName, ...] = ()


def plan(ask: Ask, seen: Seen) -> Plan:
    """How many nodes are wanted now."""
    # Those that hold work first, then those that were idle for the shortest time, then those that
    # are marked, the newest first: the others stay untouched and may go.
    nodes = sorted(seen.nodes, key=_turn)
    new = new_node(ask.shape, nodes)
    packed = [_pack(new, seen.demands, nodes, ask.tasks_per_node / ask.shape.slots)]
    if ask.oldest_age is not None and seen.oldest > ask.oldest_age:
        # In one round. What then fits nowhere leaves its place to others, so that this alone could
        # ask for less: who waits longer would get fewer nodes.
        packed.append(_pack(new, seen.demands, nodes, 1.0))
    missing = max(one.missing for one in packed)
    waiting = any(one.waiting for one in packed)
    busy = sum(1 for node in nodes if node.held)
    spare: tuple[NodeName, ...] = ()
    if missing > 0.0:
        wanted = len(nodes) + max(1, ceil(missing - _ROUNDING))
    else:
        spare = tuple(
            node.name
            for place, node in enumerate(nodes)
            if not node.held and _rested(ask, node)
            if all(one.left[place] >= 1.0 for one in packed)
        )
        wanted = len(nodes) - len(spare)
    working = bool(busy or waiting or ask.min_nodes)
    remaining = ask.idle_seconds - seen.ended
    return Plan(
        nodes=min(max(wanted, ask.min_nodes), ask.max_nodes),
        active=working or remaining > 0.0,
        expires=remaining if not working and remaining > 0.0 else None,
        spare=spare,
    )


@dataclass(frozen=True, slots=True)
class _Packing:
    """What becomes of the demands: the share of each node that is left, the new nodes that are
    missing, and whether there is work that nodes, old or new, can do."""

    left: Sequence[float]
    missing: float
    waiting: bool


def _pack(
    new: NodeSeen, demands: Sequence[Demand], nodes: Sequence[NodeSeen], rounds: float
) -> _Packing:
    """Each kind onto the first nodes that take it, worked off in `rounds`."""
    left = [1.0] * len(nodes)
    missing = 0.0
    waiting = False
    for demand in sorted(demands, key=_order):
        # Replicas run for good: no later round makes room for them.
        times = 1.0 if demand.slotless else rounds
        rest = float(demand.count)
        for place, node in enumerate(nodes):
            if rest <= 0.0:
                break
            room = _room(node, demand, times) if left[place] > 0.0 else 0
            if room:
                taken = min(rest, left[place] * room)
                left[place] = max(0.0, left[place] - taken / room)
                rest -= taken
        # 0: it would be of no use.
        a_new_one = _room(new, demand, times)
        waiting = waiting or rest < demand.count or a_new_one > 0
        if a_new_one and rest > _ROUNDING:
            missing += rest / a_new_one
    return _Packing(left, missing, waiting)


def _rested(ask: Ask, node: NodeSeen) -> bool:
    # It was when it was marked; a new leader does not know since when.
    return node.idle >= ask.idle_seconds or node.marked is not None


def _turn(node: NodeSeen) -> tuple[object, ...]:
    marked = node.marked is not None
    return node.held == 0, marked, node.marked or 0.0, node.idle, node.name


def _order(demand: Demand) -> tuple[object, ...]:
    # A fixed order of kinds: the answer grows with each count only if no kind changes its place.
    needs = demand.needs
    return demand.slotless, needs.cpu, needs.memory, needs.counters, repr(demand.rules or "")


def _room(node: NodeSeen, demand: Demand, rounds: float) -> int:
    """How many tasks of a kind the node takes beside what it holds, worked off in `rounds`."""
    if not node.open or not allows(node, demand.rules):
        return 0
    needs, held = demand.needs, node.counters_held
    wants = [
        (needs.cpu, node.cpu, node.cpu_held),
        (needs.memory, node.memory, node.memory_held),
        *(
            (amount, node.counters.get(name, 0), held.get(name, 0))
            for name, amount in needs.counters
        ),
    ]
    if not demand.slotless:
        wants.append((1, node.slots, node.slots_held))
    if demand.rules is not None and any(rule.distinct for rule in demand.rules.apart):
        wants.append((1, 1, 0))
    room = MOST_TASKS
    for amount, has, taken in wants:
        # What a node cannot hold at once does not fit in any number of rounds.
        if amount > has + _ROUNDING:
            return 0
        if amount and has != inf:
            room = min(room, int((has * rounds - taken + _ROUNDING) / amount))
    return max(0, room)


def allows(node: NodeSeen, rules: Rules | None) -> bool:
    """Whether labels and taints of the node, and what runs there, allow tasks with these rules."""
    if not_tolerated(node.taints, rules) is not None:
        return False
    return rules is None or not (
        broken_label(rules, node.name, node.labels)
        or broken_near(rules, node.running)
        or broken_apart(rules, node.running)
    )


def new_node(shape: Shape, nodes: Sequence[NodeSeen]) -> NodeSeen:
    """A node that is not there yet.

    What an agent can do beside running tasks is not part of the shape: hooks, messages, and large
    values. The new one can what one of those can that are there; where there is none, it can all.
    """
    able = {
        name: MOST_TASKS
        for name in (BLOB_STORE, HOOKS, MESSAGES)
        if not nodes or any(node.counters.get(name) for node in nodes)
    }
    return NodeSeen(
        NodeName(""),
        shape.slots,
        inf if shape.cpu is None else shape.cpu,
        inf if shape.memory is None else shape.memory,
        able | dict(shape.counters),
        labels=dict(shape.labels),
        taints=shape.taints,
    )
