"""Why a task cannot start on any registered node, whatever else runs there. Pure.

A node is too small, has other labels or a taint, or its agent cannot write to its disk and takes no
work. Rules about other tasks are left out: those come and go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from quorate.runtime.sizes import size_text
from scheduler.core.model.rows import NodeRow
from scheduler.core.model.state import State
from scheduler.core.place_rules import Rules, not_tolerated
from scheduler.core.placement.choosing import lets, taints_of
from scheduler.core.values import BLOB_STORE, HOOKS, MESSAGES, NO_NEEDS, Needs


class Wanted(NamedTuple):
    """What tasks ask of a node."""

    needs: Needs
    rules: Rules | None = None


def why_unplaceable(state: State, needs: Needs, rules: Rules | None = None) -> str:
    """A sentence for people; empty when a registered node could start it, were it free."""
    if any(
        not node.stats.disk_error and _holds(node, needs) and lets(state, node, rules)
        for node in state.nodes.values()
    ):
        return ""
    nodes = list(state.nodes.values())
    if not nodes:
        return "" if needs is NO_NEEDS and rules is None else "the cluster has no nodes"
    allowed = [node for node in nodes if lets(state, node, rules)]
    if not allowed:
        return f"{_unlike(state, nodes, rules)}: the task waits until such a node joins"
    if unwritable := [node for node in allowed if _holds(node, needs)]:
        return _cannot_write(unwritable)
    lacks = list(_lacks(allowed, needs))
    if not lacks:
        lacks = ["no node has all that the task needs together"]
    return f"{'; '.join(lacks)}: the task waits until such a node joins"


def _unlike(state: State, nodes: Sequence[NodeRow], rules: Rules | None) -> str:
    """Why the labels and taints of no node allow the task."""
    for rule in rules.nodes if rules is not None else ():
        if not rule.preferred and not any(rule.holds(node.name, node.labels) for node in nodes):
            return f"no node has {rule}"
    taint = not_tolerated(taints_of(state, nodes[0]), rules)
    if taint is not None and all(not_tolerated(taints_of(state, one), rules) for one in nodes):
        return f"every node has a taint that the task does not tolerate, such as {taint}"
    return "no node has labels and taints that allow the task"


def _cannot_write(nodes: list[NodeRow]) -> str:
    first, more = nodes[0], len(nodes) - 1
    which = f"{first.name} and {more} more nodes" if more else f"node {first.name}"
    # They may have several reasons: that of the first one.
    why = f"cannot write to {'their disks' if more else 'its disk'} ({first.stats.disk_error})"
    return (
        f"{which} {why} and {'take' if more else 'takes'} no work: the task waits until a node can"
    )


def _holds(node: NodeRow, needs: Needs) -> bool:
    return needs is NO_NEEDS or (
        needs.cpu <= node.cpu + 1e-6
        and needs.memory <= node.memory
        and all(amount <= node.counters.get(name, 0) for name, amount in needs.counters)
    )


def _lacks(nodes: list[NodeRow], needs: Needs) -> Iterable[str]:
    cores = max(node.cpu for node in nodes)
    if needs.cpu > cores + 1e-6:
        yield f"no node has {needs.cpu:g} cores (the most is {cores:g})"
    memory = max(node.memory for node in nodes)
    if needs.memory > memory:
        most = size_text(memory)
        yield f"no node has {size_text(needs.memory)} of memory (the most is {most})"
    for name, amount in needs.counters:
        most_of = max(node.counters.get(name, 0) for node in nodes)
        if name == BLOB_STORE and not most_of:
            yield "no node has a blob store (--blob-url) for the task's large arguments"
        elif name == HOOKS and not most_of:
            yield "no node has an agent that runs hooks; upgrade one"
        elif name == MESSAGES and not most_of:
            yield "no node has an agent that runs tasks made from messages; upgrade one"
        elif amount > most_of:
            yield f"no node has {amount} {name} (the most is {most_of})"
