"""Services, and the states of their instances."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from scheduler.core.values.tasks import TaskSpec


class InstanceState(IntEnum):
    """Where an instance is in its life (`quorate.v1.InstanceState`)."""

    STARTING = 1
    HEALTHY = 2
    UNHEALTHY = 3
    DRAINING = 4


class ServiceSpec(NamedTuple):
    """What the machine must know of a service; the rest of its spec is opaque bytes.

    `replica` is the task that each replica is, of generation `generation`; None for a service of
    outside processes. `hosts`, in lower case, are no other service's.
    """

    spec: bytes
    generation: int
    replica: TaskSpec | None
    replicas: int
    max_surge: int
    max_unavailable: int
    hosts: tuple[str, ...] = ()
