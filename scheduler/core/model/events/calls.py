"""What callers ask for.

`token` is the driver's handle for the caller that waits; the machine passes it on in a `Reply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.model.limits.quotas import Quota
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import Control, PauseRow
from scheduler.core.place_rules import USUAL_PLACE, PlaceSettings
from scheduler.core.values import (
    NO_LIMITS,
    USUAL_ORDER,
    Change,
    Disconnect,
    EventsTo,
    Origin,
    PastAttempt,
    Placement,
    QueueLimits,
    QueueOrder,
    QueuePause,
    QueueSettings,
    Rate,
    ServiceName,
    ServiceSpec,
    TaskSpec,
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


class TaskRecorded(NamedTuple):
    """What the records of a task hold, read back from etcd.

    `past` has the attempts that ended, the last one of a finished task included.
    """

    spec: TaskSpec
    create_time: float
    created_by: str = ""
    # What the spec's record holds that this version does not know:
    # `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    past: tuple[PastAttempt, ...] = ()


class Parent(NamedTuple):
    """The attempt that adds a task to its job; of a subtask `<job>.<index>` and 0."""

    task: str
    attempt: int
    instance: InstanceId
    chunk: str = ""


class TaskSubmitted(NamedTuple):
    """CreateTask."""

    queue: QueueName
    task: TaskId
    spec: TaskSpec
    request: Request
    token: Token
    created_by: str = ""
    parent: Parent | None = None


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


class TaskRetryAsked(NamedTuple):
    """RetryTask, with what is on record of the task; `edited`: but with another spec."""

    task: TaskId
    record: TaskRecorded
    request: Request
    token: Token
    edited: bool = False


class TaskPauseAsked(NamedTuple):
    """PauseTask, or ResumeTask."""

    task: TaskId
    paused: bool
    request: Request
    token: Token
    reason: str = ""
    # It is a program, which can be paused while it runs.
    program: bool = False


class TaskSignalAsked(NamedTuple):
    """SendSignal."""

    task: TaskId
    signal: int
    request: Request
    token: Token
    # Its name, and whether the task is a program: a function takes none.
    name: str = ""
    program: bool = True


class TaskDeleteAsked(NamedTuple):
    task: TaskId
    request: Request
    token: Token


class QueueSubmitted(NamedTuple):
    queue: QueueName
    placement: Placement
    disconnect: Disconnect
    retention_age: float
    retention_count: int
    request: Request
    token: Token
    limits: QueueLimits = NO_LIMITS
    order: QueueOrder = USUAL_ORDER
    place: PlaceSettings = USUAL_PLACE
    events: EventsTo | None = None


class MessageTemplateSubmitted(NamedTuple):
    """SetMessageTemplate. None: messages become nothing any longer."""

    queue: QueueName
    template: TaskSpec | None
    request: Request
    token: Token


class QueueUpdateAsked(NamedTuple):
    """UpdateQueue, with all settings as they are to be."""

    queue: QueueName
    settings: QueueSettings
    request: Request
    token: Token


class QueueDeleteAsked(NamedTuple):
    queue: QueueName
    request: Request
    token: Token


class QueuePauseAsked(NamedTuple):
    """PauseQueue, with scope, reason and end; or ResumeQueue."""

    queue: QueueName
    paused: bool
    request: Request
    token: Token
    pause: QueuePause = QueuePause()


class QuotaSubmitted(NamedTuple):
    """SetQuota: of the caller or queue (`kind`) of this name."""

    kind: str
    name: str
    quota: Quota
    request: Request
    token: Token


class PauseSubmitted(NamedTuple):
    """CreatePause; who and when are filled in by the machine."""

    pause: PauseRow
    request: Request
    token: Token


class PauseDeleteAsked(NamedTuple):
    """`queue`: that of the pause."""

    name: str
    queue: QueueName
    request: Request
    token: Token


class LimitSubmitted(NamedTuple):
    """CreateLimit; 0 and None: no such limit."""

    name: str
    max_running: int
    rate: Rate | None
    request: Request
    token: Token


class LimitUpdateAsked(NamedTuple):
    """UpdateLimit, with both limits as they are to be."""

    name: str
    max_running: int
    rate: Rate | None
    request: Request
    token: Token


class LimitDeleteAsked(NamedTuple):
    name: str
    request: Request
    token: Token


class ChangeRecorded(NamedTuple):
    """A caller changed something that is not in this state (message queues): the audit log gets an
    entry. Answer: None."""

    kind: str
    name: str
    request: Request
    token: Token


class NodeControlAsked(NamedTuple):
    """CordonNode, UncordonNode, DrainNode."""

    node: NodeName
    control: Control
    request: Request
    token: Token


class NodeDismissAsked(NamedTuple):
    """DismissNode."""

    node: NodeName
    request: Request
    token: Token


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
