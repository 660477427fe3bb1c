"""Services and their instances as records; the task that each replica of a service is."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId
from quorate.v1 import service_pb2, task_pb2
from scheduler.core.model.rows import (
    InstanceRow,
    ServiceRow,
)
from scheduler.core.values import (
    InstanceState,
    ServiceName,
    ServiceSpec,
)
from scheduler.storage.records.tasks.specs import task_spec
from scheduler.storage.unknown_fields import unknown_fields

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
        task = task_pb2.TaskSpec(
            service=work, name=name, retry=_REPLICA_RETRY, labels=message.labels
        )
        if message.HasField("resources"):
            task.resources.CopyFrom(message.resources)
        if message.HasField("placement"):
            task.placement.CopyFrom(message.placement)
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
        for field in ("command", "resources", "health", "placement")
    ) or dict(old.labels) != dict(new.labels)


def instance_row(service: str, instance: str, data: bytes, lease: int) -> InstanceRow | None:
    """An instance; None for another program's key: anybody may put one there, but not for ever."""
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
