"""Specs of tasks and services, and agents, as the pure core is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from quorate.runtime.ids import InstanceId, NodeName, QueueName
from quorate.v1 import service_pb2, task_pb2
from scheduler.core.model import events as e
from scheduler.core.model.rows import Allocation, NodeRow
from scheduler.core.place_rules import Taint
from scheduler.core.values import (
    TaskSpec,
)
from scheduler.storage import records

# When the clocks of tests begin.
START = 1_700_000_000.0


def spec(
    *,
    payload: bytes = b"",
    priority: int = 0,
    attempts: int = 1,
    backoff: float = 1.0,
    max_backoff: float = 300.0,
    multiplier: float = 2.0,
    jitter: float = 0.0,
    fatal: Iterable[str] = (),
    crash_limit: int = 3,
    cpu: float = 0.0,
    memory: int = 0,
    counters: dict[str, int] | None = None,
    affinity: str = "",
    not_before: float = 0.0,
    key: str = "",
    limits: Iterable[str] = (),
    start_deadline: float = 0.0,
    tenant: str = "",
    ordering: str = "",
    unique: str = "",
    rejects: bool = False,
    replaces: bool = False,
    window: float = 0.0,
) -> TaskSpec:
    """A spec as the service makes it: from a message, through the codec."""
    return _spec(
        payload,
        priority,
        attempts,
        backoff,
        max_backoff,
        multiplier,
        jitter,
        tuple(fatal),
        crash_limit,
        cpu,
        memory,
        tuple(sorted((counters or {}).items())),
        affinity,
        not_before,
        key,
        tuple(limits),
        start_deadline,
        tenant,
        ordering,
        unique,
        rejects,
        replaces,
        window,
    )


def service_spec(
    *,
    replicas: int = 0,
    argv: str = "serve",
    surge: int = 0,
    unavailable: int = 0,
    cpu: float = 0.0,
    labels: dict[str, str] | None = None,
    outside: bool = False,
    hosts: Sequence[str] = (),
    placement: dict[str, Any] | None = None,
) -> service_pb2.ServiceSpec:
    """A service's spec; `outside` for one without replicas."""
    message = service_pb2.ServiceSpec(
        replicas=replicas,
        max_surge=surge,
        max_unavailable=unavailable,
        labels=labels or {},
        placement=placement,
    )
    if not outside:
        message.command.argv.append(argv)
    if cpu:
        message.resources.cpu = cpu
    message.proxy.hosts.extend(hosts)
    return message


@lru_cache(maxsize=4096)
def _spec(
    payload: bytes,
    priority: int,
    attempts: int,
    backoff: float,
    max_backoff: float,
    multiplier: float,
    jitter: float,
    fatal: tuple[str, ...],
    crash_limit: int,
    cpu: float,
    memory: int,
    counters: tuple[tuple[str, int], ...],
    affinity: str,
    not_before: float,
    key: str,
    limits: tuple[str, ...],
    start_deadline: float,
    tenant: str,
    ordering: str,
    unique: str,
    rejects: bool,
    replaces: bool,
    window: float,
) -> TaskSpec:
    message = task_pb2.TaskSpec(
        priority=priority, affinity_key=affinity, limit_key=key, limits=limits, fairness_key=tenant
    )
    message.ordering_key = ordering
    if unique:
        message.unique.key = unique
        if rejects:
            message.unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REJECT
        if replaces:
            message.unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REPLACE
        if window:
            message.unique.window.FromNanoseconds(round(window * 1e9))
    message.command.argv.append("true")
    message.command.stdin = payload
    message.retry.max_attempts = attempts
    message.retry.initial_backoff.FromNanoseconds(round(backoff * 1e9))
    message.retry.max_backoff.FromNanoseconds(round(max_backoff * 1e9))
    message.retry.multiplier = multiplier
    message.retry.jitter = jitter
    message.retry.fatal_errors.extend(fatal)
    message.retry.crash_limit = crash_limit
    if cpu or memory or counters:
        message.resources.cpu = cpu
        message.resources.memory = memory
        message.resources.counters.update(dict(counters))
    if not_before:
        message.not_before.FromNanoseconds(round(not_before * 1e9))
    if start_deadline:
        message.start_deadline.FromNanoseconds(round(start_deadline * 1e9))
    return records.task_spec(message, message.SerializeToString())


def node_row(
    name: str,
    instance: str,
    *,
    slots: int = 4,
    cpu: float = 4.0,
    memory: int = 8 << 30,
    counters: dict[str, int] | None = None,
    takes_chunks: bool = True,
    labels: dict[str, str] | None = None,
    taints: Sequence[Taint] = (),
    takes_signals: bool = True,
    takes_reduces: bool = True,
    ends_subtasks: bool = True,
    announces_end: bool = False,
    ending: bool = False,
) -> NodeRow:
    """A registered agent, as the watch brings it."""
    return NodeRow(
        NodeName(name),
        InstanceId(instance),
        "127.0.0.1:1",
        slots,
        cpu,
        memory,
        counters or {},
        labels or {},
        START,
        "test",
        7,
        Allocation(),
        takes_chunks=takes_chunks,
        taints=tuple(taints),
        takes_signals=takes_signals,
        takes_reduces=takes_reduces,
        ends_subtasks=ends_subtasks,
        announces_end=announces_end,
        ending=ending,
    )


def spec_update(**fields: Any) -> e.SpecUpdate:
    """An update of these fields of a spec; `not_before` in seconds, 0.0 for none. `to`: the queue
    that the tasks go to."""

    to = fields.pop("to", "")

    def make(old: TaskSpec) -> TaskSpec:
        message = task_pb2.TaskSpec.FromString(old.spec)
        for name, value in fields.items():
            if name == "not_before":
                message.ClearField(name)
                if value:
                    message.not_before.FromNanoseconds(int(value * 1e9))
            elif name == "labels":
                message.labels.clear()
                message.labels.update(value)
            elif name == "start_deadline":
                message.ClearField(name)
                if value:
                    message.start_deadline.FromNanoseconds(int(value * 1e9))
            elif name == "attempts":
                message.retry.max_attempts = value
            elif name == "limits":
                message.limits[:] = value
            else:
                setattr(message, name, value)
        return records.task_spec(message, message.SerializeToString(deterministic=True))

    moves, expires = "not_before" in fields, "start_deadline" in fields
    return e.SpecUpdate(make, moves, expires, QueueName(to), limits=tuple(fields.get("limits", ())))
