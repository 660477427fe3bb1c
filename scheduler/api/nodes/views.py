"""Nodes as the leader knows them."""

from __future__ import annotations

from quorate.security.identity import Caller
from quorate.v1 import node_pb2, placement_pb2, task_pb2
from scheduler.api.views import instant
from scheduler.core.model.rows import Control, LostNode, NodeRow, ScalingDown
from scheduler.core.place_rules import Taint
from scheduler.core.values import HOOKS, MESSAGES


def _taints(found: tuple[Taint, ...]) -> list[placement_pb2.Taint]:
    return [placement_pb2.Taint(key=one.key, value=one.value) for one in found]


def node(row: NodeRow, control: Control, mark: ScalingDown | None = None) -> node_pb2.Node:
    """A node as the leader knows it."""
    rows = row.allocation.rows
    if control.draining:
        state = node_pb2.NODE_STATE_DRAINING if rows else node_pb2.NODE_STATE_DRAINED
    elif control.cordoned:
        state = node_pb2.NODE_STATE_CORDONED
    elif row.connected and row.stats.disk_error:
        state = node_pb2.NODE_STATE_UNWRITABLE
    elif mark is not None:
        state = node_pb2.NODE_STATE_LEAVING
    elif row.connected:
        state = node_pb2.NODE_STATE_READY
    else:
        state = node_pb2.NODE_STATE_CONNECTING
    stats = row.stats
    idle_since = row.allocation.idle_since if not rows else 0.0
    return node_pb2.Node(
        name=row.name,
        instance=row.instance,
        address=row.address,
        state=state,
        slots=row.slots,
        capacity=_capacity(row),
        labels=row.labels,
        stats=node_pb2.NodeStats(
            cpu=stats.cpu,
            memory_used=stats.memory_used,
            memory_total=stats.memory_total,
            disk_used=stats.disk_used,
            disk_total=stats.disk_total,
            load1=stats.load1,
            disk_error=stats.disk_error,
            yielded=stats.yielded,
        ),
        assigned=len(rows),
        running=sum(1 for task in rows.values() if task.start_time > 0.0),
        register_time=instant(row.register_time),
        version=row.version,
        idle_since=instant(idle_since) if idle_since else None,
        leaving_since=instant(mark.since) if mark is not None else None,
        fault=row.failure,
        taints=_taints(control.taints),
        agent_taints=_taints(row.taints),
    )


def lost_node(row: LostNode, control: Control, caller: Caller | None) -> node_pb2.Node:
    """A node that was lost, as it was then. Attempts of queues that the caller is not bound to are
    counted, not named."""
    loss = node_pb2.NodeLoss(time=instant(row.since), why=row.why, attempts=row.attempts)
    for one in row.some:
        if caller is not None and not caller.may_name(one.queue):
            continue
        named = {"job": one.id} if one.job else {"task": one.id}
        loss.some_attempts.add(queue=one.queue, attempt=one.attempt, **named)
    return node_pb2.Node(
        name=row.name,
        instance=row.instance,
        address=row.address,
        state=node_pb2.NODE_STATE_LOST,
        slots=row.slots,
        capacity=_capacity(row),
        labels=row.labels,
        register_time=instant(row.register_time) if row.register_time else None,
        version=row.version,
        taints=_taints(control.taints),
        loss=loss,
    )


def _capacity(row: NodeRow | LostNode) -> task_pb2.Resources:
    shown = (name for name in row.counters if name not in (HOOKS, MESSAGES))
    counters = {name: row.counters[name] for name in shown}
    return task_pb2.Resources(cpu=row.cpu, memory=row.memory, counters=counters)
