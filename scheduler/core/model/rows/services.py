"""Services, and the processes behind their names."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.runtime.ids import InstanceId
from scheduler.core.values import InstanceState, ServiceName, ServiceSpec


@dataclass(slots=True, eq=False)
class ServiceRow:
    """A service as its owner wants it. What there is of it: `State.replicas`, `State.instances`."""

    name: ServiceName
    create_time: float
    spec: ServiceSpec
    # Grows with every change of the spec; the spec's generation only with what replicas are.
    version: int = 1
    deleting: bool = False
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A process behind a service's name. Not journalled: its lease in etcd is the record."""

    service: ServiceName
    # The replica's task id, or what the outside process chose.
    id: str
    state: InstanceState
    # The agent's process and the attempt; "" and 0 for an outside process.
    agent: InstanceId
    attempt: int
    lease: int
    # The whole instance, opaque here: the codec made it.
    message: object
