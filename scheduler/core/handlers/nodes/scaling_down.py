"""Nodes that a scale-down may end: marked while idle, taken back when there is work for them.

```
 idle --LeavingDecided--> leaving --LeavingDecided, or work that no other node takes--> idle
                             |
                             +--the process is lost, or another takes its name--> gone
```

A mark belongs to an agent process and is a record of the log: the next leader keeps it. A marked
node holds nothing, and placement gives it nothing: `scheduler.core.placement.pipeline` takes a mark
back first, in the same step in which it gives the node work. So a mark can never be on a node that
works, whatever raced with it. Who is to be marked `scheduler.autoscaling.surplus` decides; here is
only what must hold whoever decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.model.effects import DropScalingDown, Effects, OrderScaleDown, PutScalingDown
from scheduler.core.model.events import ScaleDownDecided
from scheduler.core.model.rows import NodeRow, ScalingDown
from scheduler.core.model.state import State

# Changes of one event: its writes are one Txn, and the smallest that may be configured has 8.
CHANGES_AT_ONCE: Final = 4


def decided(
    mark: Iterable[tuple[NodeName, InstanceId]], back: Iterable[tuple[NodeName, InstanceId]]
) -> list[ScaleDownDecided]:
    """The events that mark nodes and take marks back, of at most CHANGES_AT_ONCE changes each.

    Those that are taken back come first.
    """
    changes = [(True, *each) for each in back] + [(False, *each) for each in mark]
    events = []
    for start in range(0, len(changes), CHANGES_AT_ONCE):
        some = changes[start : start + CHANGES_AT_ONCE]
        events.append(
            ScaleDownDecided(
                mark=tuple(each[1:] for each in some if not each[0]),
                back=tuple(each[1:] for each in some if each[0]),
            )
        )
    return events


def on_scale_down_decided(state: State, event: ScaleDownDecided, now: float, out: Effects) -> None:
    """Mark those that are idle still, and take back the others; what is not so any more is left."""
    for name, instance in event.back:
        mark = state.scaling_down.pop(name, None)
        if mark is not None and mark.instance != instance:
            state.scaling_down[name] = mark
            continue
        # Also without a mark: `on_elected` has forgotten those whose records go here.
        out.writes.append(DropScalingDown(name))
        out.after.append(OrderScaleDown(name, instance, scaling_down=False))
    for name, instance in event.mark:
        node = state.nodes.get(name)
        if (
            node is None
            or node.instance != instance
            or node.allocation.rows
            or name in state.scaling_down
        ):
            continue
        state.scaling_down[name] = row = ScalingDown(instance, now)
        out.writes.append(PutScalingDown(name, row))
        out.after.append(OrderScaleDown(name, instance, scaling_down=True))


def take_back(state: State, name: NodeName, out: Effects) -> None:
    """The node is one like the others again. One write and one effect."""
    mark = state.scaling_down.pop(name)
    out.writes.append(DropScalingDown(name))
    out.after.append(OrderScaleDown(name, mark.instance, scaling_down=False))


def process_gone(state: State, node: NodeRow, out: Effects) -> None:
    """The process is lost: its mark goes.

    The sessions must know: the same process may register again before they look who is there.
    """
    if node.name in state.scaling_down:
        del state.scaling_down[node.name]
        out.writes.append(DropScalingDown(node.name))
        out.after.append(OrderScaleDown(node.name, node.instance, scaling_down=False))


def on_elected(state: State, out: Effects) -> None:
    """Keep the marks of processes that are there and idle; drop the others.

    The others: lost while nobody led, come back with a backup, or given work by a leader of a
    version that knows no marks.
    """
    void = [
        (name, mark.instance)
        for name, mark in state.scaling_down.items()
        if (node := state.nodes.get(name)) is None
        or node.instance != mark.instance
        or node.allocation.rows
    ]
    for name, _ in void:
        del state.scaling_down[name]
    for name, mark in state.scaling_down.items():
        # Longer, as a rule; this much is on record.
        state.nodes[name].allocation.idle_since = mark.since
    out.then.extend(decided((), void))
