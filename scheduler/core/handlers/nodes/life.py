"""Nodes: registered, suspect, lost; in session, cordoned, drained.

A node is its name plus the instance id of its process. Attempts belong to the instance: when
another process registers under the name, what the old one ran is lost, even within its lease.

```
                 its key is gone, and it holds attempts
 REGISTERED ------------------------------------------> SUSPECT
     ^  |  <------- the same process registers again ---   |
     |  |                                                  |
     |  +-- another process registers, connection refused,-+--> LOST: its attempts are given back
     |      nobody answers for long enough (node_link)
     +-- a process registers
```

A lease that ended proves nothing about the process: etcd may have slept, and then all nodes' leases
end at once. A suspect gets no new work, and goes on with what it has: its reports count, and once
it has registered again nothing has happened. The links to the nodes say whether it is gone
(`NodeLost`). A suspect without an address (this leader never saw it registered) is given up when it
has not registered in time. A node that holds nothing has nothing to be waited for.

A lost node is remembered: `scheduler.core.handlers.nodes.lost`.
"""

from __future__ import annotations

from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.handlers import audit
from scheduler.core.handlers.attempts import began, end_if_unknown
from scheduler.core.handlers.chunks import cancelling
from scheduler.core.handlers.controls import suspension
from scheduler.core.handlers.jobs import upkeep as jobs_upkeep
from scheduler.core.handlers.nodes import lost, scaling_down
from scheduler.core.handlers.requests import NODES_SCOPE, Answer, Call
from scheduler.core.model import transitions
from scheduler.core.model.answers import Done, NodeControlled, Rejection, no_node
from scheduler.core.model.effects import (
    Effects,
    EndAttempt,
    OrderDrain,
    PutControl,
    PutQueue,
    RevokeNode,
    StartAttempt,
)
from scheduler.core.model.events import (
    AgentMisbehaved,
    AttemptLost,
    CreditReported,
    Elected,
    NodeControlAsked,
    NodeLeaseEnded,
    NodeLost,
    NodeRegistered,
    NodeWrittenOff,
    SessionClosed,
    SessionOpened,
    StatsReported,
)
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Allocation, Control, DedupRow, NodeRow, QueueRow
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.model.waits import put_off_until
from scheduler.core.values import Change, TaskState


def on_elected(state: State, event: Elected, now: float, out: Effects) -> None:
    """Sessions begin anew; what runs on processes whose leases ended is waited for."""
    for node in list(state.nodes.values()):
        node.connected = False
        node.credit = 0
        if node.suspect_since:
            node.suspect_since = now
            if not node.allocation.rows:
                why = "its lease ended while no scheduler led"
                out.then.append(NodeLost(node.name, node.instance, why))
        # A standby knows from the log when work ended, not when a node that had none came.
        node.allocation.idle_since = now
    if DEFAULT_QUEUE not in state.queues:
        row = state.queues[DEFAULT_QUEUE] = QueueRow(DEFAULT_QUEUE, now)
        out.writes.append(PutQueue(row))
    _hold_waits_to_their_length(state, now)
    for service in state.services:
        # Whatever the one before had begun: a look at each finds what is left to do.
        state.touch(service)
    lost.on_elected(state, out)
    scaling_down.on_elected(state, out)
    jobs_upkeep.on_elected(state, now, out)
    known = {node.instance: node.name for node in state.nodes.values()}
    # Of several processes of one node only the last can be there still.
    last_first = sorted(state.allocations.items(), key=_latest, reverse=True)
    for instance, allocation in last_first:
        if instance in known:
            continue
        if not allocation.rows:
            # Nobody writes off a process on a standby.
            del state.allocations[instance]
            continue
        name = next(iter(allocation.rows.values())).node
        if name in state.nodes:
            out.then.append(NodeLost(name, instance, "another process took its name"))
        else:
            state.nodes[name] = _absent(name, instance, allocation, now)


def _hold_waits_to_their_length(state: State, now: float) -> None:
    """What a leader ahead of time put off is not put off for as long as that is.

    Nothing is written: the record says the same to whoever leads next. When a caller wanted a task
    to begin (`not_before`) is left as it is.
    """
    late = [
        (row, until)
        for instant, task in state.timers
        if instant > now
        and (row := state.tasks.get(task)) is not None
        and row.state is TaskState.SCHEDULED
        and row.not_before == instant
        and (until := put_off_until(row, now)) < instant
    ]
    for row, until in late:
        transitions.reschedule(state, row, until)


def _latest(item: tuple[InstanceId, Allocation]) -> tuple[float, InstanceId]:
    instance, allocation = item
    return max((row.assign_time for row in allocation.rows.values()), default=0.0), instance


def _absent(name: NodeName, instance: InstanceId, allocation: Allocation, now: float) -> NodeRow:
    """A suspect of which this leader knows only what the log says: that it has attempts."""
    return NodeRow(name, instance, "", 0, 0.0, 0, {}, {}, 0.0, "", 0, allocation, now)


def on_node_registered(state: State, event: NodeRegistered, now: float, out: Effects) -> None:
    new = event.node
    old = state.nodes.get(new.name)
    if old is not None and old.instance == new.instance:
        # Written again by the same process: what the session knows stays.
        new.connected, new.credit, new.stats = old.connected, old.credit, old.stats
        new.failure = old.failure
    elif old is not None:
        scaling_down.process_gone(state, old, out)
        _lose(state, old.name, old.instance, "another process took its name", old.lease, out)
    new.suspect_since = 0.0
    new.allocation = state.allocation(new.instance)
    new.allocation.idle_since = new.allocation.idle_since or now
    state.nodes[new.name] = new
    lost.back(state, new.name, out)


def on_node_lease_ended(state: State, event: NodeLeaseEnded, now: float, out: Effects) -> None:
    node = _node(state, event.node, event.instance)
    if node is None:
        return
    if node.allocation.rows:
        node.suspect_since = node.suspect_since or now
        node.lease = 0
    else:
        out.then.append(NodeLost(event.node, event.instance, "its lease ended"))


def on_node_lost(state: State, event: NodeLost, now: float, out: Effects) -> None:
    node = state.nodes.get(event.node)
    lease = 0
    if node is not None and node.instance == event.instance:
        lease = node.lease
        if not lost.left_in_order(state, node):
            lost.remember(state, node, event.why, now, out)
        scaling_down.process_gone(state, node, out)
        # Forgotten before its attempts are given back: placement must not pick it again.
        del state.nodes[event.node]
    _lose(state, event.node, event.instance, event.why, lease, out)


def _lose(
    state: State, node: NodeName, instance: InstanceId, why: str, lease: int, out: Effects
) -> None:
    allocation = state.allocations.get(instance)
    if allocation is not None:
        why = f"node {node} was lost: {why}"
        out.then.extend(
            AttemptLost(row.id, row.attempt, instance, why) for row in allocation.rows.values()
        )
    out.then.append(NodeWrittenOff(node, instance, lease))


def on_node_written_off(state: State, event: NodeWrittenOff, now: float, out: Effects) -> None:
    """The loss is on record: only now its lease may be taken from it."""
    allocation = state.allocations.get(event.instance)
    node = state.nodes.get(event.node)
    # A process that lost its lease may have registered again meanwhile, under the same instance:
    # then the holding is in use.
    registered = node is not None and node.instance == event.instance
    if allocation is not None and not allocation.rows and not registered:
        del state.allocations[event.instance]
    out.after.append(RevokeNode(event.node, event.instance, event.lease))


def on_session_opened(state: State, event: SessionOpened, now: float, out: Effects) -> None:
    """Adopt what the agent runs, end what nobody knows, send again what never arrived."""
    node = _node(state, event.node, event.instance)
    if node is None:
        return
    listed = set(event.finished)
    for task, attempt, start_time in event.attempts:
        listed.add((task, attempt))
        row = end_if_unknown(state, task, attempt, event.instance, out)
        if row is not None and start_time > 0.0:
            began(state, row, max(row.assign_time, min(start_time, now)), out)
    for row in list(node.allocation.rows.values()):
        if (row.id, row.attempt) not in listed:
            out.after.append(StartAttempt(row, row.attempt, event.instance))
            if row.cancel_requested:
                out.after.append(EndAttempt(event.instance, row.id, row.attempt))
        if row.chunk is not None and row.chunk.cancelled:
            cancelling.order(state, row, out)
    suspension.settle(state, node.instance, node.allocation.rows.values(), event.suspended, out)
    node.connected = True
    control = state.controls.get(node.name)
    if control is not None:
        # Also when it is not to drain: it may have missed the end of a drain.
        out.after.append(
            OrderDrain(node.name, node.instance, control.draining, control.drain_grace)
        )


def on_session_closed(state: State, event: SessionClosed, now: float, out: Effects) -> None:
    node = _node(state, event.node, event.instance)
    if node is not None:
        node.connected = False
        node.credit = 0


def on_agent_misbehaved(state: State, event: AgentMisbehaved, now: float, out: Effects) -> None:
    node = _node(state, event.node, event.instance)
    if node is not None:
        node.failure = event.failure


def on_credit_reported(state: State, event: CreditReported, now: float, out: Effects) -> None:
    node = _node(state, event.node, event.instance)
    if node is not None:
        node.credit = event.credit


def on_stats_reported(state: State, event: StatsReported, now: float, out: Effects) -> None:
    node = _node(state, event.node, event.instance)
    if node is not None:
        node.stats = event.stats


def _refuse_control(state: State, limits: Limits, event: NodeControlAsked) -> Rejection | None:
    if event.node in state.nodes or event.node in state.controls or event.node in state.lost:
        return None
    return no_node(event.node)


def _control(
    state: State, limits: Limits, event: NodeControlAsked, now: float, out: Effects
) -> Answer:
    node = state.nodes.get(event.node)
    before = state.control(event.node)
    if before != event.control:
        state.controls[event.node] = event.control
        out.writes.append(PutControl(event.node))
        changes = _changes(before, event.control)
        audit.note(state, limits, out, event.request, now, "node", event.node, *changes)
        if node is not None and before.draining != event.control.draining:
            for row in node.allocation.rows.values():
                if row.replica is not None:
                    state.touch(row.replica.service)
        if node is not None and (before.draining or event.control.draining):
            out.after.append(
                OrderDrain(
                    node.name, node.instance, event.control.draining, event.control.drain_grace
                )
            )
    return Answer(NodeControlled(event.node))


def _controlled(state: State, event: NodeControlAsked, known: DedupRow) -> NodeControlled | Done:
    return NodeControlled(event.node) if event.node in state.nodes else Done()


on_node_control_asked = Call(NODES_SCOPE, _refuse_control, _control, _controlled)


def _changes(before: Control, after: Control) -> list[Change]:
    """What an operator changed of a node, for the audit log."""
    fields = (
        ("cordoned", str(before.cordoned).lower(), str(after.cordoned).lower()),
        ("draining", str(before.draining).lower(), str(after.draining).lower()),
        ("drain_grace", f"{before.drain_grace:g}s", f"{after.drain_grace:g}s"),
        ("taints", ", ".join(map(str, before.taints)), ", ".join(map(str, after.taints))),
    )
    return [Change(*field) for field in fields if field[1] != field[2]]


def _node(state: State, name: NodeName, instance: InstanceId) -> NodeRow | None:
    node = state.nodes.get(name)
    return node if node is not None and node.instance == instance else None
