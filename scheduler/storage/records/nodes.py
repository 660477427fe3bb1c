"""Nodes as records: what agents write of themselves, and what was asked of a node by its name."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from quorate.runtime.network.addresses import split_address
from scheduler.core.model import node_figures as figures
from scheduler.core.model.rows import (
    Control,
    LostAttempt,
    LostNode,
    NodeRow,
    ScalingDown,
)
from scheduler.core.model.state import State
from scheduler.core.values import HOOKS, MAX_TAINTS, MESSAGES
from scheduler.storage.records.placement import taint_messages, taints
from scheduler.storage.unknown_fields import unknown_fields

# Of a node's record. Correct agents have ids of 32 characters, 32 labels and 16 counters at most.
_LONGEST_INSTANCE = 128


_LONGEST_ADDRESS = 512


_MOST_LABELS = 64


_NODE_BYTES = 64 << 10
# More attempts than any node has.
_ANY_NUMBER = 1_000_000


def control_record(row: Control) -> r.NodeControlRecord:
    """Undoes `control`."""
    record = r.NodeControlRecord(
        cordoned=row.cordoned,
        draining=row.draining,
        drain_grace=row.drain_grace,
        taints=taint_messages(row.taints),
    )
    record.MergeFromString(row.unknown_fields)
    return record


def control(data: bytes) -> Control:
    record = r.NodeControlRecord.FromString(data)
    return Control(
        record.cordoned,
        record.draining,
        record.drain_grace,
        taints(record.taints),
        unknown_fields(record),
    )


def scaling_down(data: bytes) -> ScalingDown:
    record = r.LeavingRecord.FromString(data)
    return ScalingDown(InstanceId(record.instance), record.mark_time)


def lost_node_record(row: LostNode) -> r.LostNodeRecord:
    """Undoes `lost_node`."""
    record = r.LostNodeRecord(
        instance=row.instance,
        address=row.address,
        slots=row.slots,
        labels=row.labels,
        register_time=row.register_time,
        version=row.version,
        lost_time=row.since,
        why=row.why,
        attempts=row.attempts,
    )
    record.capacity.cpu, record.capacity.memory = row.cpu, row.memory
    record.capacity.counters.update(row.counters)
    for one in row.some:
        record.tasks.add(id=one.id, queue=one.queue, attempt=one.attempt, job=one.job)
    return record


def lost_node(name: NodeName, data: bytes) -> LostNode:
    record = r.LostNodeRecord.FromString(data)
    return LostNode(
        name,
        InstanceId(record.instance),
        record.address,
        record.slots,
        record.capacity.cpu,
        record.capacity.memory,
        dict(record.capacity.counters),
        dict(record.labels),
        record.register_time,
        record.version,
        record.lost_time,
        record.why,
        record.attempts,
        tuple(
            LostAttempt(TaskId(one.id), QueueName(one.queue), one.attempt, one.job)
            for one in record.tasks
        ),
    )


def node_row(name: NodeName, data: bytes, lease: int, state: State) -> NodeRow | None:
    """An agent as it registered under `name`; None when the record cannot be that of one.

    Agents write these themselves, and may write anything: not in another's name, nor with another
    process's instance id, whose attempts would be theirs.
    """
    try:
        record = r.NodeRecord.FromString(data)
        split_address(record.address)
    except (DecodeError, ValueError):
        return None
    instance = InstanceId(record.instance)
    if (
        record.name != name
        or not 0 < len(instance) <= _LONGEST_INSTANCE
        or len(record.address) > _LONGEST_ADDRESS
        or len(record.labels) > _MOST_LABELS
        or len(record.capacity.counters) > _MOST_LABELS
        or len(data) > _NODE_BYTES
        or any(one.instance == instance and one.name != name for one in state.nodes.values())
    ):
        return None
    counters = {name: figures.amount(count) for name, count in record.capacity.counters.items()}
    if record.takes_hooks:
        counters[HOOKS] = _ANY_NUMBER
    if record.takes_messages:
        counters[MESSAGES] = _ANY_NUMBER
    return NodeRow(
        name,
        instance,
        record.address,
        figures.slots(record.slots),
        figures.offered(record.capacity.cpu),
        figures.amount(record.capacity.memory),
        counters,
        dict(record.labels),
        figures.instant(record.register_time),
        record.version,
        lease,
        state.allocation(instance),
        takes_chunks=record.takes_chunks,
        taints=taints(record.taints[:MAX_TAINTS]),
        takes_signals=record.takes_signals,
        takes_reduces=record.takes_reduces,
        ends_subtasks=record.ends_subtasks,
        announces_end=record.announces_end,
        ending=record.ending,
    )
