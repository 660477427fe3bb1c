"""Why a node does not take a task: the filters of placement, each with a plain sentence. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from quorate.runtime.ids import NodeName
from quorate.runtime.sizes import plural, size_text
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.place_rules import (
    NODE_LABEL,
    Rules,
    broken_apart,
    broken_label,
    broken_near,
    not_tolerated,
)
from scheduler.core.placement.choosing import taints_of
from scheduler.core.placement.reservation import keeps_from
from scheduler.core.placement.room import CPU_ROUNDING, fits, fits_beside
from scheduler.core.values import BLOB_STORE, NO_NEEDS, Needs


class Filter(IntEnum):
    """Why a node does not take a task (`quorate.v1.NodeFilter`)."""

    NONE = 1
    DISCONNECTED = 2
    SUSPECT = 3
    CORDONED = 4
    DRAINING = 5
    DISK = 6
    CPU = 7
    MEMORY = 8
    COUNTER = 9
    SLOTS = 10
    RESOURCES = 11
    SCALING_DOWN = 12
    LABELS = 13
    TAINT = 14
    NEAR = 15
    APART = 16
    PLUGIN = 17
    RESERVED = 18


# Those that pass by themselves: the node could take the task.
BUSY: Final = frozenset(
    (
        *(Filter.NONE, Filter.SLOTS, Filter.RESOURCES, Filter.SCALING_DOWN),
        *(Filter.NEAR, Filter.APART, Filter.RESERVED),
    )
)


class Refused(NamedTuple):
    """Why a node does not take the task."""

    node: NodeName
    filter: Filter
    sentence: str


def what_refuses(state: State, node: NodeRow, row: TaskRow) -> Refused:
    """What placement says of a node for a task: its first filter that refuses."""
    found, words = _filter(state, node, row)
    return Refused(node.name, found, f"node {node.name} {words}")


def _filter(state: State, node: NodeRow, row: TaskRow) -> tuple[Filter, str]:
    control, needs = state.control(node.name), row.needs
    if node.suspect_since:
        return Filter.SUSPECT, "may be gone: its lease has ended"
    if not node.connected:
        return Filter.DISCONNECTED, "has no session with the leader"
    if control.draining:
        return Filter.DRAINING, "is being drained"
    if control.cordoned:
        return Filter.CORDONED, "is cordoned"
    if node.stats.disk_error:
        return Filter.DISK, f"cannot write to its disk ({node.stats.disk_error})"
    if (taint := not_tolerated(taints_of(state, node), row.rules)) is not None:
        return Filter.TAINT, f"has the taint {taint}, which the task does not tolerate"
    if row.rules is not None and (broken := _broken(row.rules, node)) is not None:
        return broken
    if needs is not NO_NEEDS and (lack := _lack(node, needs)) is not None:
        return lack
    if row.queue.place.filters and (why := state.plugins.rejection(row, node)):
        return Filter.PLUGIN, f"is refused by {why}"
    room = fits_beside if row.replica is not None else fits
    if not room(node, needs):
        if row.replica is None and len(node.allocation.rows) >= node.credit:
            return Filter.SLOTS, f"is full with {plural(len(node.allocation.rows), 'attempt')}"
        return Filter.RESOURCES, "has given the resources that the task needs to others"
    held = state.reservation
    if held is not None and keeps_from(held, node, row):
        return Filter.RESERVED, f"has free room held back for the reservation of {held.row.id}"
    if node.name in state.scaling_down:
        return Filter.SCALING_DOWN, "may be ended by a scale-down"
    return Filter.NONE, "has room"


def _broken(rules: Rules, node: NodeRow) -> tuple[Filter, str] | None:
    if (rule := broken_label(rules, node.name, node.labels)) is not None:
        value = node.labels.get(rule.label, node.name if rule.label == NODE_LABEL else None)
        has = f"{rule.label}={value}" if value is not None else f"no label {rule.label}"
        return Filter.LABELS, f"has {has}, and the task needs {rule}"
    running = node.allocation.labels
    if (near := broken_near(rules, running)) is not None:
        return Filter.NEAR, f"runs no task with the label {'='.join(near.label)}"
    if (apart := broken_apart(rules, running)) is not None:
        why = "each of these is on another node" if apart.distinct else "the task must be apart"
        return Filter.APART, f"runs a task with the label {'='.join(apart.label)}, and {why}"
    return None


def _lack(node: NodeRow, needs: Needs) -> tuple[Filter, str] | None:
    if needs.cpu > node.cpu + CPU_ROUNDING:
        return Filter.CPU, f"has {node.cpu:g} cores, and the task needs {needs.cpu:g}"
    if needs.memory > node.memory:
        has, wanted = size_text(node.memory), size_text(needs.memory)
        return Filter.MEMORY, f"has {has} of memory, and the task needs {wanted}"
    for name, amount in needs.counters:
        if amount > node.counters.get(name, 0):
            there = node.counters.get(name, 0)
            if name == BLOB_STORE and not there:
                return Filter.COUNTER, "has no blob store for the task's large arguments"
            return Filter.COUNTER, f"has {there} {name}, and the task needs {amount}"
    return None
