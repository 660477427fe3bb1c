"""Why a task cannot start on any registered node, whatever else runs there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from quorate.runtime.ids import NodeName
from scheduler.core.rows import NodeRow
from scheduler.core.values import NO_NEEDS, Needs

_SIZES: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def why_unplaceable(nodes: Mapping[NodeName, NodeRow], needs: Needs) -> str:
    """A sentence for people; empty when a registered node is large enough, were it free."""
    if needs is NO_NEEDS:
        return ""
    if not nodes:
        return "no node is registered"
    if any(_holds(node, needs) for node in nodes.values()):
        return ""
    lacks = list(_lacks(list(nodes.values()), needs))
    if not lacks:
        lacks = ["no registered node has all that it needs together"]
    return f"{'; '.join(lacks)}: it waits until such a node is registered"


def _holds(node: NodeRow, needs: Needs) -> bool:
    return (
        needs.cpu <= node.cpu + 1e-6
        and needs.memory <= node.memory
        and all(amount <= node.counters.get(name, 0) for name, amount in needs.counters)
    )


def _lacks(nodes: list[NodeRow], needs: Needs) -> Iterable[str]:
    cores = max(node.cpu for node in nodes)
    if needs.cpu > cores + 1e-6:
        yield f"no registered node has {needs.cpu:g} cores (at most {cores:g})"
    memory = max(node.memory for node in nodes)
    if needs.memory > memory:
        most = _size(memory)
        yield f"no registered node has {_size(needs.memory)} of memory (at most {most})"
    for name, amount in needs.counters:
        most_of = max(node.counters.get(name, 0) for node in nodes)
        if amount > most_of:
            yield f"no registered node has {amount} {name} (at most {most_of})"


def _size(value: float) -> str:
    unit = 0
    while value >= 1024 and unit < len(_SIZES) - 1:
        value /= 1024
        unit += 1
    return f"{value:.3g} {_SIZES[unit]}" if value < 1000 else f"{value:.0f} {_SIZES[unit]}"
