"""What must be durable: one class for each kind of change of the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.ids import NodeName, QueueName, TaskId
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.model.limits.permits import RateName, UniqueWindow
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.rows import (
    DedupRow,
    JobRow,
    LimitRow,
    LostNode,
    PauseRow,
    QueueRow,
    ScalingDown,
    ServiceRow,
    TaskRow,
)
from scheduler.core.model.schedules import ScheduleName, ScheduleRow
from scheduler.core.values import Change, HookEnds, Origin, ServiceName


class PutTask(NamedTuple):
    """The task's spec, once (and again when it is retried by hand)."""

    row: TaskRow
    spec: bytes
    created_by: str = ""
    # What its record held that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    # A task that is live from now on; False: it was live before.
    begins: bool = True


class PutRun(NamedTuple):
    """The task's status as it is now, with its outcome."""

    row: TaskRow
    finish_time: float = 0.0
    # Messages of protobuf, opaque here.
    result: Sized | None = None
    error: Sized | None = None
    # Where the error is ours and not an agent's.
    error_type: str = ""
    error_message: str = ""
    hooks: HookEnds | None = None


class DropTask(NamedTuple):
    """Both records of a task."""

    queue: QueueName
    task: TaskId


class DropTasks(NamedTuple):
    """All records of neighbours in a queue's order of creation: `[first, last]`."""

    queue: QueueName
    first: TaskId
    last: TaskId


class PutQueue(NamedTuple):
    row: QueueRow


class DropQueue(NamedTuple):
    queue: QueueName


class PutQuota(NamedTuple):
    kind: str
    name: str
    quota: Quota


class DropQuota(NamedTuple):
    kind: str
    name: str


class PutLimit(NamedTuple):
    row: LimitRow


class DropLimit(NamedTuple):
    name: str


class PutPause(NamedTuple):
    row: PauseRow


class DropPause(NamedTuple):
    name: str


class PutRate(NamedTuple):
    """What was taken of a rate limit: see `scheduler.core.queues.rates`."""

    name: RateName
    arrival: float


class PutUnique(NamedTuple):
    """Until when a unique key is a task's: see `scheduler.core.handlers.unique_windows`."""

    queue: QueueName
    digest: str
    window: UniqueWindow


class DropUnique(NamedTuple):
    queue: QueueName
    digest: str


class PutControl(NamedTuple):
    node: NodeName


class PutScalingDown(NamedTuple):
    node: NodeName
    row: ScalingDown


class DropScalingDown(NamedTuple):
    node: NodeName


class PutLostNode(NamedTuple):
    row: LostNode


class DropLostNode(NamedTuple):
    node: NodeName


class PutDedup(NamedTuple):
    key: tuple[str, str]
    row: DedupRow


class DropDedup(NamedTuple):
    key: tuple[str, str]


class PutService(NamedTuple):
    row: ServiceRow


class DropService(NamedTuple):
    """A service's record, and the instances that are left of it."""

    service: ServiceName


class PutSchedule(NamedTuple):
    row: ScheduleRow


class DropSchedule(NamedTuple):
    schedule: ScheduleName


class PutAudit(NamedTuple):
    """Who changed what: `kind` and `name` say what, `queue` of which queue where it is a task."""

    entry: int
    origin: Origin
    request_id: str
    kind: str
    name: str
    queue: str
    changes: tuple[Change, ...]


class PutJob(NamedTuple):
    """A job's record as it is now."""

    row: JobRow


class DropJob(NamedTuple):
    """All records of the jobs from `job` to `last`: a job, and its levels of reduces or the arrays
    of its graph, whose ids follow."""

    queue: QueueName
    job: TaskId
    last: TaskId


class PutJobTemplate(NamedTuple):
    """What each subtask runs, and each reduce, once."""

    job: TaskId
    template: bytes
    reduce: bytes = b""


class PutJobItems(NamedTuple):
    """Items of consecutive subtasks, from position `first` on."""

    job: TaskId
    first: int
    items: Sequence[bytes]
    appender: str = ""


class PutJobBlock(NamedTuple):
    """What is known of 4,096 subtasks, as it is now."""

    row: JobRow
    number: int


class PutJobResults(NamedTuple):
    """Results of subtasks of one block: (first position, kind, values). And who ran them."""

    job: TaskId
    block: int
    runs: Sequence[tuple[int, int, Sequence[bytes]]]
    node: NodeName
    chunk: TaskId
    # All positions that the chunk did with this report; empty: those of `runs`.
    positions: Sequence[tuple[int, int]] = ()


class MergeJobResults(NamedTuple):
    """All results of one block, in few records instead of many: each (first position, kind,
    values)."""

    job: TaskId
    block: int
    records: Sequence[Sequence[tuple[int, int, Sequence[bytes]]]]
    # Who ran what: (node, chunk, positions).
    origins: Sequence[tuple[NodeName, TaskId, Sequence[tuple[int, int]]]] = ()


class PutJobErrors(NamedTuple):
    """Why subtasks of one block failed for good: (positions, error, its type and message where it
    is
    ours)."""

    job: TaskId
    block: int
    failures: Sequence[tuple[Sequence[int], Sized | None, str, str]]
    node: NodeName
    chunk: TaskId
    # One of them has failed before: that record stays.
    again: bool = False


class DropJobErrors(NamedTuple):
    """All errors of a job: what failed is tried again."""

    job: TaskId


class PutChunk(NamedTuple):
    """Subtasks on a node, as it is now."""

    row: TaskRow


class DropChunk(NamedTuple):
    job: TaskId
    chunk: TaskId


Write = (
    PutTask
    | PutRun
    | DropTask
    | DropTasks
    | PutQueue
    | DropQueue
    | PutQuota
    | DropQuota
    | PutLimit
    | PutPause
    | DropPause
    | DropLimit
    | PutRate
    | PutUnique
    | DropUnique
    | PutControl
    | PutScalingDown
    | DropScalingDown
    | PutLostNode
    | DropLostNode
    | PutDedup
    | DropDedup
    | PutService
    | DropService
    | PutSchedule
    | DropSchedule
    | PutAudit
    | PutJob
    | DropJob
    | PutJobTemplate
    | PutJobItems
    | PutJobBlock
    | PutJobResults
    | MergeJobResults
    | PutJobErrors
    | DropJobErrors
    | PutChunk
    | DropChunk
)
