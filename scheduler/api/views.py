"""Records as callers see them: `quorate.v1` messages made from what etcd holds."""

from __future__ import annotations

import math

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.internal.v1 import records_pb2 as r
from quorate.security.identity import Caller, Role
from quorate.security.policy import ROLES
from quorate.v1 import cluster_pb2, node_pb2, queue_pb2, service_pb2, task_pb2
from scheduler.core.model.answers import QueueSeen, ServiceSeen
from scheduler.core.model.quotas import ANONYMOUS
from scheduler.core.model.rows import Control, NodeRow, ScalingDown
from scheduler.core.values import TaskSpec, TaskState, is_due
from scheduler.storage.records import task_spec

FULL = task_pb2.TASK_VIEW_FULL


def instant(seconds: float) -> Timestamp:
    """A Timestamp of seconds since the epoch."""
    fraction, whole = math.modf(seconds)
    return Timestamp(seconds=int(whole), nanos=int(fraction * 1e9))


def caller(known: Caller | None) -> cluster_pb2.Caller:
    """Whoever calls; None: authentication is off."""
    if known is None:
        return cluster_pb2.Caller(name=ANONYMOUS, permissions=sorted(ROLES[Role.ADMIN]))
    return cluster_pb2.Caller(
        name=str(known),
        permissions=sorted(ROLES[known.role]),
        patterns=known.patterns if known.bound else (),
    )


def task(
    queue: str,
    task_id: str,
    task_record: r.TaskRecord | None,
    run: r.RunRecord | None,
    *,
    now: float,
    full: bool,
) -> task_pb2.Task:
    """A task from its records.

    Args:
        task_record: without it the answer has neither spec nor create_time from it.
        run: None for a task that was never given to a node.
        now: a SCHEDULED record that is due by now is PENDING.
        full: with the work's payload.
    """
    view = task_pb2.Task(id=task_id, queue=queue)
    # A UUIDv7 begins with its milliseconds.
    view.create_time.CopyFrom(instant(int(task_id[:12], 16) / 1000))
    not_before = 0.0
    if task_record is not None:
        view.create_time.CopyFrom(instant(task_record.create_time))
        view.created_by = task_record.created_by
        view.spec.CopyFrom(spec(task_record.spec, full=full))
        if view.spec.HasField("not_before"):
            not_before = view.spec.not_before.seconds + view.spec.not_before.nanos / 1e9
    if run is None:
        due = is_due(not_before, now)
        view.state = task_pb2.TASK_STATE_PENDING if due else task_pb2.TASK_STATE_SCHEDULED
        if not due:
            view.schedule_time.CopyFrom(instant(not_before))
        return view
    _status(view, run, now)
    return view


def _status(view: task_pb2.Task, run: r.RunRecord, now: float) -> None:
    state = run.state
    if state == task_pb2.TASK_STATE_SCHEDULED and is_due(run.not_before, now):
        state = task_pb2.TASK_STATE_PENDING
    view.state = state
    view.attempt = run.attempt
    view.failures = run.failures
    view.crashes = run.crashes
    view.cancel_requested = run.cancel_requested
    if state == task_pb2.TASK_STATE_SCHEDULED:
        view.schedule_time.CopyFrom(instant(run.not_before))
    finished = state >= task_pb2.TASK_STATE_SUCCEEDED
    if finished:
        view.finish_time.CopyFrom(instant(run.finish_time))
    if run.HasField("result"):
        view.result.CopyFrom(run.result)
    if run.HasField("error"):
        view.error.CopyFrom(run.error)
    for past in run.past:
        attempt = view.attempts.add(number=past.number, node=past.node, instance=past.instance)
        _times(attempt, past.assign_time, past.start_time, past.finish_time)
        attempt.error.type = past.error_type
        attempt.error.message = past.error_message
    if run.node and (not run.past or run.past[-1].number != run.attempt):
        attempt = view.attempts.add(number=run.attempt, node=run.node, instance=run.instance)
        _times(attempt, run.assign_time, run.start_time, run.finish_time)
        if run.HasField("error"):
            attempt.error.CopyFrom(run.error)


def _times(attempt: task_pb2.Attempt, assign: float, start: float, finish: float) -> None:
    if assign:
        attempt.assign_time.CopyFrom(instant(assign))
    if start:
        attempt.start_time.CopyFrom(instant(start))
    if finish:
        attempt.finish_time.CopyFrom(instant(finish))


def spec(data: bytes, *, full: bool) -> task_pb2.TaskSpec:
    """A spec, in the BASIC view without the work's payload but with a name."""
    message = task_pb2.TaskSpec.FromString(data)
    if not message.name:
        message.name = _work_name(message)
    if not full:
        message.ClearField("command")
        message.ClearField("python")
        if message.HasField("service"):
            message.service.ClearField("command")
    return message


def core_spec(data: bytes) -> TaskSpec:
    """What the core must know of a stored spec."""
    return task_spec(task_pb2.TaskSpec.FromString(data), data)


def _work_name(message: task_pb2.TaskSpec) -> str:
    if message.HasField("command"):
        return message.command.argv[0].rpartition("/")[2][:128]
    return message.python.entrypoint[:128] or "python"


def queue(seen: QueueSeen) -> queue_pb2.Queue:
    """A queue with its counts."""
    counts = seen.by_state
    view = queue_pb2.Queue(
        name=seen.name,
        placement=seen.placement,  # type: ignore[arg-type]
        disconnect=seen.disconnect,  # type: ignore[arg-type]
        paused=seen.paused,
        create_time=instant(seen.create_time),
        counts=queue_pb2.QueueCounts(
            scheduled=counts[TaskState.SCHEDULED],
            pending=counts[TaskState.PENDING],
            running=counts[TaskState.RUNNING],
            succeeded=counts[TaskState.SUCCEEDED],
            failed=counts[TaskState.FAILED],
            cancelled=counts[TaskState.CANCELLED],
            finished_total=seen.finished_total,
        ),
    )
    view.retention.count = seen.retention_count
    view.retention.age.seconds = int(seen.retention_age)
    view.retention.age.nanos = int(seen.retention_age % 1 * 1e9)
    if seen.oldest_pending:
        view.oldest_pending_time.CopyFrom(instant(seen.oldest_pending))
    return view


def service(seen: ServiceSeen) -> service_pb2.Service:
    """A service with its instances."""
    view = service_pb2.Service(
        name=seen.name,
        spec=service_pb2.ServiceSpec.FromString(seen.spec),
        generation=seen.generation,
        etag=etag(seen),
        create_time=instant(seen.create_time),
        ready=seen.ready,
        updated=seen.updated,
    )
    for instance in seen.instances:
        shown = view.instances.add()
        assert isinstance(instance.message, service_pb2.ServiceInstance)
        shown.CopyFrom(instance.message)
        # What the key says counts: anybody's program may have written the value.
        shown.service, shown.id = seen.name, instance.id
        shown.state = int(instance.state)  # type: ignore[assignment]
    return view


def etag(seen: ServiceSeen) -> str:
    """Opaque; another one for another service that had the same name before."""
    return f"{int(seen.create_time * 1000):x}-{seen.version:x}"


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
        capacity=task_pb2.Resources(cpu=row.cpu, memory=row.memory, counters=row.counters),
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
    )
