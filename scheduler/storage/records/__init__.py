"""Records in etcd and the core's rows, by families, and the codec of a step's writes.

`X_row`, or the name of what a record holds, reads a record; `X_record` undoes it. A new family gets
a file, a write in `scheduler.core.model.effects`, a case in `codec.Codec` and one in
`scheduler.storage.replica.fold`.
"""

from __future__ import annotations

from scheduler.storage.records.calls import dedup_row
from scheduler.storage.records.codec import Codec
from scheduler.storage.records.nodes import control, lost_node, node_row, scaling_down
from scheduler.storage.records.queues.limits import arrival, limit_row, window
from scheduler.storage.records.queues.queues import queue_record, queue_row
from scheduler.storage.records.ranges import prefix_range
from scheduler.storage.records.schedules import schedule_record, schedule_row, schedule_spec
from scheduler.storage.records.services import (
    REPLICA_DRAIN_GRACE,
    instance_row,
    replaces_replicas,
    service_record,
    service_row,
    service_spec,
)
from scheduler.storage.records.tasks.specs import (
    blob_of_message,
    message_template,
    recorded_spec,
    seconds,
    task_spec,
)
from scheduler.storage.records.tasks.tasks import (
    NewerRecord,
    hook_ends,
    past_attempts,
    run_record,
    run_status,
    task_member,
)

__all__ = [
    "REPLICA_DRAIN_GRACE",
    "Codec",
    "NewerRecord",
    "arrival",
    "blob_of_message",
    "control",
    "dedup_row",
    "hook_ends",
    "instance_row",
    "limit_row",
    "lost_node",
    "message_template",
    "node_row",
    "past_attempts",
    "prefix_range",
    "queue_record",
    "queue_row",
    "recorded_spec",
    "replaces_replicas",
    "run_record",
    "run_status",
    "scaling_down",
    "schedule_record",
    "schedule_row",
    "schedule_spec",
    "seconds",
    "service_record",
    "service_row",
    "service_spec",
    "task_member",
    "task_spec",
    "window",
]
