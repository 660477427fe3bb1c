"""Why a task cannot start on any registered node, whatever else runs there. Pure.

A node is too small, or its agent cannot write to its disk and takes no work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quorate.runtime.ids import NodeName
from quorate.runtime.sizes import size_text
from scheduler.core.model.rows import NodeRow
from scheduler.core.values import BLOB_STORE, NO_NEEDS, Needs


def why_unplaceable(nodes: Mapping[NodeName, NodeRow], needs: Needs) -> str:
    """A sentence for people; empty when a registered node could start it, were it free."""
    if any(not node.stats.disk_error and _holds(node, needs) for node in nodes.values()):
        return ""
    if unwritable := [node for node in nodes.values() if _holds(node, needs)]:
        return _cannot_write(unwritable)
    if needs is NO_NEEDS:
        return ""
    if not nodes:
        return "the cluster has no nodes"
    lacks = list(_lacks(list(nodes.values()), needs))
    if not lacks:
        lacks = ["no node has all that the task needs together"]
    return f"{'; '.join(lacks)}: the task waits until such a node joins"


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
        elif amount > most_of:
            yield f"no node has {amount} {name} (the most is {most_of})"
