"""The codec between the core's rows and the protobuf records in etcd.

The only place that knows both. `encode` is called right after the step that made the writes: rows
move on afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.etcd.api import Delete, Put, prefix_end
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.addresses import split_address
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from quorate.v1 import service_pb2, task_pb2
from scheduler.core.model import effects as fx
from scheduler.core.model import node_figures as figures
from scheduler.core.model.rows import (
    Control,
    DedupRow,
    InstanceRow,
    NodeRow,
    QueueRow,
    ScalingDown,
    ServiceRow,
)
from scheduler.core.model.state import State
from scheduler.core.model.texts import error_text, task_text
from scheduler.core.model.transitions import Status
from scheduler.core.model.usage import outcome_units
from scheduler.core.values import (
    DEFAULT_RETRY,
    FINISHED,
    NO_NEEDS,
    Disconnect,
    InstanceState,
    Needs,
    PastAttempt,
    Placement,
    Replica,
    RetryPolicy,
    ServiceName,
    ServiceSpec,
    TaskSpec,
    TaskState,
)
from scheduler.storage import audit_records, keys, quota_records
from scheduler.storage.unknown_fields import unknown_fields, unknown_fields_with_enums

# Of a node's record. Agents of ours have ids of 32 characters, 32 labels and 16 counters at most.
_LONGEST_INSTANCE = 128
_LONGEST_ADDRESS = 512
_MOST_LABELS = 64
_NODE_BYTES = 64 << 10


class NewerRecord(Exception):
    """A record cannot be understood by this version: its process must not lead, and ends."""


# -- rows to records


class Codec:
    """Encodes the writes of one cluster, whose keys begin with `prefix`."""

    def __init__(self, prefix: bytes, state: State) -> None:
        self._prefix = prefix
        self._tasks = prefix.decode() + "tasks/"
        self._runs = prefix.decode() + "runs/"
        self._state = state

    def run_record(self, write: fx.PutRun) -> r.RunRecord:
        """See `run_record`."""
        return run_record(write)

    def encode(self, writes: Iterable[fx.Write], ops: list[Put | Delete]) -> None:
        """Append the ops of `writes` to `ops`, in order."""
        for write in writes:
            if isinstance(write, fx.PutRun):
                row = write.row
                key = f"{self._runs}{row.queue.name}/{row.id}".encode()
                ops.append(Put(key, run_record(write).SerializeToString()))
            elif isinstance(write, fx.PutTask):
                row = write.row
                key = f"{self._tasks}{row.queue.name}/{row.id}".encode()
                record = r.TaskRecord(
                    spec=write.spec, create_time=row.create_time, created_by=write.created_by
                )
                if write.unknown_fields:
                    record.MergeFromString(write.unknown_fields)
                ops.append(Put(key, record.SerializeToString()))
            else:
                self._encode_other(write, ops)

    def _encode_other(self, write: fx.Write, ops: list[Put | Delete]) -> None:
        prefix = self._prefix
        match write:
            case fx.PutDedup(key, row):
                record = r.DedupRecord(
                    digest=row.digest,
                    create_time=row.create_time,
                    queue=row.queue,
                    first_id=row.first_id,
                    count=row.count,
                    progress=row.progress,
                    caller=row.caller,
                    counts=row.counts,
                    last_id=row.last_id,
                )
                if row.unknown_fields:
                    record.MergeFromString(row.unknown_fields)
                ops.append(Put(prefix + keys.dedup_key(*key), record.SerializeToString()))
            case fx.DropDedup(key):
                ops.append(Delete(prefix + keys.dedup_key(*key)))
            case fx.DropTask(queue, task):
                ops.append(Delete(prefix + keys.task_key(queue, task)))
                ops.append(Delete(prefix + keys.run_key(queue, task)))
            case fx.PutQueue(row):
                ops.append(
                    Put(prefix + keys.queue_key(row.name), queue_record(row).SerializeToString())
                )
            case fx.DropQueue(queue):
                ops.append(Delete(prefix + keys.queue_key(queue)))
            case fx.PutQuota(kind, name, quota):
                ops.append(Put(prefix + keys.quota_key(kind, name), quota_records.record(quota)))
            case fx.DropQuota(kind, name):
                ops.append(Delete(prefix + keys.quota_key(kind, name)))
            case fx.PutControl(node):
                control = self._state.control(node)
                order = r.NodeControlRecord(
                    cordoned=control.cordoned,
                    draining=control.draining,
                    drain_grace=control.drain_grace,
                )
                order.MergeFromString(control.unknown_fields)
                ops.append(Put(prefix + keys.control_key(node), order.SerializeToString()))
            case fx.PutScalingDown(node, row):
                mark = r.LeavingRecord(instance=row.instance, mark_time=row.since)
                ops.append(Put(prefix + keys.scaling_down_key(node), mark.SerializeToString()))
            case fx.DropScalingDown(node):
                ops.append(Delete(prefix + keys.scaling_down_key(node)))
            case fx.PutService(row):
                ops.append(
                    Put(
                        prefix + keys.service_key(row.name), service_record(row).SerializeToString()
                    )
                )
            case fx.PutAudit(entry):
                value = audit_records.record(write).SerializeToString()
                ops.append(Put(prefix + audit_records.key_of(entry), value))
            case fx.DropService(service):
                ops.append(Delete(prefix + keys.service_key(service)))
                # Of outside processes: nobody can renew them any more.
                ops.append(Delete(*prefix_range(prefix, keys.instance_key(service, ""))))
            case _:
                raise AssertionError(f"unknown write {write!r}")

    def encode_purges(self, out: fx.Effects) -> list[Delete]:
        """The deletions of retention: a run of neighbours is a range."""
        ops: list[Delete] = []
        for run in out.purges:
            for key in (keys.task_key, keys.run_key):
                first = self._prefix + key(run.queue, run.first)
                if run.first == run.last:
                    ops.append(Delete(first))
                else:
                    ops.append(Delete(first, self._prefix + key(run.queue, run.last) + b"\0"))
        ops.extend(Delete(self._prefix + keys.dedup_key(*key)) for key in out.purged_requests)
        if out.purged_audit is not None:
            first, last = map(audit_records.key_of, out.purged_audit)
            ops.append(Delete(self._prefix + first, self._prefix + last + b"\0"))
        return ops


def run_record(write: fx.PutRun) -> r.RunRecord:
    """The status record of a task as it is now."""
    row = write.row
    record = r.RunRecord(
        state=int(row.state),  # type: ignore[arg-type]
        attempt=row.attempt,
        node=row.node,
        instance=row.instance,
        assign_time=row.assign_time,
        start_time=row.start_time,
    )
    if write.finish_time:
        record.finish_time = write.finish_time
        if write.result is not None:
            record.result.MergeFrom(write.result)  # type: ignore[arg-type]
        elif write.error is not None:
            record.error.MergeFrom(write.error)  # type: ignore[arg-type]
        elif write.error_type:
            record.error.type = write.error_type
            record.error.message = write.error_message
    if row.failures or row.crashes or row.past or row.not_before or row.cancel_requested:
        record.failures = row.failures
        record.crashes = row.crashes
        record.not_before = row.not_before
        record.cancel_requested = row.cancel_requested
        record.past.extend(map(_past_record, row.past))
    if row.unknown_fields:
        record.MergeFromString(row.unknown_fields)
    return record


def _past_record(past: PastAttempt) -> r.PastAttempt:
    record = r.PastAttempt(
        number=past.number,
        node=past.node,
        instance=past.instance,
        assign_time=past.assign_time,
        start_time=past.start_time,
        finish_time=past.finish_time,
        error_type=past.error_type,
        error_message=past.error_message,
    )
    record.MergeFromString(past.unknown_fields)
    return record


def queue_record(row: QueueRow) -> r.QueueRecord:
    record = r.QueueRecord(
        name=row.name,
        placement=int(row.placement),  # type: ignore[arg-type]
        retention_age=row.retention_age,
        retention_count=row.retention_count,
        disconnect=int(row.disconnect),  # type: ignore[arg-type]
        paused=row.paused,
        create_time=row.create_time,
    )
    record.MergeFromString(row.unknown_fields)
    return record


def service_record(row: ServiceRow) -> r.ServiceRecord:
    record = r.ServiceRecord(
        name=row.name,
        spec=service_pb2.ServiceSpec.FromString(row.spec.spec),
        version=row.version,
        generation=row.spec.generation,
        create_time=row.create_time,
        deleting=row.deleting,
    )
    record.MergeFromString(row.unknown_fields)
    return record


# -- records to rows


def task_spec(spec: task_pb2.TaskSpec, data: bytes) -> TaskSpec:
    """What the core must know of a validated spec; `data` is the spec, serialized."""
    return TaskSpec(
        data,
        spec.priority,
        _retry(spec.retry.SerializeToString()) if spec.HasField("retry") else DEFAULT_RETRY,
        _needs(spec.resources.SerializeToString(deterministic=True))
        if spec.HasField("resources")
        else NO_NEEDS,
        spec.affinity_key,
        seconds(spec.not_before) if spec.HasField("not_before") else 0.0,
        Replica(ServiceName(spec.service.service), spec.service.generation)
        if spec.HasField("service")
        else None,
        task_text(spec.name, _work(spec), spec.labels),
    )


def _work(spec: task_pb2.TaskSpec) -> str:
    """What the task runs, in a word."""
    match spec.WhichOneof("work"):
        case "command":
            return spec.command.argv[0].rpartition("/")[2] if spec.command.argv else ""
        case "python":
            return spec.python.entrypoint
        case "service":
            return spec.service.service
        case _:
            return ""


# Tasks share equal policies and needs: there are few kinds of them among many tasks.
@lru_cache(maxsize=1024)
def _retry(data: bytes) -> RetryPolicy:
    message = task_pb2.RetryPolicy.FromString(data)
    default = DEFAULT_RETRY
    initial = default.initial_backoff
    if message.HasField("initial_backoff"):
        initial = seconds(message.initial_backoff)
    longest = default.max_backoff
    if message.HasField("max_backoff"):
        longest = seconds(message.max_backoff)
    return RetryPolicy(
        message.max_attempts or default.max_attempts,
        initial,
        max(longest, initial),
        message.multiplier or default.multiplier,
        message.jitter if message.HasField("jitter") else default.jitter,
        tuple(message.fatal_errors),
        message.crash_limit or default.crash_limit,
    )


@lru_cache(maxsize=1024)
def _needs(data: bytes) -> Needs:
    message = task_pb2.Resources.FromString(data)
    counters = tuple(sorted((name, n) for name, n in message.counters.items() if n))
    needs = Needs(message.cpu, message.memory, counters)
    return NO_NEEDS if needs == NO_NEEDS else needs


def seconds(value: Duration | Timestamp) -> float:
    """A protobuf duration or instant in seconds."""
    return value.seconds + value.nanos / 1e9


def queue_row(data: bytes) -> QueueRow:
    record = r.QueueRecord.FromString(data)
    # What a newer version can do and this one cannot is done by default until it leads again.
    return QueueRow(
        QueueName(record.name),
        record.create_time,
        _PLACEMENTS.get(record.placement, Placement.LEAST_LOADED),
        _DISCONNECTS.get(record.disconnect, Disconnect.KEEP),
        record.retention_age,
        record.retention_count,
        record.paused,
        unknown_fields=unknown_fields_with_enums(record),
    )


_PLACEMENTS: Mapping[int, Placement] = {int(value): value for value in Placement}
_DISCONNECTS: Mapping[int, Disconnect] = {int(value): value for value in Disconnect}


# A replica never gives up, whatever becomes of its program: once a second, then ever more rarely,
# once a minute in the end (give or take a fifth).
_REPLICA_RETRY = task_pb2.RetryPolicy(
    max_attempts=(1 << 31) - 1,
    initial_backoff=Duration(seconds=1),
    max_backoff=Duration(seconds=60),
    multiplier=2.0,
    crash_limit=(1 << 31) - 1,
)
REPLICA_DRAIN_GRACE = Duration(seconds=10)


def service_spec(
    name: ServiceName, generation: int, message: service_pb2.ServiceSpec
) -> ServiceSpec:
    """What the core must know of a validated spec, with the task that its replicas are."""
    replica = None
    if message.HasField("command"):
        work = task_pb2.ServiceWork(
            service=name,
            generation=generation,
            command=message.command,
            health=message.health,
            drain_grace=message.drain_grace
            if message.HasField("drain_grace")
            else REPLICA_DRAIN_GRACE,
            labels=message.labels,
        )
        task = task_pb2.TaskSpec(service=work, name=name, retry=_REPLICA_RETRY)
        if message.HasField("resources"):
            task.resources.CopyFrom(message.resources)
        replica = task_spec(task, task.SerializeToString(deterministic=True))
    return ServiceSpec(
        message.SerializeToString(deterministic=True),
        generation,
        replica,
        message.replicas,
        message.max_surge or 1,
        message.max_unavailable,
        tuple(host.lower() for host in message.proxy.hosts),
    )


def replaces_replicas(old: service_pb2.ServiceSpec, new: service_pb2.ServiceSpec) -> bool:
    """Whether replicas of the one are not what the other asks for: a new generation."""
    return any(
        getattr(old, field) != getattr(new, field) or old.HasField(field) != new.HasField(field)
        for field in ("command", "resources", "health")
    ) or dict(old.labels) != dict(new.labels)


def service_row(data: bytes) -> ServiceRow:
    record = r.ServiceRecord.FromString(data)
    name = ServiceName(record.name)
    return ServiceRow(
        name,
        record.create_time,
        service_spec(name, record.generation, record.spec),
        record.version,
        record.deleting,
        unknown_fields(record),
    )


def instance_row(service: str, instance: str, data: bytes, lease: int) -> InstanceRow | None:
    """An instance; None when it is none of ours: anybody may put a key there, but not for ever."""
    if not lease:
        return None
    try:
        record = r.InstanceRecord.FromString(data)
        state = InstanceState(record.instance.state)
    except (DecodeError, ValueError):
        return None
    return InstanceRow(
        ServiceName(service),
        instance,
        state,
        InstanceId(record.agent),
        record.attempt,
        lease,
        record.instance,
    )


def control(data: bytes) -> Control:
    record = r.NodeControlRecord.FromString(data)
    return Control(record.cordoned, record.draining, record.drain_grace, unknown_fields(record))


def scaling_down(data: bytes) -> ScalingDown:
    record = r.LeavingRecord.FromString(data)
    return ScalingDown(InstanceId(record.instance), record.mark_time)


def dedup_row(data: bytes) -> DedupRow:
    record = r.DedupRecord.FromString(data)
    return DedupRow(
        record.digest,
        record.create_time,
        QueueName(record.queue),
        TaskId(record.first_id),
        record.count,
        record.progress,
        caller=record.caller,
        counts=tuple(record.counts),
        last_id=TaskId(record.last_id),
        unknown_fields=unknown_fields(record),
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
    return NodeRow(
        name,
        instance,
        record.address,
        figures.slots(record.slots),
        figures.offered(record.capacity.cpu),
        figures.amount(record.capacity.memory),
        {name: figures.amount(count) for name, count in record.capacity.counters.items()},
        dict(record.labels),
        figures.instant(record.register_time),
        record.version,
        lease,
        state.allocation(instance),
    )


# Looked up in a twentieth of the time that `TaskState(number)` takes.
_STATES: Mapping[int, TaskState] = {int(state): state for state in TaskState}


def run_status(task: TaskId, record: r.RunRecord) -> Status:
    """The status that a record holds: undoes `run_record`.

    Raises:
        NewerRecord: the task is in a state that this version does not know.
    """
    state = _STATES.get(record.state)
    if state is None:
        raise NewerRecord(
            f"task {task} is in state {record.state}, which this scheduler does not know"
        )
    error, outcome = "", 0
    if state is TaskState.FAILED:
        error = error_text(record.error.type, record.error.message)
    if state in FINISHED:
        if record.HasField("result"):
            outcome = outcome_units(record.result)
        elif record.HasField("error"):
            outcome = outcome_units(record.error)
    return Status(
        state,
        record.attempt,
        record.failures,
        record.crashes,
        NodeName(record.node),
        InstanceId(record.instance),
        record.assign_time,
        record.start_time,
        record.not_before,
        record.cancel_requested,
        tuple(map(_past_attempt, record.past)) if record.past else (),
        unknown_fields(record),
        record.finish_time,
        error,
        outcome,
    )


def _past_attempt(past: r.PastAttempt) -> PastAttempt:
    return PastAttempt(
        past.number,
        NodeName(past.node),
        InstanceId(past.instance),
        past.assign_time,
        past.start_time,
        past.finish_time,
        past.error_type,
        past.error_message,
        unknown_fields(past),
    )


def prefix_range(prefix: bytes, part: bytes) -> tuple[bytes, bytes]:
    """`(key, range_end)` of everything below `part`."""
    return prefix + part, prefix_end(prefix + part)
