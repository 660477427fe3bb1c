"""What can happen, in the past tense. The only way to change the state.

`token` is the driver's handle for the caller that waits; the machine passes it on in a `Reply`.
Plain tuples: tens of thousands are made every second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.model.pending import Pending
from scheduler.core.model.quotas import Quota
from scheduler.core.model.rows import Control, InstanceRow, NodeRow, NodeStats
from scheduler.core.model.usage import Sized
from scheduler.core.values import (
    Change,
    Disconnect,
    Origin,
    Placement,
    ServiceName,
    ServiceSpec,
    TaskSpec,
    TaskState,
)

Token = Pending[object]


class Request(NamedTuple):
    """A mutating call: what makes it repeatable, its id ("" for none) and its digest; and who asks,
    where that is to be written down (None for what no caller asks for)."""

    id: str = ""
    digest: bytes = b""
    origin: Origin | None = None
    # `<role>:<name>`; "" without authentication. Each caller has request ids of its own.
    caller: str = ""


# -- tasks


class TaskSubmitted(NamedTuple):
    """CreateTask."""

    queue: QueueName
    task: TaskId
    spec: TaskSpec
    request: Request
    token: Token
    created_by: str = ""


class BatchSubmitted(NamedTuple):
    """BatchCreateTasks: `first` is the id of `specs[0]`, the others follow it."""

    queue: QueueName
    first: TaskId
    specs: Sequence[TaskSpec]
    request: Request
    token: Token
    created_by: str = ""
    # In small parts: others write, too.
    small: bool = False


class BatchContinued(NamedTuple):
    """The next part of a batch may be written."""

    queue: QueueName
    first: TaskId
    specs: Sequence[TaskSpec]
    request: Request
    token: Token
    progress: int
    created_by: str = ""
    # A small one: others write, too.
    small: bool = False


class TaskCancelAsked(NamedTuple):
    task: TaskId
    request: Request
    token: Token


class TasksCancelAsked(NamedTuple):
    """CancelTasks: up to 10,000 tasks, each once.

    `states`: only those in one of these; all that are not finished when empty. `offset`: how many
    this very call dealt with before `tasks[0]`, where a filter found only the rest again.
    `page_end`: where the filter stopped looking, "" for the last page. `subject` and `changes` are
    for the audit log: kind, name, queue.
    """

    tasks: Sequence[TaskId]
    states: frozenset[TaskState]
    request: Request
    token: Token
    offset: int = 0
    page_end: TaskId = TaskId("")
    subject: tuple[str, str, str] = ("task", "", "")
    changes: tuple[Change, ...] = ()
    # In small parts: others write, too.
    small: bool = False


class TasksCancelContinued(NamedTuple):
    """The next part of CancelTasks may be written: `asked.tasks[place:]` are left, and `counts` is
    what the others came to."""

    asked: TasksCancelAsked
    place: int
    counts: tuple[int, ...]
    # A small one: others write, too.
    small: bool = False


class TaskRetryAsked(NamedTuple):
    """RetryTask, with the spec read back from etcd, and who created it."""

    task: TaskId
    spec: TaskSpec
    create_time: float
    request: Request
    token: Token
    created_by: str = ""
    # What the spec's record holds that this version does not know:
    # `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


class TaskDeleteAsked(NamedTuple):
    task: TaskId
    request: Request
    token: Token


# -- queues


class QueueSubmitted(NamedTuple):
    queue: QueueName
    placement: Placement
    disconnect: Disconnect
    retention_age: float
    retention_count: int
    request: Request
    token: Token


class QueueDeleteAsked(NamedTuple):
    queue: QueueName
    request: Request
    token: Token


class QueuePauseAsked(NamedTuple):
    queue: QueueName
    paused: bool
    request: Request
    token: Token


# -- quotas


class QuotaSubmitted(NamedTuple):
    """SetQuota: of the caller or queue (`kind`) of this name."""

    kind: str
    name: str
    quota: Quota
    request: Request
    token: Token


# -- nodes


class NodeRegistered(NamedTuple):
    """A node's key appeared or changed in etcd."""

    node: NodeRow


class NodeLeaseEnded(NamedTuple):
    """A node's key is gone: its lease ended. What it runs may go on all the same."""

    node: NodeName
    instance: InstanceId


class NodeLost(NamedTuple):
    """An agent process is gone or given up. `why` is for people."""

    node: NodeName
    instance: InstanceId
    why: str


class AttemptLost(NamedTuple):
    """An attempt's node was lost; follows NodeLost, one each."""

    task: TaskId
    attempt: int
    instance: InstanceId
    why: str


class NodeWrittenOff(NamedTuple):
    """All attempts of a lost node are dealt with; follows them."""

    node: NodeName
    instance: InstanceId
    lease: int


class ScaleDownDecided(NamedTuple):
    """Which agent processes a scale-down may end, and which it may not any longer.

    At most `leaving.CHANGES_AT_ONCE` in all.
    """

    mark: Sequence[tuple[NodeName, InstanceId]]
    back: Sequence[tuple[NodeName, InstanceId]]


class NodeControlAsked(NamedTuple):
    """CordonNode, UncordonNode, DrainNode."""

    node: NodeName
    control: Control
    request: Request
    token: Token


class SessionOpened(NamedTuple):
    """An agent answered `hello` with what it has: (task, attempt, start time or 0.0)."""

    node: NodeName
    instance: InstanceId
    attempts: Sequence[tuple[TaskId, int, float]]
    finished: Sequence[tuple[TaskId, int]]


class SessionClosed(NamedTuple):
    node: NodeName
    instance: InstanceId


class AgentMisbehaved(NamedTuple):
    """An agent said what none may say; `fault` is for people."""

    node: NodeName
    instance: InstanceId
    failure: str


class CreditGiven(NamedTuple):
    node: NodeName
    instance: InstanceId
    credit: int


class StatsReported(NamedTuple):
    node: NodeName
    instance: InstanceId
    stats: NodeStats


class AttemptStarted(NamedTuple):
    instance: InstanceId
    task: TaskId
    attempt: int
    start_time: float


class AttemptLived(NamedTuple):
    """The start of an attempt is to be put on record; follows what found that, one each."""

    task: TaskId
    attempt: int
    instance: InstanceId


class AttemptSucceeded(NamedTuple):
    """`result` is opaque here: the codec writes it."""

    instance: InstanceId
    task: TaskId
    attempt: int
    start_time: float
    finish_time: float
    result: Sized | None


class AttemptFailed(NamedTuple):
    """`error` is opaque here; its type, base types and message are what the machine decides by."""

    instance: InstanceId
    task: TaskId
    attempt: int
    start_time: float
    finish_time: float
    error_type: str
    error_message: str
    error: Sized | None
    # Of an exception: the names of its base classes.
    base_types: tuple[str, ...] = ()


class AttemptReturned(NamedTuple):
    """The agent gave an attempt back: not a failure."""

    instance: InstanceId
    task: TaskId
    attempt: int


# -- services


class ServiceSubmitted(NamedTuple):
    """CreateService. `changes` are for the audit log: the spec is opaque here."""

    service: ServiceName
    spec: ServiceSpec
    request: Request
    token: Token
    changes: tuple[Change, ...] = ()


class ServiceUpdateAsked(NamedTuple):
    """UpdateService: `spec` was made from the one of `version`, which must still be the newest."""

    service: ServiceName
    spec: ServiceSpec
    version: int
    request: Request
    token: Token
    changes: tuple[Change, ...] = ()


class ServiceDeleteAsked(NamedTuple):
    service: ServiceName
    request: Request
    token: Token


class InstanceSeen(NamedTuple):
    """An instance's key appeared or changed in etcd."""

    instance: InstanceRow


class InstanceGone(NamedTuple):
    """An instance's key is gone."""

    service: ServiceName
    id: str


class ServiceDue(NamedTuple):
    """Something of a service changed. `first` is the id of the first replica to be made, the
    others follow it."""

    service: ServiceName
    first: TaskId


# -- time and leadership


class TimersDue(NamedTuple):
    """Some SCHEDULED task may be due."""


class StartsDue(NamedTuple):
    """Some attempt may have lived long enough for its start to be put on record."""


class RetentionDue(NamedTuple):
    """Time to delete what is finished and expired, at most `limit` tasks.

    `by`: the instant by which it is, where that is not the step's: see `scheduler.engine.clocks`.
    """

    limit: int
    by: float | None = None


class Elected(NamedTuple):
    """This process leads from now on; its state holds all of the log."""


Event = (
    TaskSubmitted
    | BatchSubmitted
    | BatchContinued
    | TaskCancelAsked
    | TasksCancelAsked
    | TasksCancelContinued
    | TaskRetryAsked
    | TaskDeleteAsked
    | QueueSubmitted
    | QueueDeleteAsked
    | QueuePauseAsked
    | QuotaSubmitted
    | NodeRegistered
    | NodeLeaseEnded
    | NodeLost
    | AttemptLost
    | NodeWrittenOff
    | ScaleDownDecided
    | NodeControlAsked
    | SessionOpened
    | SessionClosed
    | AgentMisbehaved
    | CreditGiven
    | StatsReported
    | AttemptStarted
    | AttemptLived
    | AttemptSucceeded
    | AttemptFailed
    | AttemptReturned
    | ServiceSubmitted
    | ServiceUpdateAsked
    | ServiceDeleteAsked
    | InstanceSeen
    | InstanceGone
    | ServiceDue
    | TimersDue
    | StartsDue
    | RetentionDue
    | Elected
)
