"""Nodes that were lost are remembered, until they are back or somebody dismisses them.

```
 registered --lost, not in good order--> LOST --registered again--> forgotten
                                           |--DismissNode---------> forgotten
                                           +--MOST others were lost since
```

The record is written in the step that declares the loss, so whoever leads next lists the node, too.
Nodes that end in good order are not lost: their agent said so before it ended (`NodeRow.ending`),
or they were empty and an operator, or a scale-down, had taken them out of service. Of an agent of
an earlier version, which says nothing, only a loss with work counts.
"""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import NodeName
from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import NODES_SCOPE, Answer, Call
from scheduler.core.model.answers import Done, ErrorKind, Rejection, no_node
from scheduler.core.model.effects import DropLostNode, Effects, PutLostNode, ReportLostNode
from scheduler.core.model.events import LostNodeReturned, NodeDismissAsked
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, LostAttempt, LostNode, NodeRow, TaskRow
from scheduler.core.model.state import State

# Lost nodes that are remembered, and attempts of each that are named.
MOST: Final = 1_000
_SOME: Final = 20
# Characters of the reason.
_WHY: Final = 500


def left_in_order(state: State, node: NodeRow) -> bool:
    """Whether the end of a node that is gone is no loss. To be asked before its marks go."""
    if node.ending:
        return True
    if node.allocation.rows:
        return False
    out_of_service = state.control(node.name).draining or node.name in state.scaling_down
    return out_of_service or not node.announces_end


def remember(state: State, node: NodeRow, why: str, now: float, out: Effects) -> None:
    """Put the loss on record, and forget the oldest one beyond MOST. Two writes at most."""
    lost = state.lost
    lost.pop(node.name, None)
    if len(lost) >= MOST:
        # Not the first of the mapping: a standby read them in the order of their names.
        oldest = min(lost.values(), key=lambda row: (row.since, row.name)).name
        del lost[oldest]
        out.writes.append(DropLostNode(oldest))
    rows = node.allocation.rows
    some = [_attempt(row) for row, _ in zip(rows.values(), range(_SOME), strict=False)]
    row = lost[node.name] = LostNode(
        node.name,
        node.instance,
        node.address,
        node.slots,
        node.cpu,
        node.memory,
        node.counters,
        node.labels,
        node.register_time,
        node.version,
        now,
        why[:_WHY],
        len(rows),
        tuple(some),
    )
    out.writes.append(PutLostNode(row))
    out.after.append(ReportLostNode(row))


def _attempt(row: TaskRow) -> LostAttempt:
    if row.job is not None:
        return LostAttempt(row.job.id, row.queue.name, row.attempt, job=True)
    return LostAttempt(row.id, row.queue.name, row.attempt)


def back(state: State, name: NodeName, out: Effects) -> None:
    """An agent has registered under the name."""
    if state.lost and state.lost.pop(name, None) is not None:
        out.writes.append(DropLostNode(name))


def on_elected(state: State, out: Effects) -> None:
    """Some may have come back while nobody led. One event each: a Txn holds few writes."""
    for name in state.lost:
        node = state.nodes.get(name)
        if node is not None and not node.suspect_since:
            out.then.append(LostNodeReturned(name))


def on_lost_node_returned(state: State, event: LostNodeReturned, now: float, out: Effects) -> None:
    node = state.nodes.get(event.node)
    if node is not None and not node.suspect_since:
        back(state, event.node, out)


def _refuse(state: State, limits: Limits, event: NodeDismissAsked) -> Rejection | None:
    if event.node in state.lost:
        return None
    if event.node not in state.nodes:
        return no_node(event.node)
    return Rejection(
        ErrorKind.PRECONDITION,
        "NODE_NOT_LOST",
        f"node {event.node!r} is not lost; only a lost node can be dismissed",
        "node",
        event.node,
    )


def _dismiss(
    state: State, limits: Limits, event: NodeDismissAsked, now: float, out: Effects
) -> Answer:
    del state.lost[event.node]
    out.writes.append(DropLostNode(event.node))
    audit.note(state, limits, out, event.request, now, "node", event.node)
    return Answer(Done())


def _dismissed(state: State, event: NodeDismissAsked, known: DedupRow) -> Done:
    return Done()


on_node_dismiss_asked = Call(NODES_SCOPE, _refuse, _dismiss, _dismissed)
