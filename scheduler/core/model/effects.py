"""What the machine wants done, in the imperative.

`writes` must be durable, in one Txn, before any of `after` is done; `then` are events that follow
at once, each with a Txn of its own; `due` are services that are to be looked at soon. The driver
encodes the writes before the next step: they refer to rows that change later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.model.limits.permits import RateName
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import (
    DedupRow,
    FinishedRow,
    JobRow,
    LimitRow,
    QueueRow,
    ScalingDown,
    ServiceRow,
    TaskRow,
)
from scheduler.core.model.schedules import ScheduleName, ScheduleRow
from scheduler.core.values import Change, Origin, ServiceName

if TYPE_CHECKING:
    from scheduler.core.model.events import Event

# -- writes


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


class DropTask(NamedTuple):
    """Both records of a task."""

    queue: QueueName
    task: TaskId


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


class PutRate(NamedTuple):
    """What was taken of a rate limit: see `scheduler.core.queues.rates`."""

    name: RateName
    arrival: float


class PutControl(NamedTuple):
    node: NodeName


class PutScalingDown(NamedTuple):
    node: NodeName
    row: ScalingDown


class DropScalingDown(NamedTuple):
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
    """All records of a job."""

    queue: QueueName
    job: TaskId


class PutJobTemplate(NamedTuple):
    """What each subtask runs, once."""

    job: TaskId
    template: bytes


class PutJobItems(NamedTuple):
    """Items of consecutive subtasks, from position `first` on."""

    job: TaskId
    first: int
    items: Sequence[bytes]


class PutJobBlock(NamedTuple):
    """What is known of 4,096 subtasks, as it is now."""

    row: JobRow
    number: int


class PutJobResults(NamedTuple):
    """Results of subtasks of one block: (first position, kind, values)."""

    job: TaskId
    block: int
    runs: Sequence[tuple[int, int, Sequence[bytes]]]
    node: NodeName
    chunk: TaskId


class MergeJobResults(NamedTuple):
    """All results of one block, in few records instead of many: each (first position, kind,
    values)."""

    job: TaskId
    block: int
    records: Sequence[Sequence[tuple[int, int, Sequence[bytes]]]]


class PutJobErrors(NamedTuple):
    """Why subtasks of one block failed for good: (positions, error, its type and message where it
    is
    ours)."""

    job: TaskId
    block: int
    failures: Sequence[tuple[Sequence[int], Sized | None, str, str]]
    node: NodeName


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
    | PutQueue
    | DropQueue
    | PutQuota
    | DropQuota
    | PutLimit
    | DropLimit
    | PutRate
    | PutControl
    | PutScalingDown
    | DropScalingDown
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

# -- effects after the commit


class Reply(NamedTuple):
    """Answer a caller: an answer from `scheduler.core.model.answers`, or a Rejection."""

    token: Pending[object]
    answer: object


class StartAttempt(NamedTuple):
    row: TaskRow
    attempt: int
    instance: InstanceId


class EndAttempt(NamedTuple):
    """Ask the agent to end an attempt."""

    instance: InstanceId
    task: TaskId
    attempt: int


class Acknowledge(NamedTuple):
    """Tell the agent that it may forget an outcome."""

    instance: InstanceId
    task: TaskId
    attempt: int


class NotifyFinished(NamedTuple):
    """Wake who waits for the task, and let retention see it."""

    done: FinishedRow


class RevokeNode(NamedTuple):
    """The loss of a node is durable: revoke its lease."""

    node: NodeName
    instance: InstanceId
    lease: int


class OrderDrain(NamedTuple):
    """Tell a node to empty itself, or to stop doing so."""

    node: NodeName
    instance: InstanceId
    draining: bool
    grace: float


class OrderScaleDown(NamedTuple):
    """Tell a node whether a scale-down may end it."""

    node: NodeName
    instance: InstanceId
    scaling_down: bool


class IndexAudit(NamedTuple):
    """Let the audit log's readers, and its retention, see an entry."""

    entry: int


class AcknowledgeReport(NamedTuple):
    """Tell the agent that it may forget a report of a chunk."""

    instance: InstanceId
    chunk: TaskId
    attempt: int
    number: int


class RecallChunk(NamedTuple):
    """Ask the agent for what it has not begun of a chunk."""

    instance: InstanceId
    chunk: TaskId
    attempt: int


class NotifyJob(NamedTuple):
    """A job has finished: wake who waits for it, and let agents forget its template."""

    job: JobRow


After = (
    Reply
    | StartAttempt
    | EndAttempt
    | Acknowledge
    | NotifyFinished
    | RevokeNode
    | OrderDrain
    | OrderScaleDown
    | IndexAudit
    | AcknowledgeReport
    | RecallChunk
    | NotifyJob
)


class PurgeRun(NamedTuple):
    """Neighbours in a queue's order of creation, all finished and expired: `[first, last]`."""

    queue: QueueName
    first: TaskId
    last: TaskId


class PurgeAudit(NamedTuple):
    """The audit entries of the ids `[first, last]`."""

    first: int
    last: int


@dataclass(slots=True, init=False)
class Effects:
    """What one step wants."""

    writes: list[Write]
    after: list[After]
    then: list[Event]
    # Deletions by retention, in Txns of their own that move no head.
    purges: list[PurgeRun]
    purged_requests: list[tuple[str, str]]
    purged_audit: PurgeAudit | None
    # None as a rule, as `rates` is: they cost every step otherwise.
    purged_rates: list[RateName] | None
    # Of placement: rate limits of which assignments took starts. They are written before the
    # assignments, as they are at the end of the pass: a leader that knows only a part of the Txns
    # starts less, never more.
    rates: dict[RateName, None] | None
    # Services of which something changed: `ServiceDue` for each, when there is room.
    due: list[ServiceName]
    # Finished jobs whose records retention deletes.
    purged_jobs: Sequence[DropJob]
    # Of placement: requests to agents, which wait for no commit.
    recalls: Sequence[RecallChunk]
    # Of placement: there is more to do, when others have had the loop.
    more: bool

    def __init__(self) -> None:
        # By hand: it is made for each event, and factories of fields take twice as long.
        self.writes, self.after, self.then, self.due = [], [], [], []
        self.purges, self.purged_requests, self.purged_audit = [], [], None
        self.purged_rates = self.rates = None
        # Rarely any: no list is made for none.
        self.purged_jobs = self.recalls = ()
        self.more = False

    def took(self, rate: RateName) -> None:
        """An assignment took of a rate limit or of a share."""
        if self.rates is None:
            self.rates = {}
        self.rates[rate] = None
