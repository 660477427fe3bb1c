"""What callers are answered: snapshots taken at the step, since rows move on before the commit."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from quorate.runtime.ids import NodeName, QueueName, TaskId
from scheduler.core.model.limits.permits import Permits
from scheduler.core.model.rows import InstanceRow, LimitRow, NodeRow, QueueRow
from scheduler.core.place_rules import PlaceSettings
from scheduler.core.values import (
    EventsTo,
    QueueLimits,
    QueueOrder,
    QueuePause,
    Rate,
    ServiceName,
    TaskState,
)


class ErrorKind(Enum):
    """The kind of a refusal; the service maps it to a gRPC code."""

    NOT_FOUND = "not found"
    EXISTS = "exists"
    PRECONDITION = "precondition"
    INVALID = "invalid"
    # Somebody else was first.
    CONFLICT = "conflict"
    EXHAUSTED = "exhausted"
    # Beyond what there is so far.
    RANGE = "range"


class Rejection(NamedTuple):
    """No: nothing was changed.

    `subject` is what was named ("task"), `name` its name; `field` is the path of a field of the
    request that is at fault; `metadata` says more of it. `retry_delay`: seconds after which
    repeating the call may help.
    """

    kind: ErrorKind
    reason: str
    message: str
    subject: str = ""
    name: str = ""
    field: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    retry_delay: float | None = None


class JobKnown(NamedTuple):
    """The call about a job is done, now or before; the job is to be read."""

    job: TaskId


class JobItemsKnown(NamedTuple):
    """So many items of a job are on record."""

    job: TaskId
    size: int


class JobItemsOverlap(NamedTuple):
    """Nothing was appended: the job has `size` items, and what is at these positions is to be
    compared first."""

    job: TaskId
    size: int


class TaskCreated(NamedTuple):
    task: TaskId
    queue: QueueName
    state: TaskState
    create_time: float
    not_before: float


class TaskKnown(NamedTuple):
    """The call was done before, or leaves the task to be read back."""

    task: TaskId
    queue: QueueName


class BatchCreated(NamedTuple):
    first: TaskId
    size: int


class BulkDone(NamedTuple):
    """What the tasks of a call about many came to, and where its page ends ("" for the last one).

    `counts`: as the acts of `scheduler.core.handlers.bulk` count. `last_start`: with a rate, when
    the last of the retried tasks becomes PENDING.
    """

    counts: tuple[int, ...]
    page_end: TaskId
    last_start: float = 0.0


class QueueSeen(NamedTuple):
    """A queue as it was at the step: settings and counts."""

    name: QueueName
    create_time: float
    placement: int
    disconnect: int
    retention_age: float
    retention_count: int
    paused: bool
    by_state: tuple[int, ...]
    finished_total: int
    oldest_pending: float
    limits: QueueLimits
    pause: QueuePause | None
    order: QueueOrder
    place: PlaceSettings
    takes_messages: bool
    events: EventsTo | None


def see_queue(row: QueueRow) -> QueueSeen:
    """A snapshot of a queue."""
    oldest = row.pending.oldest()
    return QueueSeen(
        row.name,
        row.create_time,
        row.placement,
        row.disconnect,
        row.retention_age,
        row.retention_count,
        row.paused,
        tuple(map(sum, zip(row.counts, row.subtasks, strict=True))),
        row.finished_total,
        oldest.create_time if oldest else 0.0,
        row.limits,
        row.pause,
        row.order,
        row.place,
        row.template is not None,
        row.events,
    )


class LimitSeen(NamedTuple):
    """A shared limit as it was at the step, and what is used of it."""

    name: str
    create_time: float
    max_running: int
    rate: Rate | None
    running: int
    live: int


def see_limit(permits: Permits, row: LimitRow) -> LimitSeen:
    """A snapshot of a shared limit."""
    name = row.name
    used = permits.running.get(name, 0), permits.live.get(name, 0)
    return LimitSeen(name, row.create_time, row.max_running, row.rate, *used)


class NodeSeen(NamedTuple):
    """A node at the step."""

    row: NodeRow
    assigned: int
    running: int
    cordoned: bool
    draining: bool


class NodeControlled(NamedTuple):
    node: NodeName


class ServiceSeen(NamedTuple):
    """A service as it was at the step, with its instances by id.

    `ready` counts the instances that take requests, `updated` the replicas of the current
    generation.
    """

    name: ServiceName
    create_time: float
    spec: bytes
    generation: int
    version: int
    instances: tuple[InstanceRow, ...]
    ready: int
    updated: int


class Done(NamedTuple):
    """Nothing more to say."""


def no_task(task: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND, "TASK_NOT_FOUND", f"task {task!r} does not exist", "task", task
    )


def no_job(job: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND, "JOB_NOT_FOUND", f"job {job!r} does not exist", "job", job
    )


def no_queue(queue: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND, "QUEUE_NOT_FOUND", f"queue {queue!r} does not exist", "queue", queue
    )


def no_limit(limit: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND, "LIMIT_NOT_FOUND", f"limit {limit!r} does not exist", "limit", limit
    )


def no_service(service: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND,
        "SERVICE_NOT_FOUND",
        f"service {service!r} does not exist",
        "service",
        service,
    )


def no_node(node: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND, "NODE_NOT_FOUND", f"node {node!r} is not registered", "node", node
    )
